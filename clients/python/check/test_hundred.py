"""A hundred tests, with a workspace each. Each records the server that it used."""

from pathlib import Path

import pytest

from latchkey_seam import Workspace


@pytest.mark.parametrize("number", range(100))
def test_guest_code_is_set(workspace: Workspace, number: int) -> None:
    code = workspace.seam.access_codes.create(device_id=workspace.devices[0]["device_id"], name=f"Guest {number}")
    workspace.advance("1s")
    assert workspace.seam.access_codes.get(access_code_id=code.access_code_id).status == "set"
    Path(f"server-of-{number}").write_text(workspace.url)
