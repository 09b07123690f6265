"""Starts the shared server with `latchkey attach`, or uses one that runs already."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Self, Unpack

from . import _time
from ._client import LatchkeyError, check_health, post
from ._params import Json, WorkspaceParams
from ._workspace import Workspace

# API key of the default sandbox of every server.
SANDBOX_API_KEY = "seam_testsand_LatchkeySandbox"

# Time for `latchkey attach` to end after its standard input was closed.
_STOP_TIMEOUT_SECONDS = 30

# Number of bytes of the log that an error message shows, from the end.
_LOG_BYTES = 4000


class Latchkey:
    """A Latchkey server that this process uses. In a `with` statement, `close` is called at the end."""

    #: URL of the server, for `SEAM_ENDPOINT`.
    url: str
    #: API key of the default sandbox of the server. Tests that run side by side use workspaces of their own instead.
    api_key: str

    def __init__(self, url: str, api_key: str, attached: "_Attached | None", admin_token: str | None) -> None:
        """Use `start_latchkey`."""
        self.url = url
        self.api_key = api_key
        self._attached = attached
        self._admin_token = admin_token

    def create_workspace(self, **params: Unpack[WorkspaceParams]) -> Workspace:
        """Creates a test workspace. The parameters are those of `workspaces/create` of the control plane.

        Without parameters it has one lock, a clock that is held at 2026-01-01T00:00:00Z, and a `ttl` of one hour of real time,
        after which the server deletes it. Raises LatchkeyError, for example with the status 409 if the seed is in use.
        """
        body: Json = {"locks": 1, "clock": {"held_at": "2026-01-01T00:00:00Z"}, "ttl": "PT1H", **params}
        body["ttl"] = _time.duration(body["ttl"])
        try:
            created = post(self.url, "/_emulator/workspaces/create", body, self._admin_token)
        except LatchkeyError as error:
            if error.status is None and self._attached is not None:
                error.add_note(self._attached.state())
            raise
        return Workspace(self.url, created)

    def close(self) -> None:
        """Ends the use of the server. A server that this package started stops about a second after its last user.

        Raises LatchkeyError if the server does not let go within 30 s; it is killed then.
        """
        if self._attached is not None:
            self._attached.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Latchkey at {self.url}>"


def start_latchkey(
    *options: str, url: str | None = None, program: str | os.PathLike[str] | None = None, timeout: float = 60
) -> Latchkey:
    """Starts the shared server, or uses the one that other processes of this user have started with the same options.

    `url` (LATCHKEY_URL) names a server that runs already; then nothing is started, and `options` have no effect. `options` are
    those of `latchkey serve`, such as "--fixtures", "locks.json". `program` (LATCHKEY_BIN) replaces the program of this package.
    `timeout` is in seconds. LATCHKEY_ADMIN_TOKEN is the admin token of the server, if it has one.

    Raises LatchkeyError, with the end of the log, if the server is not ready in time.
    """
    admin_token = os.environ.get("LATCHKEY_ADMIN_TOKEN")
    url = url or os.environ.get("LATCHKEY_URL")
    if url:
        url = url.rstrip("/")
        check_health(url)
        return Latchkey(url, SANDBOX_API_KEY, None, admin_token)
    attached = _Attached(str(program or os.environ.get("LATCHKEY_BIN") or find_program()), options)
    try:
        ready = attached.ready(timeout)
        return Latchkey(ready["url"], ready["api_key"], attached, admin_token)
    except BaseException:
        attached.kill()
        raise


def find_program() -> str:
    """Returns the path of the program `latchkey`: the one that was installed with this package, else the one on the PATH.

    Raises LatchkeyError if there is none.
    """
    try:
        files = distribution("latchkey-seam").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.stem == "latchkey" and file.parent.name in ("bin", "Scripts"):
            return os.path.abspath(file.locate())
    found = shutil.which("latchkey")
    if found is None:
        raise LatchkeyError(
            "the program latchkey was not found: `pip install --force-reinstall latchkey-seam`, or set LATCHKEY_BIN"
        )
    return found


class _Attached:
    """A process `latchkey attach`. The server runs as long as the standard input of one such process is open."""

    def __init__(self, program: str, options: Sequence[str]) -> None:
        self._command = [program, "attach", *options]
        # A file and not a pipe: nobody would read a pipe while the tests run.
        self._log: IO[bytes] = TemporaryFile()
        # DATABASE_URL is the database of the tests, and not one for Latchkey. The option `--database-url` still names one.
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        try:
            # In a process group of its own, so that Ctrl-C does not stop the server before the tests have cleaned up. When
            # this process ends, its end of the pipe is closed, whatever ended it.
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                process_group=0,
            )
        except OSError as error:
            self._log.close()
            raise LatchkeyError(f"{program} cannot be started: {error}. LATCHKEY_BIN must name the program latchkey") from error

    def ready(self, timeout: float) -> Json:
        """Waits for the line with the address of the server. Raises LatchkeyError if it does not come in `timeout` seconds."""
        assert self._process.stdout is not None
        # Ends the process, and with it the wait for the line.
        timer = threading.Timer(timeout, self._kill_group)
        started = time.monotonic()
        timer.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timer.cancel()
        try:
            ready: Json = json.loads(line)
            return {"url": ready["url"], "api_key": ready["api_key"]}
        except (ValueError, KeyError, TypeError):
            late = time.monotonic() - started >= timeout
            outcome = f"was not ready after {timeout:g} s" if late else "did not start a server"
            raise LatchkeyError(f"`{' '.join(self._command)}` {outcome}. {self._log_end()}") from None

    def state(self) -> str:
        """Returns whether the process still runs, with the end of its log."""
        code = self._process.poll()
        state = "still runs" if code is None else f"ended with the exit code {code}"
        return f"`{' '.join(self._command)}` {state}. {self._log_end()}"

    def close(self) -> None:
        """Closes the standard input and waits for the end of the process. Can be called twice."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            state = self.state()
            self.kill()
            raise LatchkeyError(f"latchkey did not stop within {_STOP_TIMEOUT_SECONDS} s and was killed. {state}") from None
        self._release()

    def kill(self) -> None:
        """Ends the process at once."""
        self._kill_group()
        self._process.wait()
        self._release()

    def _kill_group(self) -> None:
        # With its children, which would keep its end of the pipe open. The server has a process group of its own.
        if self._process.returncode is None:
            # The process may have ended by itself. macOS reports that as a missing permission.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _release(self) -> None:
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()

    def _log_end(self) -> str:
        """Returns the end of the log. Reads at a position, because the process writes at that of the open file."""
        file = self._log.fileno()
        size = os.fstat(file).st_size
        text = os.pread(file, _LOG_BYTES, max(0, size - _LOG_BYTES)).decode(errors="replace").strip()
        return f"The end of its log:\n{text}" if text else "Its log is empty."
