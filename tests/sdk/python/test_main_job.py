"""The main job through the official Python client: a PIN on two locks, from its making to its end.

Needs BASE_URL and API_KEY.
"""

import os
import time
from itertools import combinations

import pytest
from seam import Seam
from seam.exceptions import SeamHttpApiError, SeamHttpInvalidInputError

UNKNOWN_DEVICE = "00000000-0000-4000-8000-00000000dead"
SETTLE_S = float(os.environ.get("SETTLE_TIMEOUT_MS", "20000")) / 1000


@pytest.fixture(scope="module")
def seam():
    with Seam(api_key=os.environ["API_KEY"], endpoint=os.environ["BASE_URL"]) as client:
        yield client


@pytest.fixture(scope="module")
def device_ids(seam):
    """Two locks that can share a PIN."""

    def lengths(lock):
        return set(getattr(lock.properties, "supported_code_lengths", None) or [4])

    locks = [
        device
        for device in seam.devices.list()
        if device.can_program_online_access_codes and getattr(device.properties, "online", True) is not False
    ]
    for pair in combinations(locks, 2):
        if lengths(pair[0]) & lengths(pair[1]):
            return [lock.device_id for lock in pair]
    pytest.fail("the workspace has no two locks that can share a PIN")


@pytest.fixture
def create_on_both(seam, device_ids):
    created = []

    def create(name):
        codes = seam.access_codes.create_multiple(device_ids=device_ids, name=name)
        created.extend(codes)
        return codes

    yield create
    for code in created:
        if not is_gone(seam, code):
            seam.access_codes.delete(access_code_id=code.access_code_id)


def until(what, check):
    deadline = time.monotonic() + SETTLE_S
    while not check():
        assert time.monotonic() < deadline, f"timed out waiting until {what}"
        time.sleep(0.1)


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
        until(
            "the code is set",
            lambda: seam.access_codes.get(access_code_id=created.access_code_id).status == "set",
        )
        assert seam.access_codes.get(access_code_id=created.access_code_id).errors == []


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
