"""Rules of the booking service, and its requests to Seam. It knows nothing of HTTP."""

import uuid

from seam import SeamHttpApiError, SeamWebhook

LOGIN_SUCCEEDED = "connect_webview.login_succeeded"

SCHEDULED = "access_code.scheduled_on_device"
SET = "access_code.set_on_device"
FAILED_TO_SET = "access_code.failed_to_set_on_device"
REMOVED = "access_code.removed_from_device"
FAILED_TO_REMOVE = "access_code.failed_to_remove_from_device"
DELETED = "access_code.deleted"
CODE_EVENTS = (SCHEDULED, SET, FAILED_TO_SET, REMOVED, FAILED_TO_REMOVE, DELETED)


class Refused(Exception):
    """A request that the service refuses, with the HTTP status that says so."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Bookings:
    """Bookings of rooms, whose guests open all doors on their way with one PIN."""

    def __init__(self, seam, store, public_url):
        self._seam = seam
        self._store = store
        self._public_url = public_url.rstrip("/")

    def register_webhook(self):
        """Finds the webhook of this service or creates it, and takes its secret."""
        url, event_types = f"{self._public_url}/webhooks/seam", [LOGIN_SUCCEEDED, *CODE_EVENTS]
        webhook = next((webhook for webhook in self._seam.webhooks.list() if webhook.url == url), None)
        if webhook is None:
            webhook = self._seam.webhooks.create(url=url, event_types=event_types)
        elif set(webhook.event_types) != set(event_types):
            self._seam.webhooks.update(webhook_id=webhook.webhook_id, event_types=event_types)
        self._verifier = SeamWebhook(webhook.secret)

    def receive(self, payload, headers):
        """Takes an event from a webhook. Raises SeamWebhookVerificationError if Seam did not send it."""
        event = self._verifier.verify(payload, headers)
        if event.event_type == LOGIN_SUCCEEDED:
            self._store.set_account(event.connect_webview_id, event.connected_account_id)
        elif event.event_type in CODE_EVENTS:
            self._store.add_event(event, problem_of(event))

    def start_connection(self):
        """Returns the URL of a page on which an owner of locks connects an account."""
        webview = self._seam.connect_webviews.create(
            accepted_capabilities=["lock"],
            custom_redirect_url=f"{self._public_url}/connected",
            wait_for_device_creation=True,
        )
        self._store.add_webview(webview.connect_webview_id)
        return webview.url

    def finish_connection(self, connect_webview_id):
        """Returns true if an account was connected. Asks Seam, because anybody can open the URL of the redirect."""
        if not self._store.has_webview(connect_webview_id):
            raise Refused(404, "This page is the last step of a connection. Start with the first one.")
        webview = self._seam.connect_webviews.get(connect_webview_id=connect_webview_id)
        if webview.login_successful:
            self._store.set_account(connect_webview_id, webview.connected_account_id)
        return webview.login_successful

    def locks(self):
        """Returns the locks of all connected accounts."""
        return [
            {"device_id": lock.device_id, "name": lock.display_name, "is_online": lock.properties.online}
            for account in self._store.accounts()
            for lock in self._seam.locks.list(connected_account_id=account)
        ]

    def create(self, guest, device_ids, starts_at, ends_at):
        """Books a room: creates access codes with the same PIN on its locks."""
        access_codes = self._seam.access_codes.create_multiple(
            device_ids=device_ids,
            name=guest,
            starts_at=starts_at,
            ends_at=ends_at,
            behavior_when_code_cannot_be_shared="throw",
        )
        booking = {
            "booking_id": str(uuid.uuid4()),
            "guest": guest,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "pin": access_codes[0].code,
            "common_code_key": access_codes[0].common_code_key,
        }
        self._store.add_booking(booking, access_codes)
        return self.get(booking["booking_id"])

    def list(self):
        return [self.get(booking_id) for booking_id in self._store.booking_ids()]

    def get(self, booking_id):
        """Returns a booking with its state and its access codes."""
        booking, access_codes = self._find(booking_id)
        shown = ("booking_id", "guest", "starts_at", "ends_at", "pin", "state")
        return {**{name: booking[name] for name in shown}, "access_codes": access_codes}

    def move(self, booking_id, starts_at, ends_at):
        """Gives a booking other times, and with it its access codes."""
        booking, _ = self._find_active(booking_id)
        self._seam.access_codes.update_multiple(
            common_code_key=booking["common_code_key"], starts_at=starts_at, ends_at=ends_at
        )
        self._store.move_booking(booking_id, starts_at, ends_at)
        return self.get(booking_id)

    def cancel(self, booking_id):
        """Cancels a booking and deletes its access codes. If a deletion fails, a second cancellation goes on."""
        _, access_codes = self._find(booking_id)
        self._store.cancel_booking(booking_id)
        for code in access_codes:
            try:
                self._seam.access_codes.delete(access_code_id=code["access_code_id"])
            except SeamHttpApiError as error:
                if error.code != "access_code_not_found":
                    raise
        return self.get(booking_id)

    def unlock(self, booking_id, device_id):
        """Unlocks a door of a booking. Returns when the lock has done it, and raises SeamActionAttemptError if not."""
        _, access_codes = self._find_active(booking_id)
        if device_id not in {code["device_id"] for code in access_codes}:
            raise Refused(403, "This door is not part of the booking")
        self._seam.locks.unlock_door(device_id=device_id)

    def _find(self, booking_id):
        booking, access_codes = self._store.booking(booking_id)
        if booking is None:
            raise Refused(404, "No such booking")
        booking["state"] = state_of(booking["is_cancelled"], {code["last_event"] for code in access_codes})
        return booking, access_codes

    def _find_active(self, booking_id):
        booking, access_codes = self._find(booking_id)
        if booking["is_cancelled"] or booking["state"] == "over":
            raise Refused(409, "The booking is cancelled or over")
        return booking, access_codes


def state_of(is_cancelled, last_events):
    """Returns the state of a booking from the last events of its access codes.

    `removed_from_device` is not the end of an access code: if the booking was moved, the lock gets the code again.
    """
    if last_events & {FAILED_TO_SET, FAILED_TO_REMOVE}:
        return "needs_attention"
    if last_events == {DELETED}:
        return "cancelled" if is_cancelled else "over"
    if is_cancelled:
        return "being_cancelled"
    # A scheduled code is on the lock, which knows from when to when it is valid.
    return "ready" if last_events <= {SCHEDULED, SET} else "booked"


def problem_of(event):
    """Returns the messages of the errors in an event for the staff; None if it has none."""
    kinds = ("access_code_errors", "device_errors", "connected_account_errors")
    return " ".join(error.message for kind in kinds for error in getattr(event, kind, None) or []) or None
