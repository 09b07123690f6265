"""Types of the requests and responses of the control plane. Names and values are those of its documentation."""

from datetime import timedelta
from typing import Any, Literal, TypeAlias, TypedDict

# One object of the JSON of a response.
Json: TypeAlias = dict[str, Any]

Operation: TypeAlias = Literal["set", "update", "remove", "refill", "lock", "unlock"]


class HeldClock(TypedDict):
    """A clock that stands still until the test moves it."""

    held_at: str


class _RunningFrom(TypedDict):
    running_from: str


class RunningClock(_RunningFrom, total=False):
    """A clock that runs from its own start; `rate` is in seconds per second of real time."""

    rate: float


class Programming(TypedDict):
    """A fixed duration of lock operations, such as "PT0.25S"."""

    after: str


class WorkspaceParams(TypedDict, total=False):
    """Parameters of a new workspace. Each is described at `workspaces/create` of the control plane."""

    name: str
    # Ids, PINs and keys are derived from it. It must be unique on the server.
    seed: str | int
    clock: Literal["live"] | HeldClock | RunningClock
    # A number of August locks, or a list of locks such as {"device_type": "schlage_lock", "name": "Cellar"}.
    locks: int | list[Json]
    # Lifetime in real time.
    ttl: str | timedelta
    workspace_id: str
    api_key: str
    personal_access_token: str
    programming: Literal["at_once", "by_hand"] | Programming
    keep_expired_access_codes: bool
    allow_same_code_in_disjoint_windows: bool
    refuse_begun_windows: bool
    # ISO 8601 durations after which an access code of an access grant is late.
    late_issuance_lead: str
    late_issuance_grace: str


class Advanced(TypedDict):
    """Result of `Workspace.advance`: the time in the workspace, and how many steps and events there were on the way."""

    now: str
    transitions: int
    events: int
    ok: bool
