"""Tests of guest access codes, from the booking to the check-out. They neither sleep nor poll."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from seam.exceptions import SeamHttpApiError


def pending(code):
    return [mutation["mutation_code"] for mutation in code.pending_mutations]


def errors(code):
    return [error["error_code"] for error in code.errors]


def test_a_guests_stay_from_booking_to_404(workspace):
    lock, _ = workspace.locks

    def look():
        return workspace.seam.access_codes.get(access_code_id=code.access_code_id)

    # Booked three weeks ahead: nothing is on the lock yet.
    code = workspace.seam.access_codes.create(
        device_id=lock, name="Ada", starts_at="2026-03-23T15:00:00Z", ends_at="2026-03-26T11:00:00Z"
    )
    assert (code.status, pending(code)) == ("unset", ["deferring_creation"])
    workspace.advance(to="2026-03-20T14:59:59Z")
    assert (look().is_scheduled_on_device, workspace.memory(lock)) == (False, [])

    # 72 hours before the start the code is set on the lock, which stores the schedule.
    workspace.advance(by="PT1S")
    assert pending(look()) == ["creating"]
    workspace.advance(by="PT1S")
    assert (look().status, look().is_scheduled_on_device, pending(look())) == ("unset", True, [])
    assert [held["code"] for held in workspace.memory(lock)] == [code.code]

    # Check-in.
    workspace.advance(to="2026-03-23T14:59:59Z")
    assert look().status == "unset"
    workspace.advance(by="PT1S")
    assert look().status == "set"

    # One night more. August locks change a code by deleting and recreating it, hence `setting`.
    workspace.seam.access_codes.update(access_code_id=code.access_code_id, ends_at="2026-03-27T11:00:00Z")
    assert (look().status, pending(look())) == ("setting", ["updating_time_frame"])
    workspace.advance(by="PT1S")
    assert (look().status, pending(look())) == ("set", [])
    workspace.advance(to="2026-03-26T11:00:00Z")
    assert look().status == "set"

    # Check-out, and the lock is offline, so the code cannot be removed.
    workspace.offline(lock)
    workspace.advance(to="2026-03-27T11:00:00Z")
    assert (look().status, pending(look())) == ("removing", ["deleting"])
    assert errors(look()) == ["failed_to_remove_from_device", "device_disconnected"]
    workspace.advance(by="PT3H")
    assert (look().status, len(workspace.memory(lock))) == ("removing", 1)

    # The lock is online again and removes the code.
    workspace.online(lock)
    workspace.advance(by="PT1S")
    with pytest.raises(SeamHttpApiError) as gone:
        look()
    assert gone.value.status_code == 404
    assert workspace.memory(lock) == []
    assert workspace.events(code) == [
        "created",
        "scheduled_on_device",
        "set_on_device",
        "mutations_requested",
        "changed",
        "time_frame_changed",
        "failed_to_remove_from_device",
        "removed_from_device",
        "deleted",
    ]


def test_a_lock_that_fails_three_times_has_the_code_at_the_fourth_attempt(workspace):
    lock, _ = workspace.locks
    fault = workspace.emulator("faults/create", operation="set", device_id=lock, outcome={"fail": {}}, times=3)["fault"]

    code = workspace.seam.access_codes.create(device_id=lock, name="Cleaner")

    def look():
        return workspace.seam.access_codes.get(access_code_id=code.access_code_id)

    for wait in ["PT0.25S", "PT10.25S", "PT20.25S"]:
        workspace.advance(by=wait)
        assert (look().status, errors(look())) == ("setting", ["failed_to_set_on_device"])
    assert workspace.memory(lock) == []

    workspace.advance(by="PT40.25S")
    assert (look().status, errors(look())) == ("set", [])
    assert [held["code"] for held in workspace.memory(lock)] == [code.code]
    assert workspace.events(code) == ["created", "failed_to_set_on_device", "set_on_device"]
    (used,) = workspace.emulator("faults/list")["faults"]
    assert (used["fault_id"], used["used"], used["is_exhausted"]) == (fault["fault_id"], 3, True)


def test_two_guests_have_one_pin_each_for_both_doors_and_a_backup_where_a_lock_fails(make_workspace):
    workspace = make_workspace(locks=[{"device_type": "ttlock_lock", "name": name} for name in ("Street", "Flat")])
    street, flat = workspace.locks
    workspace.emulator("faults/create", operation="set", device_id=flat, outcome={"fail": {}})

    def arrive(name):
        return workspace.seam.access_codes.create_multiple(
            device_ids=workspace.locks,
            name=name,
            starts_at="2026-03-02T12:00:00Z",
            ends_at="2026-03-05T11:00:00Z",
            use_backup_access_code_pool=True,
        )

    ada, grace = arrive("Ada"), arrive("Grace")
    assert [code.device_id for code in ada] == [street, flat]
    assert len({code.code for code in ada}) == len({code.code for code in grace}) == 1
    assert ada[0].code != grace[0].code

    workspace.advance(by="PT1S")
    at_street, at_flat = (workspace.seam.access_codes.get(access_code_id=code.access_code_id) for code in ada)
    assert (at_street.status, errors(at_street)) == ("set", [])
    assert (at_flat.status, errors(at_flat)) == ("setting", ["failed_to_set_on_device"])

    # The pool was filled before the fault, so a backup code is available.
    backup = workspace.seam.access_codes.pull_backup_access_code(access_code_id=at_flat.access_code_id)
    assert (backup.device_id, backup.is_backup, backup.status) == (flat, True, "set")
    assert backup.code not in (ada[0].code, grace[0].code)
    assert backup.code in [held["code"] for held in workspace.memory(flat)]


@pytest.mark.parametrize(
    ("device_type", "programmed_at"),
    [
        ("ttlock_lock", "2026-03-20T15:00:00.250Z"),
        ("schlage_lock", "2026-03-20T15:00:00.250Z"),
        ("smartthings_lock", "2026-03-23T14:00:00.250Z"),
    ],
)
def test_a_lock_that_keeps_schedules_has_its_code_72_hours_ahead_and_others_one(make_workspace, device_type, programmed_at):
    workspace = make_workspace(locks=[{"device_type": device_type}])
    (lock,) = workspace.locks
    workspace.seam.access_codes.create(device_id=lock, starts_at="2026-03-23T15:00:00Z", ends_at="2026-03-26T11:00:00Z")

    workspace.advance(until="next")  # the lock begins
    assert workspace.memory(lock) == []
    reached = workspace.advance(until="next")  # and is done
    assert (reached["now"], len(workspace.memory(lock))) == (programmed_at, 1)


def test_workspaces_have_clocks_of_their_own(make_workspace):
    def live(days):
        workspace = make_workspace()
        code = workspace.seam.access_codes.create(
            device_id=workspace.locks[0], code="4826", starts_at="2026-03-02T12:00:00Z", ends_at="2026-03-04T11:00:00Z"
        )
        workspace.advance(by=f"P{days}D")
        return workspace.events(code)

    with ThreadPoolExecutor() as side_by_side:
        histories = list(side_by_side.map(live, range(4)))
    assert histories == [
        ["created"],
        ["created", "set_on_device"],
        ["created", "set_on_device", "removed_from_device", "deleted"],
        ["created", "set_on_device", "removed_from_device", "deleted"],
    ]
