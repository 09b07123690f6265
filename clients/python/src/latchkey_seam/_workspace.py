"""A test workspace, with the requests that tests need most."""

from datetime import datetime, timedelta
from functools import cache, cached_property
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from . import _time
from ._client import LatchkeyError, get, post
from ._params import Advanced, Json, Operation

if TYPE_CHECKING:
    from seam.seam import Seam

# Paths of the control plane that take GET only.
_GET_PATHS = {"clock", "snapshots/export"}


class Workspace:
    """A test workspace: its locks, its access codes, its events and its clock.

    In a `with` statement, the workspace is deleted at the end. Every method raises `LatchkeyError` if the server rejects
    the request.
    """

    #: URL of the server, for `SEAM_ENDPOINT`.
    url: str
    #: Id of the workspace.
    workspace_id: str
    #: API key of the workspace, for `SEAM_API_KEY`.
    api_key: str
    #: Key with which a web page can create client sessions.
    publishable_key: str
    #: Id of the person to whom the workspace belongs.
    person_id: str
    #: Personal access token of that person.
    personal_access_token: str
    #: The locks as they were created, in the order of the request. Each is a device as in the responses of `/devices/get`.
    devices: list[Json]

    def __init__(self, url: str, created: Json) -> None:
        """Takes the URL of the server and the response of `workspaces/create`. Use `Latchkey.create_workspace`."""
        self.url = url
        self.workspace_id = created["workspace"]["workspace_id"]
        self.api_key = created["api_key"]
        self.publishable_key = created["publishable_key"]
        self.person_id = created["person_id"]
        self.personal_access_token = created["personal_access_token"]
        self.devices = created["devices"]
        self._deleted = False

    @cached_property
    def seam(self) -> "Seam":
        """Seam's own client (the package `seam`), with the endpoint and the API key of this workspace."""
        try:
            from seam.seam import Seam
        except ImportError as error:
            raise LatchkeyError(f"Workspace.seam needs Seam's SDK: pip install 'latchkey-seam[seam]' ({error})") from error
        # Without the proxy of the environment: a local server is not behind it.
        return Seam(self.api_key, endpoint=self.url, httpx_options={"trust_env": False, "verify": _ssl_context()})

    def emulator(self, path: str, /, **params: Any) -> Json:
        """Sends a request to the control plane, such as `emulator("locks/memory", device_id=lock)`; returns the response."""
        __tracebackhide__ = True
        send = get if path in _GET_PATHS else post
        return cast(Json, send(self.url, f"/_emulator/{path}", params, self.api_key))

    def now(self) -> datetime:
        """Returns the current time in the workspace."""
        return datetime.fromisoformat(self.emulator("clock")["now"])

    def advance(
        self,
        by: str | timedelta | None = None,
        *,
        to: str | datetime | None = None,
        until: Literal["next", "quiet"] | None = None,
        wait_for_webhooks: bool = False,
    ) -> Advanced:
        """Moves the held clock of the workspace. When it returns, everything that was due has happened.

        Give exactly one of: `by`, a duration such as "72h", "PT72H" or a `timedelta`; `to`, an instant; `until`, "next" (the
        next instant at which something is due) or "quiet" (until nothing is due). With `wait_for_webhooks`, each event on
        the way has also been sent once to each webhook. Raises LatchkeyError with the status 409 if the clock is not held.
        """
        given = {
            "by": None if by is None else _time.duration(by),
            "to": None if to is None else _time.instant(to),
            "until": until,
            "wait_for_webhooks": wait_for_webhooks or None,
        }
        return cast(Advanced, self.emulator("clock/advance", **_without_none(given)))

    def fault(
        self,
        operation: Operation,
        outcome: Json | Literal["never"] | None = None,
        *,
        times: int | None = None,
        after: int | None = None,
        device_id: str | None = None,
        device_type: str | None = None,
    ) -> Json:
        """Makes operations of locks fail, be slow or never end, and returns the fault.

        `outcome` is {"fail": {}} (the default), with an optional `error_code` and `message`, or {"delay": "PT5M"}, or "never".
        `times` is the number of operations that the fault applies to; without it, all until it is deleted. `after` is the
        number of operations to skip first. Without `device_id` and `device_type`, it applies to every lock.
        """
        given = {"times": times, "after": after, "device_id": device_id, "device_type": device_type}
        chosen = {"fail": {}} if outcome is None else outcome
        response = self.emulator("faults/create", operation=operation, outcome=chosen, **_without_none(given))
        return cast(Json, response["fault"])

    def events(self, **filters: Any) -> list[Json]:
        """Returns the events of the workspace, oldest first.

        The filters are those of Seam's `/events/list`, such as `access_code_id`, `device_id`, `event_type` or `since`. Without
        `since` and `between`, the list begins with the first event. It has at most 500 events, unless `limit` is given.
        """
        if "since" not in filters and "between" not in filters:
            filters["since"] = "0001-01-01T00:00:00Z"
        return cast(list[Json], post(self.url, "/events/list", filters, self.api_key)["events"])

    def requests(self, **filters: Any) -> list[Json]:
        """Returns the latest 100 requests to Seam's paths in this workspace, with their responses, oldest first.

        The filters are those of `requests` of the control plane: `path`, `method`, `status`, `request_id`, `after`, `limit`.
        """
        return cast(list[Json], self.emulator("requests", **filters)["requests"])

    def reset(self) -> None:
        """Returns the workspace to the state in which it was created, with its clock. Keys and snapshots stay."""
        self.emulator("workspaces/reset")

    def snapshot(self) -> str:
        """Stores everything in the workspace as it is now, with its clock, and returns the id of the snapshot."""
        return cast(str, self.emulator("snapshots/create")["snapshot_id"])

    def restore(self, snapshot_id: str) -> None:
        """Returns the workspace to the state in the snapshot, with its clock."""
        self.emulator("snapshots/restore", snapshot_id=snapshot_id)

    def delete(self) -> None:
        """Deletes the workspace with everything in it. Does nothing if it no longer exists."""
        if self._deleted:
            return
        try:
            self.emulator("workspaces/delete")
        except LatchkeyError as error:
            # The key of a deleted workspace is unknown: the test, or the `ttl` of the workspace, has deleted it.
            if error.status != 401:
                raise
        self._deleted = True
        if "seam" in self.__dict__:
            self.seam.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.delete()

    def __repr__(self) -> str:
        return f"<Workspace {self.workspace_id} at {self.url}>"


@cache
def _ssl_context() -> SSLContext:
    """Returns the usual one of the SDK. It takes some 30 ms to make, more than all else that a short test does."""
    import httpx

    return httpx.create_ssl_context()


def _without_none(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
