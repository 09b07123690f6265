"""Latchkey for pytest: one server for the whole run, a new workspace for each test.

Set LATCHKEY_URL to use a running server. Otherwise the fixture starts one: the program in LATCHKEY_BIN, else `latchkey` on
the PATH, else the debug build of this repository.
"""

import os
import shutil
import subprocess
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import pytest
from seam import Seam

# First time on the clock of each workspace: a Monday at noon.
START = "2026-03-02T12:00:00Z"

# API key of the default sandbox.
SANDBOX_KEY = "seam_testsand_LatchkeySandbox"

NOT_FOUND = (
    "No Latchkey found: set LATCHKEY_URL to a running server, set LATCHKEY_BIN to the program, or put `latchkey` on the PATH"
)


class Workspace:
    """A workspace for one test: its locks, its access codes and a held clock."""

    def __init__(self, sandbox, **params):
        params = {"clock": {"held_at": START}, "locks": 2, "ttl": "PT10M", **params}
        created = sandbox.client.post("/_emulator/workspaces/create", json=params)
        self.seam = Seam(created["api_key"], endpoint=str(sandbox.client.base_url))
        self.locks = [device["device_id"] for device in created["devices"]]

    def emulator(self, path, **body):
        """Sends a request to the control plane. The client of the SDK adds the API key and raises on an error."""
        return self.seam.client.post(f"/_emulator/{path}", json=body)

    def advance(self, **how):
        """Moves the clock by="PT1H", to="2026-03-20T15:00:00Z" or until="quiet", and returns when all due steps are done."""
        return self.emulator("clock/advance", **how)

    def memory(self, lock):
        """Returns the codes stored in the lock."""
        return self.emulator("locks/memory", device_id=lock)["codes"]

    def offline(self, lock):
        self.emulator("devices/update", device_id=lock, online=False)

    def online(self, lock):
        self.emulator("devices/update", device_id=lock, online=True)

    def events(self, code):
        """Returns the event types of an access code, oldest first."""
        found = self.seam.events.list(access_code_id=code.access_code_id, since="2026-01-01T00:00:00Z")
        return [event.event_type.removeprefix("access_code.") for event in found]

    def delete(self):
        with self.seam:
            self.emulator("workspaces/delete")


@pytest.fixture(scope="session")
def latchkey():
    """URL of the server."""
    if url := os.environ.get("LATCHKEY_URL"):
        try:
            urlopen(f"{url.rstrip('/')}/health", timeout=10).close()
        except (OSError, ValueError, HTTPException) as error:
            pytest.exit(f"No Latchkey responds at {url}: {error}", returncode=1)
        yield url
        return
    built = Path(__file__).resolve().parents[2] / "target/debug/latchkey"
    chosen = os.environ.get("LATCHKEY_BIN")
    program = chosen or shutil.which("latchkey") or str(built)
    if not shutil.which(program):
        pytest.exit(f"LATCHKEY_BIN is not a program: {chosen}" if chosen else NOT_FOUND, returncode=1)
    command = [program, "--ephemeral", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            ready = next((line for line in server.stdout if line.startswith("ready on ")), None)
            assert ready, f"{program} stopped before it was ready; its output is above"
            yield ready.split()[2]
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def sandbox(latchkey):
    """The default sandbox, for requests that need no workspace of their own."""
    with Seam(SANDBOX_KEY, endpoint=latchkey) as seam:
        yield seam


@pytest.fixture
def make_workspace(sandbox):
    """Creates workspaces and deletes them after the test: make_workspace(locks=5, seed="x")."""
    workspaces = []

    def make(**params):
        workspaces.append(Workspace(sandbox, **params))
        return workspaces[-1]

    yield make
    for workspace in workspaces:
        workspace.delete()


@pytest.fixture
def workspace(make_workspace):
    """A workspace with two August locks."""
    return make_workspace()
