"""Latchkey for pytest: one server for the whole run, a world of its own for each test.

LATCHKEY_URL names a server that runs already. Without it one is started, from LATCHKEY_BIN, else `latchkey` on the PATH,
else the debug build of the repository this file is in.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from seam import Seam

# What every world's clock says at the beginning: a Monday, at noon.
START = "2026-03-02T12:00:00Z"

# The key of the sandbox that every server has.
SANDBOX_KEY = "seam_testsand_LatchkeySandbox"


class World:
    """A workspace for one test: its locks, its codes, and a clock that stands still until it is told to move."""

    def __init__(self, sandbox, **wishes):
        wishes = {"clock": {"held_at": START}, "locks": 2, "ttl": "PT10M", **wishes}
        made = sandbox.client.post("/_emulator/workspaces/create", json=wishes)
        self.seam = Seam(made["api_key"], endpoint=str(sandbox.client.base_url))
        self.locks = [device["device_id"] for device in made["devices"]]

    def emulator(self, path, **body):
        """Asks the control plane. The SDK's own client carries the key, and turns a refusal into an exception."""
        return self.seam.client.post(f"/_emulator/{path}", json=body)

    def advance(self, **how):
        """Moves the clock by="PT1H", to="2026-03-20T15:00:00Z" or until="quiet". All that falls due has happened then."""
        return self.emulator("clock/advance", **how)

    def memory(self, lock):
        """What the lock truly holds."""
        return self.emulator("locks/memory", device_id=lock)["codes"]

    def offline(self, lock):
        self.emulator("devices/update", device_id=lock, online=False)

    def online(self, lock):
        self.emulator("devices/update", device_id=lock, online=True)

    def events(self, code):
        """The types of a code's events, in the order in which they occurred."""
        found = self.seam.events.list(access_code_id=code.access_code_id, since="2026-01-01T00:00:00Z")
        return [event.event_type.removeprefix("access_code.") for event in found]

    def delete(self):
        with self.seam:
            self.emulator("workspaces/delete")


@pytest.fixture(scope="session")
def latchkey():
    """The address of a server."""
    if url := os.environ.get("LATCHKEY_URL"):
        yield url
        return
    built = Path(__file__).resolve().parents[2] / "target/debug/latchkey"
    program = os.environ.get("LATCHKEY_BIN") or shutil.which("latchkey") or str(built)
    command = [program, "--ephemeral", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            ready = next((line for line in server.stdout if line.startswith("ready on ")), None)
            assert ready, f"{program} stopped before it was ready; it says above why"
            yield ready.split()[2]
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def sandbox(latchkey):
    """The workspace that every server has, for what needs no world of its own."""
    with Seam(SANDBOX_KEY, endpoint=latchkey) as seam:
        yield seam


@pytest.fixture
def make_world(sandbox):
    """Makes as many worlds as a test wants: make_world(locks=5, seed="x")."""
    worlds = []

    def make(**wishes):
        worlds.append(World(sandbox, **wishes))
        return worlds[-1]

    yield make
    for world in worlds:
        world.delete()


@pytest.fixture
def world(make_world):
    """A world with two August locks."""
    return make_world()
