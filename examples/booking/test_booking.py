"""Tests of the booking service against Latchkey: days pass, locks fail and go offline. They neither sleep nor poll."""

import json
import uuid
from datetime import datetime, timezone

import pytest
from app import make_server
from store import Store
from svix.webhooks import Webhook

CHECK_IN, CHECK_OUT = "2026-03-10T15:00:00Z", "2026-03-12T11:00:00Z"

# August locks get their codes 72 hours before the start. A lock operation takes a quarter of a second.
SCHEDULED = "2026-03-07T15:00:01Z"


@pytest.fixture
def booking(service, doors):
    status, booking = service.call(
        "POST", "/bookings", guest="Ada", device_ids=doors, starts_at=CHECK_IN, ends_at=CHECK_OUT
    )
    assert status == 201
    return booking


def state(service, booking):
    """Returns the state of the booking, and the last event of each of its access codes."""
    status, booking = service.call("GET", f"/bookings/{booking['booking_id']}")
    assert status == 200
    events = [code["last_event"] for code in booking["access_codes"]]
    return booking["state"], [event and event.removeprefix("access_code.") for event in events]


def memory(workspace, doors):
    """Returns the PINs that each lock stores."""
    return [[held["code"] for held in workspace.emulator("locks/memory", device_id=door)["codes"]] for door in doors]


def event_of(code, event_type, occurred_at):
    """Returns the body of an event that the tests make up."""
    return json.dumps(
        {
            "event_id": str(uuid.uuid4()),
            "event_type": f"access_code.{event_type}",
            "access_code_id": code["access_code_id"],
            "device_id": code["device_id"],
            "occurred_at": occurred_at,
        }
    )


def send_event(service, event, secret):
    """Sends an event to the webhook of the service, signed with this secret as Seam signs. Without one, not signed."""
    headers = {}
    if secret:
        now = datetime.now(timezone.utc)
        headers = {
            "svix-id": "msg_1",
            "svix-timestamp": str(int(now.timestamp())),
            "svix-signature": Webhook(secret).sign("msg_1", now, event),
        }
    return service.send("POST", "/webhooks/seam", event.encode(), headers)


@pytest.fixture
def secret(workspace, service):
    """The secret of the webhook of the service."""
    (webhook,) = workspace.seam.webhooks.list()
    return webhook.secret


def test_owner_connects_an_account_on_a_web_page(service, browser):
    assert service.call("GET", "/locks") == (200, {"locks": []})
    status, started = service.call("POST", "/connect")
    assert status == 201

    browser.open(started["connect_webview_url"])
    browser.follow("August")
    browser.submit(email="jane@example.com", password="wrong")
    assert browser.url.startswith(f"{service.url}/connected?")
    assert "not connected" in browser.text
    assert service.call("GET", "/locks") == (200, {"locks": []})

    browser.open(started["connect_webview_url"])
    browser.follow("August")
    browser.submit(email="jane@example.com", password="1234", region="Europe")
    browser.submit(two_factor_code="123456")
    assert browser.url.startswith(f"{service.url}/connected?")
    assert "Your locks are connected" in browser.text
    locks = service.call("GET", "/locks")[1]["locks"]
    assert [(lock["name"], lock["is_online"]) for lock in locks] == [("FRONT DOOR", True), ("BACK DOOR", True)]


def test_account_is_known_although_the_browser_was_closed_before_the_redirect(workspace, service):
    _, started = service.call("POST", "/connect")
    (webview,) = workspace.seam.connect_webviews.list()
    assert webview.url == started["connect_webview_url"]
    workspace.emulator("connect_webviews/complete", connect_webview_id=webview.connect_webview_id)
    workspace.wait_for_webhooks()
    assert len(service.call("GET", "/locks")[1]["locks"]) == 2


def test_redirect_for_a_webview_of_somebody_else_is_refused(workspace, service):
    webview = workspace.seam.connect_webviews.create()
    workspace.emulator("connect_webviews/complete", connect_webview_id=webview.connect_webview_id)
    workspace.wait_for_webhooks()
    assert service.call("GET", f"/connected?connect_webview_id={webview.connect_webview_id}")[0] == 404
    assert service.call("GET", "/locks") == (200, {"locks": []})


def test_guest_has_one_pin_for_all_doors_from_check_in_to_check_out(workspace, service, doors, booking):
    pin = booking["pin"]
    assert state(service, booking) == ("booked", [None, None])

    workspace.advance(to=SCHEDULED)
    assert state(service, booking) == ("ready", ["scheduled_on_device"] * 2)
    assert memory(workspace, doors) == [[pin], [pin]]

    workspace.advance(to=CHECK_IN)
    assert state(service, booking) == ("ready", ["set_on_device"] * 2)
    entered = workspace.emulator("locks/enter_code", device_id=doors[0], code=pin)
    assert entered["result"] == "unlocked"

    workspace.advance(to=CHECK_OUT)
    workspace.advance(by="PT1S")
    assert state(service, booking) == ("over", ["deleted"] * 2)
    assert memory(workspace, doors) == [[], []]


def test_moved_booking_has_the_same_pin_at_other_times(workspace, service, doors, booking):
    path = f"/bookings/{booking['booking_id']}"
    later = {"starts_at": "2026-03-11T15:00:00Z", "ends_at": "2026-03-14T11:00:00Z"}
    status, moved = service.call("PATCH", path, **later)
    assert (status, moved) == (200, {**booking, **later})

    workspace.advance(to=SCHEDULED)
    assert state(service, booking)[0] == "booked"
    workspace.advance(to=later["starts_at"])
    assert state(service, booking)[0] == "ready"

    # One night less, while the guest is there.
    service.call("PATCH", path, starts_at=later["starts_at"], ends_at="2026-03-13T11:00:00Z")
    workspace.advance(by="PT1S")
    assert state(service, booking)[0] == "ready"
    assert memory(workspace, doors) == [[booking["pin"]]] * 2
    workspace.advance(to="2026-03-13T11:00:01Z")
    assert state(service, booking)[0] == "over"

    assert service.call("PATCH", path, **later) == (409, {"error": "The booking is cancelled or over"})


def test_cancelled_booking_leaves_no_pin_on_the_locks(workspace, service, doors, booking):
    path = f"/bookings/{booking['booking_id']}"
    workspace.advance(to=SCHEDULED)
    status, cancelled = service.call("DELETE", path)
    assert (status, cancelled["state"]) == (200, "being_cancelled")
    workspace.advance(by="PT1S")
    assert state(service, booking) == ("cancelled", ["deleted"] * 2)
    assert memory(workspace, doors) == [[], []]

    assert service.call("DELETE", path)[0] == 200, "a second cancellation changes nothing"
    assert service.call("PATCH", path, starts_at=CHECK_IN, ends_at=CHECK_OUT)[0] == 409
    assert service.call("POST", f"{path}/unlock", device_id=doors[0])[0] == 409


def test_booking_that_seam_rejects_is_not_kept(service, doors):
    status, refused = service.call(
        "POST", "/bookings", guest="Ada", device_ids=doors, starts_at=CHECK_OUT, ends_at=CHECK_IN
    )
    assert status == 400 and "ends_at" in refused["error"]
    status, refused = service.call("POST", "/bookings", guest="Ada", device_ids="all")
    assert refused["error"].endswith("device_ids, starts_at, ends_at")
    assert service.call("GET", "/bookings") == (200, {"bookings": []})


def test_staff_see_which_lock_fails_until_it_has_the_code(workspace, service, doors, booking):
    fault = {"error_code": "failed_to_set_on_device", "message": "The keypad does not respond."}
    workspace.emulator("faults/create", operation="set", device_id=doors[1], outcome={"fail": fault}, times=1)
    workspace.advance(to=SCHEDULED)
    assert state(service, booking) == ("needs_attention", ["scheduled_on_device", "failed_to_set_on_device"])
    _, shown = service.call("GET", f"/bookings/{booking['booking_id']}")
    assert [code["problem"] for code in shown["access_codes"]] == [None, "The keypad does not respond."]

    # Seam tries again.
    workspace.advance(by="PT1M")
    assert state(service, booking) == ("ready", ["scheduled_on_device"] * 2)


def test_staff_see_that_an_offline_lock_still_has_the_code(workspace, service, doors, booking):
    workspace.advance(to=CHECK_IN)
    workspace.emulator("devices/update", device_id=doors[0], online=False)
    workspace.advance(to=CHECK_OUT)
    workspace.advance(by="PT1M")
    assert state(service, booking) == ("needs_attention", ["failed_to_remove_from_device", "deleted"])
    workspace.emulator("devices/update", device_id=doors[0], online=True)
    workspace.advance(by="PT1S")
    assert state(service, booking) == ("over", ["deleted"] * 2)


def test_event_that_arrives_again_changes_nothing(workspace, service, doors, booking):
    workspace.advance(to=CHECK_IN)
    deliveries = workspace.emulator("webhook_deliveries/list")["webhook_deliveries"]
    old = [delivery for delivery in deliveries if delivery["event_type"] == "access_code.scheduled_on_device"]
    assert len(old) == 2
    for delivery in old:
        workspace.emulator("webhook_deliveries/redeliver", webhook_delivery_id=delivery["webhook_delivery_id"])
    workspace.wait_for_webhooks()
    assert state(service, booking) == ("ready", ["set_on_device"] * 2)
    after = workspace.emulator("webhook_deliveries/list")["webhook_deliveries"]
    assert all(delivery["status"] == "succeeded" for delivery in after)
    assert sum(len(delivery["attempt_log"]) for delivery in after) == len(deliveries) + 2


def test_event_that_arrives_late_changes_nothing(workspace, service, booking, secret):
    code = booking["access_codes"][0]
    workspace.advance(to=CHECK_IN)
    scheduled = event_of(code, "scheduled_on_device", SCHEDULED)
    assert send_event(service, scheduled, secret) == (204, None)
    assert state(service, booking) == ("ready", ["set_on_device"] * 2)

    # Nothing comes after the deletion, whatever arrives when.
    workspace.advance(to=CHECK_OUT)
    workspace.advance(by="PT1M")
    removed = event_of(code, "removed_from_device", "2026-03-12T11:00:00.250Z")
    assert send_event(service, removed, secret) == (204, None)
    assert state(service, booking) == ("over", ["deleted"] * 2)


def test_forged_event_is_refused(service, booking, secret):
    event = event_of(booking["access_codes"][0], "set_on_device", CHECK_IN)
    for wrong in (None, "whsec_bm90IHRoZSBzZWNyZXQgb2YgdGhlIHdlYmhvb2s="):
        status, refused = send_event(service, event, wrong)
        assert status == 400 and refused["error"].startswith("Not from Seam")
    assert state(service, booking) == ("booked", [None, None])

    # With the right secret, the same event is accepted.
    assert send_event(service, event, secret) == (204, None)
    assert state(service, booking) == ("booked", ["set_on_device", None])


def test_door_is_unlocked_on_request(workspace, service, doors, booking):
    path = f"/bookings/{booking['booking_id']}/unlock"

    def is_locked():
        return workspace.seam.locks.get(device_id=doors[0]).properties.locked

    assert is_locked()
    assert service.call("POST", path, device_id=doors[0]) == (200, {"unlocked": True})
    assert not is_locked()

    jam = {"fail": {"message": "The bolt is jammed."}}
    workspace.emulator("faults/create", operation="unlock", outcome=jam, times=1)
    status, failed = service.call("POST", path, device_id=doors[0])
    assert (status, failed["error"]) == (502, "The lock did not do it: The bolt is jammed.")
    assert service.call("POST", path, device_id="00000000-0000-4000-8000-000000000009")[0] == 403
    assert service.call("POST", "/bookings/unknown/unlock", device_id=doors[0])[0] == 404


def test_service_that_starts_again_uses_the_same_webhook(workspace, service):
    (webhook,) = workspace.seam.webhooks.list()
    workspace.seam.webhooks.update(webhook_id=webhook.webhook_id, event_types=["lock.locked"])
    make_server(workspace.seam, Store(), public_url=service.url).server_close()
    (again,) = workspace.seam.webhooks.list()
    assert (again.webhook_id, again.secret) == (webhook.webhook_id, webhook.secret)
    assert "access_code.set_on_device" in again.event_types
