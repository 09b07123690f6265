"""Each line has a mistake that a type checker must find."""

from latchkey_seam import Latchkey, Workspace


def mistakes(latchkey: Latchkey, workspace: Workspace) -> None:
    """Contains the mistakes."""
    latchkey.create_workspace(lokcs=2)
    latchkey.create_workspace(clock="held")
    workspace.advance(until="never")
    workspace.fault("open")
    workspace.delte()
