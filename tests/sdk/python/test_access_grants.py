"""A stay of two guests in a space with three locks through the official Python client: access grants and their methods,
from the booking to the check-out. Each test has a workspace of its own, whose clock it moves.

Needs BASE_URL and API_KEY.
"""

import os

import pytest
from seam import NULL, Seam
from seam.exceptions import SeamHttpApiError, SeamHttpInvalidInputError

BOOKING = "2026-03-02T12:00:00.000Z"
CHECK_IN, CHECK_OUT, LATE_CHECK_OUT = (
    f"2026-{instant}:00.000Z" for instant in ("03-23T15:00", "03-26T11:00", "03-27T11:00")
)
UNKNOWN = "00000000-0000-4000-8000-00000000dead"


@pytest.fixture
def stay():
    """A workspace with a held clock and four locks, three of them in a space, and a grant on that space for each guest.

    The identity of the first guest is made with the grant, that of the second before it.
    """
    with Seam(api_key=os.environ["API_KEY"], endpoint=os.environ["BASE_URL"]) as sandbox:
        params = {"clock": {"held_at": BOOKING}, "locks": 4, "ttl": "PT1H"}
        workspace = sandbox.client.post("/_emulator/workspaces/create", json=params)
    with Seam(api_key=workspace["api_key"], endpoint=os.environ["BASE_URL"]) as seam:
        yield Stay(seam, [device["device_id"] for device in workspace["devices"]])
        seam.client.post("/_emulator/workspaces/delete")


class Stay:
    def __init__(self, seam, device_ids):
        self.seam, self.device_ids = seam, device_ids
        self.space = seam.spaces.create(name="Apartment 12", space_key="apartment-12", device_ids=device_ids[:3])
        shared = {
            "space_ids": [self.space.space_id],
            "requested_access_methods": [{"mode": "code"}],
            "starts_at": CHECK_IN,
            "ends_at": CHECK_OUT,
            "reservation_key": "stay-1",
        }
        ada = {"full_name": "Ada Guest", "email_address": "ada@example.com", "user_identity_key": "guest-ada"}
        self.ada = seam.access_grants.create(user_identity=ada, access_grant_key="stay-1-ada", **shared)
        ben = seam.user_identities.create(full_name="Ben Guest")
        self.ben = seam.access_grants.create(user_identity_id=ben.user_identity_id, **shared)

    def method_of(self, grant):
        """The method and its PIN, as Seam's Quick Start reads them."""
        requested = grant.requested_access_methods[0]
        return self.seam.access_methods.get(access_method_id=requested.created_access_method_ids[0])

    def get(self, grant):
        return self.seam.access_grants.get(access_grant_id=grant.access_grant_id)

    def codes_of(self, grant):
        return self.seam.access_codes.list(access_grant_id=grant.access_grant_id)

    def advance(self, to):
        self.seam.client.post("/_emulator/clock/advance", json={"to": to})

    def let_locks_work(self):
        self.seam.client.post("/_emulator/clock/advance", json={"by": "PT1S"})

    def event_types(self, **of):
        return [event.event_type for event in self.seam.events.list(since="2026-01-01T00:00:00Z", **of)]


def pins(codes):
    return [code.code for code in codes]


def statuses(codes):
    return [code.status for code in codes]


def devices_of(objects):
    return {item.device_id for item in objects}


def kinds(conditions, key):
    return [condition[key] for condition in conditions]


def assert_not_found(code, call, **params):
    with pytest.raises(SeamHttpApiError) as refused:
        call(**params)
    assert (refused.value.status_code, refused.value.code) == (404, code)


def test_pin_of_each_guest_is_known_when_the_grant_is_created(stay):
    of_ada, of_ben = stay.method_of(stay.ada), stay.method_of(stay.ben)
    for grant, method in ((stay.ada, of_ada), (stay.ben, of_ben)):
        assert grant.access_method_ids == [method.access_method_id]
        assert (grant.space_ids, grant.starts_at, grant.ends_at) == ([stay.space.space_id], CHECK_IN, CHECK_OUT)
        assert (grant.errors, grant.warnings, grant.pending_mutations) == ([], [], [])
        assert method.code.isdigit() and len(method.code) >= 4
        assert (method.mode, method.is_issued, method.display_status) == ("code", True, "Upcoming")
        (listed,) = stay.seam.access_methods.list(access_grant_id=grant.access_grant_id)
        assert (listed.access_method_id, listed.code) == (method.access_method_id, method.code)
    assert of_ada.code != of_ben.code
    assert (stay.ada.display_name, stay.ben.display_name) == ("Ada Guest", "Ben Guest")
    identity = stay.seam.user_identities.get(user_identity_key="guest-ada")
    assert (identity.user_identity_id, identity.email_address) == (stay.ada.user_identity_id, "ada@example.com")


def test_codes_of_a_grant_have_one_pin_and_are_set_at_check_in(stay):
    code = stay.method_of(stay.ada).code
    assert statuses(stay.codes_of(stay.ada)) == ["unset"] * 3
    stay.advance(CHECK_IN)
    codes = stay.codes_of(stay.ada)
    assert (statuses(codes), pins(codes)) == (["set"] * 3, [code] * 3)
    assert devices_of(codes) == set(stay.device_ids[:3])
    assert len({access_code.common_code_key for access_code in codes}) == 1
    for device_id in stay.device_ids[:3]:
        entered = stay.seam.client.post("/_emulator/locks/enter_code", json={"device_id": device_id, "code": code})
        assert entered["result"] == "unlocked"
    method = stay.method_of(stay.ada)
    assert (method.is_issued, method.display_status) == (True, "Active")
    assert stay.get(stay.ada).display_status == "Active"
    assert stay.event_types(access_grant_id=stay.ada.access_grant_id) == [
        "access_grant.created",
        "access_method.created",
        "access_method.issued",
        "access_grant.access_granted_to_all_doors",
    ]


def test_extension_keeps_the_pin_and_issues_the_method_again(stay):
    stay.advance(CHECK_IN)
    before = stay.method_of(stay.ada)
    stay.seam.access_grants.update(access_grant_key="stay-1-ada", ends_at=LATE_CHECK_OUT)

    grant, method = stay.get(stay.ada), stay.method_of(stay.ada)
    assert grant.ends_at == LATE_CHECK_OUT
    assert kinds(grant.warnings, "warning_code") == ["updating_access_times"]
    assert (method.is_issued, method.issued_at, method.code) == (False, None, before.code)
    (mutation,) = method.pending_mutations
    assert mutation["mutation_code"] == "updating_access_times"
    assert (mutation.from_.ends_at, mutation.to.ends_at) == (CHECK_OUT, LATE_CHECK_OUT)

    stay.let_locks_work()
    again = stay.method_of(stay.ada)
    assert (again.access_method_id, again.code, again.is_issued) == (before.access_method_id, before.code, True)
    assert (again.warnings, again.pending_mutations, stay.get(stay.ada).warnings) == ([], [], [])
    for code in stay.codes_of(stay.ada):
        assert (code.status, code.code, code.ends_at) == ("set", before.code, LATE_CHECK_OUT)
    assert stay.event_types(access_grant_id=stay.ada.access_grant_id)[-3:] == [
        "access_grant.access_times_changed",
        "access_method.revoked",
        "access_method.reissued",
    ]
    (reissued,) = stay.seam.events.list(
        access_method_id=before.access_method_id, event_type="access_method.reissued", since=BOOKING
    )
    assert (reissued.code, reissued.access_grant_keys) == (before.code, ["stay-1-ada"])


def test_lock_that_joins_the_space_gets_the_pin_of_each_guest(stay):
    stay.advance(CHECK_IN)
    added = {"space_id": stay.space.space_id, "device_ids": [stay.device_ids[3]]}
    stay.seam.spaces.add_devices(**added)
    stay.seam.spaces.add_devices(**added)

    grant, method = stay.get(stay.ada), stay.method_of(stay.ada)
    assert kinds(grant.warnings, "warning_code") == ["underprovisioned_access"]
    assert kinds(grant.pending_mutations, "mutation_code") == ["updating_spaces"]
    assert method.is_issued
    assert kinds(method.pending_mutations, "mutation_code") == ["provisioning_access"]

    stay.let_locks_work()
    for guest in (stay.ada, stay.ben):
        codes = stay.codes_of(guest)
        assert (statuses(codes), pins(codes)) == (["set"] * 4, [stay.method_of(guest).code] * 4)
        assert devices_of(codes) == set(stay.device_ids)
        grant = stay.get(guest)
        assert (grant.warnings, grant.pending_mutations) == ([], [])
    assert stay.seam.spaces.get(space_key="apartment-12").device_count == 4

    stay.seam.spaces.remove_devices(**added)
    stay.let_locks_work()
    assert devices_of(stay.codes_of(stay.ada)) == set(stay.device_ids[:3])


def test_deleted_grant_stays_until_its_last_lock_is_back_and_the_other_stay_ends_by_itself(stay):
    seam, ada, ben = stay.seam, stay.ada, stay.ben
    grant_id, device_id = ada.access_grant_id, stay.device_ids[0]
    method_id = ada.access_method_ids[0]
    stay.advance(CHECK_IN)
    seam.devices.simulate.disconnect(device_id=device_id)
    seam.access_grants.delete(access_grant_id=grant_id)
    stay.let_locks_work()
    seam.access_grants.delete(access_grant_id=grant_id)

    deleted, method = stay.get(ada), stay.method_of(ada)
    assert deleted.display_status == "Being deleted"
    assert kinds(deleted.warnings, "warning_code") == ["being_deleted"]
    assert kinds(method.warnings, "warning_code") == ["being_deleted"]
    assert kinds(method.pending_mutations, "mutation_code") == ["revoking_access"]
    left = stay.codes_of(ada)
    assert (devices_of(left), statuses(left)) == ({device_id}, ["removing"])

    seam.devices.simulate.connect(device_id=device_id)
    stay.let_locks_work()
    assert_not_found("access_grant_not_found", seam.access_grants.get, access_grant_id=grant_id)
    assert_not_found("access_method_not_found", seam.access_methods.get, access_method_id=method_id)
    assert_not_found("access_grant_not_found", seam.access_grants.delete, access_grant_id=grant_id)
    assert stay.event_types(access_grant_id=grant_id)[-2:] == ["access_method.deleted", "access_grant.deleted"]

    assert statuses(stay.codes_of(ben)) == ["set"] * 3
    stay.advance(CHECK_OUT)
    stay.let_locks_work()
    assert stay.codes_of(ben) == []
    over, method = stay.get(ben), stay.method_of(ben)
    assert (over.display_status, over.ends_at) == ("Expired", CHECK_OUT)
    assert (method.display_status, method.is_issued) == ("Expired", False)
    for device_id in stay.device_ids:
        memory = seam.client.post("/_emulator/locks/memory", json={"device_id": device_id})
        assert method.code not in [stored["code"] for stored in memory["codes"]]


def test_deleted_method_leaves_the_grant_and_its_other_method(stay):
    methods = stay.seam.access_methods
    more = stay.seam.access_grants.request_access_methods(
        access_grant_id=stay.ada.access_grant_id, requested_access_methods=[{"mode": "code", "code": "73910"}]
    )
    (first,), (second,) = (request.created_access_method_ids for request in more.requested_access_methods)
    assert methods.get(access_method_id=second).code == "73910"
    methods.delete(access_method_id=first)
    methods.delete(access_method_id=first)
    stay.let_locks_work()
    assert_not_found("access_method_not_found", methods.get, access_method_id=first)
    assert_not_found("access_method_not_found", methods.delete, access_method_id=first)
    assert stay.get(stay.ada).access_method_ids == [second]
    assert pins(stay.codes_of(stay.ada)) == ["73910"] * 3


def test_grants_methods_and_codes_are_found_by_each_filter(stay):
    seam, ada, ben = stay.seam, stay.ada, stay.ben
    space_id = stay.space.space_id
    both, of_ada = {ada.access_grant_id, ben.access_grant_id}, {ada.access_grant_id}
    code_id = stay.codes_of(ada)[0].access_code_id
    first, fourth = stay.device_ids[0], stay.device_ids[3]
    for of, expected in (
        ({}, both),
        ({"access_grant_ids": [ada.access_grant_id]}, of_ada),
        ({"access_grant_key": "stay-1-ada"}, of_ada),
        ({"access_grant_key": NULL}, {ben.access_grant_id}),
        ({"access_code_id": code_id}, of_ada),
        ({"user_identity_id": ada.user_identity_id}, of_ada),
        ({"space_id": space_id}, both),
        ({"device_id": first}, both),
        ({"device_id": fourth}, set()),
        ({"reservation_key": "stay-1"}, both),
        ({"reservation_key": "stay-2"}, set()),
        ({"search": "ada@"}, of_ada),
    ):
        assert {grant.access_grant_id for grant in seam.access_grants.list(**of)} == expected, of
    of_grant = {"access_grant_id": ada.access_grant_id}
    for of in (
        of_grant,
        {"access_grant_key": "stay-1-ada"},
        {**of_grant, "device_id": first},
        {**of_grant, "space_id": space_id},
        {**of_grant, "access_code_id": code_id},
    ):
        assert [method.access_method_id for method in seam.access_methods.list(**of)] == ada.access_method_ids, of
    for of in (of_grant, {"access_grant_key": "stay-1-ada"}, {"access_method_id": ada.access_method_ids[0]}):
        assert len(seam.access_codes.list(**of)) == 3, of
    assert devices_of(seam.devices.list(space_id=space_id)) == set(stay.device_ids[:3])
    assert [space.space_id for space in seam.spaces.list(search="apartment")] == [space_id]
    (identity,) = seam.user_identities.list(search="Ada")
    assert identity.user_identity_id == ada.user_identity_id
    assert seam.access_grants.unmanaged.list() == []


def test_grants_are_listed_page_by_page(stay):
    pages = stay.seam.create_paginator(stay.seam.access_grants.list, {"limit": 1})
    first, pagination = pages.first_page()
    assert (len(first), pagination.has_next_page) == (1, True)
    second, pagination = pages.next_page(pagination.next_page_cursor)
    assert not pagination.has_next_page
    found = {grant.access_grant_id for grant in [*first, *second]}
    assert found == {stay.ada.access_grant_id, stay.ben.access_grant_id}


def test_related_objects_of_a_grant_and_of_a_method_are_read_together(stay):
    ada = stay.ada
    batch = stay.seam.access_grants.get_related(access_grant_keys=["stay-1-ada"])
    assert {device["device_id"] for device in batch.devices} == set(stay.device_ids[:3])
    assert [space["space_id"] for space in batch.spaces] == [stay.space.space_id]
    assert [method["access_method_id"] for method in batch.access_methods] == ada.access_method_ids
    assert [identity["user_identity_id"] for identity in batch.user_identities] == [ada.user_identity_id]
    batch = stay.seam.access_methods.get_related(
        access_method_ids=ada.access_method_ids, include=["access_grants", "devices"]
    )
    assert [grant["access_grant_id"] for grant in batch.access_grants] == [ada.access_grant_id]
    assert {device["device_id"] for device in batch.devices} == set(stay.device_ids[:3])


def test_related_objects_of_a_space_include_the_methods_of_its_guests(stay):
    batch = stay.seam.spaces.get_related(space_keys=["apartment-12"], exclude=["connected_accounts"])
    assert [space["space_id"] for space in batch.spaces] == [stay.space.space_id]
    assert {device["device_id"] for device in batch.devices} == set(stay.device_ids[:3])
    of_guests = {*stay.ada.access_method_ids, *stay.ben.access_method_ids}
    assert {method["access_method_id"] for method in batch.access_methods} == of_guests


def test_devices_of_a_grant_are_accessible_to_its_guest(stay):
    accessible = stay.seam.user_identities.list_accessible_devices(user_identity_id=stay.ada.user_identity_id)
    assert devices_of(accessible) == set(stay.device_ids[:3])


def test_code_of_a_grant_cannot_be_deleted_on_its_own(stay):
    code_id = stay.codes_of(stay.ada)[0].access_code_id
    with pytest.raises(SeamHttpApiError) as refused:
        stay.seam.access_codes.delete(access_code_id=code_id)
    assert (refused.value.status_code, refused.value.code) == (400, "access_code_managed_by_access_grant")
    assert len(stay.codes_of(stay.ada)) == 3


def test_request_that_names_nothing_or_nobody_is_refused(stay):
    create = stay.seam.access_grants.create
    here, code = [stay.space.space_id], [{"mode": "code"}]
    ada = stay.ada.user_identity_id
    with pytest.raises(SeamHttpInvalidInputError):
        create(user_identity_id=ada, requested_access_methods=code)
    of_nowhere = {"user_identity_id": ada, "space_ids": [UNKNOWN], "requested_access_methods": code}
    assert_not_found("space_not_found", create, **of_nowhere)
    of_nobody = {"user_identity_id": UNKNOWN, "space_ids": here, "requested_access_methods": code}
    assert_not_found("user_identity_not_found", create, **of_nobody)
    with pytest.raises(SeamHttpApiError) as refused:
        create(user_identity_id=ada, space_ids=here, requested_access_methods=code, access_grant_key="stay-1-ada")
    assert (refused.value.status_code, refused.value.code) == (409, "access_grant_key_already_exists")
