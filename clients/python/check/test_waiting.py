"""Tests that wait until they are killed."""

import threading
from pathlib import Path

import pytest

from latchkey_seam import Workspace


@pytest.mark.parametrize("number", range(2))
def test_that_waits(workspace: Workspace, number: int) -> None:
    Path(f"waiting-{number}").write_text(workspace.url)
    assert threading.Event().wait(300)
