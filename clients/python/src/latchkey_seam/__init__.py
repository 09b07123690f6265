"""Latchkey for Python: starts a local stand-in for the Seam API, and controls its test workspaces."""

from ._client import LatchkeyError
from ._params import Advanced, HeldClock, Operation, Programming, RunningClock, WorkspaceParams
from ._server import Latchkey, find_program, start_latchkey
from ._workspace import Workspace

__all__ = [
    "Advanced",
    "HeldClock",
    "Latchkey",
    "LatchkeyError",
    "Operation",
    "Programming",
    "RunningClock",
    "Workspace",
    "WorkspaceParams",
    "find_program",
    "start_latchkey",
]
