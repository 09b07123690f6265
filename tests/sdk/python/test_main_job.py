"""The main job through the official Python client: a PIN on two locks, from its making to its end, and what can come
between.

Needs BASE_URL and API_KEY.
"""

import os
import time
from datetime import datetime, timedelta, timezone
from itertools import combinations

import pytest
from seam import Seam
from seam.exceptions import SeamHttpApiError, SeamHttpInvalidInputError

UNKNOWN_DEVICE = "00000000-0000-4000-8000-00000000dead"
HOUR = timedelta(hours=1)
SETTLE_S = float(os.environ.get("SETTLE_TIMEOUT_MS", "20000")) / 1000


@pytest.fixture(scope="module")
def seam():
    with Seam(api_key=os.environ["API_KEY"], endpoint=os.environ["BASE_URL"]) as client:
        yield client


@pytest.fixture(scope="module")
def locks(seam):
    """Locks that take codes now."""
    return [
        device
        for device in seam.devices.list()
        if device.can_program_online_access_codes and getattr(device.properties, "online", True) is not False
    ]


@pytest.fixture(scope="module")
def device_ids(locks):
    """Two locks that can share a PIN."""

    def lengths(lock):
        return set(getattr(lock.properties, "supported_code_lengths", None) or [4])

    for pair in combinations(locks, 2):
        if lengths(pair[0]) & lengths(pair[1]):
            return [lock.device_id for lock in pair]
    pytest.fail("the workspace has no two locks that can share a PIN")


@pytest.fixture
def created(seam):
    """Codes to be deleted in the end."""
    created = []
    yield created
    for code in created:
        if not is_gone(seam, code):
            seam.access_codes.delete(access_code_id=code.access_code_id)


@pytest.fixture
def create_on_both(seam, device_ids, created):
    def create(name, **more):
        codes = seam.access_codes.create_multiple(device_ids=device_ids, name=name, **more)
        created.extend(codes)
        return codes

    return create


def from_now(duration):
    instant = datetime.now(timezone.utc) + duration
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def until(what, check):
    deadline = time.monotonic() + SETTLE_S
    while not check():
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        time.sleep(0.1)


def settled(seam, access_code_id):
    """The code, once the lock has nothing to do with it any more."""

    def read():
        return seam.access_codes.get(access_code_id=access_code_id)

    def is_settled(code):
        return code.status == "set" and not code.pending_mutations

    until("the lock has the code as it was asked for", lambda: is_settled(read()))
    return read()


def is_gone(seam, code):
    try:
        seam.access_codes.get(access_code_id=code.access_code_id)
    except SeamHttpApiError as error:
        if error.status_code == 404:
            return True
        raise
    return False


def test_create_multiple_without_a_code_puts_one_pin_and_one_common_code_key_on_both_locks(create_on_both, device_ids):
    first, second = create_on_both("one pin")
    assert first.code.isdigit() and len(first.code) >= 4
    assert second.code == first.code
    assert first.common_code_key.startswith("auto_set_by_create_multiple_")
    assert second.common_code_key == first.common_code_key
    assert {first.device_id, second.device_id} == set(device_ids)


def test_a_code_of_each_lock_becomes_set_without_errors(seam, create_on_both):
    for created in create_on_both("becomes set"):
        assert settled(seam, created.access_code_id).errors == []


def test_a_list_by_device_holds_that_locks_code_and_no_other_locks(seam, create_on_both):
    first, second = create_on_both("listed")
    ids = {code.access_code_id for code in seam.access_codes.list(device_id=first.device_id)}
    assert first.access_code_id in ids
    assert second.access_code_id not in ids


def test_get_answers_the_code_that_create_multiple_answered(seam, create_on_both):
    created, _ = create_on_both("read back")
    code = seam.access_codes.get(access_code_id=created.access_code_id)
    for field in ("access_code_id", "device_id", "name", "code", "common_code_key", "created_at"):
        assert getattr(code, field) == getattr(created, field), field


def test_a_deleted_code_answers_404_once_it_is_off_its_lock(seam, create_on_both):
    codes = create_on_both("deleted")
    for code in codes:
        seam.access_codes.delete(access_code_id=code.access_code_id)
    for code in codes:
        until("the code is gone", lambda: is_gone(seam, code))


def test_a_code_for_an_unknown_lock_is_refused_with_device_not_found(seam):
    with pytest.raises(SeamHttpApiError) as refused:
        seam.access_codes.create(device_id=UNKNOWN_DEVICE)
    assert (refused.value.status_code, refused.value.code) == (404, "device_not_found")
    assert refused.value.request_id


def test_a_field_of_the_wrong_type_is_refused_with_messages_for_that_field(seam, device_ids):
    with pytest.raises(SeamHttpInvalidInputError) as refused:
        seam.access_codes.create(device_id=device_ids[0], name=42)
    assert refused.value.status_code == 400
    assert refused.value.get_validation_error_messages("name") == ["Expected string, received number"]
    assert refused.value.get_validation_error_messages("device_id") == []


def test_an_update_gives_an_ongoing_code_a_window_and_takes_it_away_again(seam, create_on_both):
    access_code_id = create_on_both("to be changed")[0].access_code_id
    settled(seam, access_code_id)
    starts_at, ends_at = from_now(-HOUR), from_now(HOUR)
    seam.access_codes.update(
        access_code_id=access_code_id, name="changed", type="time_bound", starts_at=starts_at, ends_at=ends_at
    )
    bound = settled(seam, access_code_id)
    assert bound.name == "changed"
    assert (bound.type, bound.starts_at, bound.ends_at) == ("time_bound", starts_at, ends_at)
    seam.access_codes.update(access_code_id=access_code_id, type="ongoing")
    ongoing = settled(seam, access_code_id)
    assert (ongoing.type, ongoing.starts_at, ongoing.ends_at) == ("ongoing", None, None)


def test_update_multiple_moves_and_renames_the_codes_of_both_locks(seam, create_on_both):
    starts_at = from_now(-HOUR)
    codes = create_on_both("to be moved", starts_at=starts_at, ends_at=from_now(HOUR))
    for code in codes:
        settled(seam, code.access_code_id)
    ends_at = from_now(2 * HOUR)
    seam.access_codes.update_multiple(common_code_key=codes[0].common_code_key, name="moved", ends_at=ends_at)
    for code in codes:
        moved = settled(seam, code.access_code_id)
        assert (moved.name, moved.code, moved.starts_at, moved.ends_at) == ("moved", code.code, starts_at, ends_at)


def test_a_backup_code_works_as_soon_as_it_is_pulled(seam, locks, created):
    device_id = next(lock.device_id for lock in locks if lock.properties.supports_backup_access_code_pool)
    ends_at = from_now(HOUR)
    code = seam.access_codes.create(
        device_id=device_id, starts_at=from_now(-HOUR), ends_at=ends_at, use_backup_access_code_pool=True
    )
    created.append(code)
    access_code_id = code.access_code_id
    until(
        "a backup is available",
        lambda: seam.access_codes.get(access_code_id=access_code_id).is_backup_access_code_available,
    )
    backup = seam.access_codes.pull_backup_access_code(access_code_id=access_code_id)
    created.append(backup)
    assert (backup.is_backup, backup.status, backup.ends_at) == (True, "set", ends_at)
    assert backup.code != code.code
    original = seam.access_codes.get(access_code_id=access_code_id)
    assert original.pulled_backup_access_code_id == backup.access_code_id


@pytest.fixture
def foreign_code(seam, device_ids):
    """A code that somebody else put on the first lock."""
    code = seam.access_codes.generate_code(device_id=device_ids[0]).code
    return seam.access_codes.simulate.create_unmanaged_access_code(
        device_id=device_ids[0], code=code, name="Neighbour"
    )


def test_a_code_put_on_the_lock_by_somebody_else_is_listed_and_can_be_taken_over(
    seam, device_ids, foreign_code, created
):
    access_code_id = foreign_code.access_code_id
    listed = seam.access_codes.unmanaged.list(device_id=device_ids[0])
    (found,) = [code for code in listed if code.access_code_id == access_code_id]
    assert (found.name, found.code, found.status, found.is_managed) == ("Neighbour", foreign_code.code, "set", False)
    seam.access_codes.unmanaged.convert_to_managed(access_code_id=access_code_id)
    managed = seam.access_codes.get(access_code_id=access_code_id)
    created.append(managed)
    assert (managed.code, managed.is_managed) == (foreign_code.code, True)


def test_a_code_put_on_the_lock_by_somebody_else_can_be_deleted(seam, device_ids, foreign_code):
    seam.access_codes.unmanaged.delete(access_code_id=foreign_code.access_code_id)

    def ids():
        return {code.access_code_id for code in seam.access_codes.unmanaged.list(device_id=device_ids[0])}

    until("the code is off the lock", lambda: foreign_code.access_code_id not in ids())


def test_a_disconnected_lock_is_given_its_codes_when_it_is_connected_again(seam, device_ids, create_on_both):
    device_id = device_ids[0]
    seam.devices.simulate.disconnect(device_id=device_id)
    try:
        device = seam.devices.get(device_id=device_id)
        assert [error["error_code"] for error in device.errors] == ["device_disconnected"]
        (waiting,) = [code for code in create_on_both("waiting") if code.device_id == device_id]
        code = seam.access_codes.get(access_code_id=waiting.access_code_id)
        assert code.status == "setting"
        assert [error["error_code"] for error in code.errors] == ["device_disconnected"]
    finally:
        seam.devices.simulate.connect(device_id=device_id)
    assert settled(seam, waiting.access_code_id).errors == []
