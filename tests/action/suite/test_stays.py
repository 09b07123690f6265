"""A hundred tests as those of a user: the official SDK, the control plane, and a workspace for each."""

import pytest


@pytest.mark.parametrize("guest", range(100))
def test_code_works_from_check_in_to_check_out(stay, guest):
    seam, lock = stay
    frame = {"starts_at": "2026-03-23T15:00:00Z", "ends_at": "2026-03-26T11:00:00Z"}
    code = seam.access_codes.create(device_id=lock, name=f"Guest {guest}", **frame)
    assert code.status == "unset"
    seam.client.post("/_emulator/clock/advance", json={"to": frame["starts_at"]})
    assert seam.access_codes.get(access_code_id=code.access_code_id).status == "set"
    seam.client.post("/_emulator/clock/advance", json={"to": frame["ends_at"]})
    assert seam.access_codes.get(access_code_id=code.access_code_id).status == "removing"
