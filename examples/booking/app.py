"""Booking service with smart locks: the HTTP interface. See README.md for how to run it."""

import json
import logging
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import httpx
from bookings import Bookings, Refused
from seam import (
    Seam,
    SeamActionAttemptError,
    SeamHttpApiError,
    SeamInvalidWebhookPayloadError,
    SeamWebhookVerificationError,
)
from store import Store

MAX_BODY_BYTES = 1024 * 1024

log = logging.getLogger("booking")


class Handler(BaseHTTPRequestHandler):
    """Handles one request. `self.server.bookings` has the rules."""

    timeout = 30  # seconds without a byte, after which a connection is closed

    def do_POST(self):
        status, content = self._answer()
        is_text = isinstance(content, str)
        body = b"" if content is None else (content if is_text else json.dumps(content)).encode()
        self.send_response(status)
        if content is not None:
            self.send_header("Content-Type", f"{'text/plain' if is_text else 'application/json'}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PATCH = do_DELETE = do_POST

    def _answer(self):
        """Returns the status and the content of the response."""
        try:
            path = urlsplit(self.path).path
            for method, pattern, action in ROUTES:
                if method == self.command and (found := re.fullmatch(pattern, path)):
                    return action(self, self.server.bookings, *found.groups())
            return 404, {"error": "No such page"}
        except Refused as error:
            return error.status, {"error": str(error)}
        except SeamActionAttemptError as error:
            return 502, {"error": f"The lock did not do it: {error}"}
        except SeamHttpApiError as error:
            # These three statuses concern the request of the client. All others concern this service and Seam.
            if error.status_code in (400, 404, 409):
                return error.status_code, {"error": str(error)}
            log.error("Seam refused request %s: %s", error.request_id, error)
            return 502, {"error": "The service for the locks does not work at the moment"}
        except httpx.HTTPError:
            log.exception("Seam could not be reached")
            return 502, {"error": "The service for the locks cannot be reached at the moment"}
        except Exception:
            log.exception("%s %s failed", self.command, self.path)
            return 500, {"error": "The booking service failed"}

    def _connect(self, bookings):
        return 201, {"connect_webview_url": bookings.start_connection()}

    def _connected(self, bookings):
        webviews = parse_qs(urlsplit(self.path).query).get("connect_webview_id", [""])
        if bookings.finish_connection(webviews[0]):
            return 200, "Your locks are connected. You can close this page."
        return 200, "Your locks are not connected, because the login failed. Go back and try again."

    def _locks(self, bookings):
        return 200, {"locks": bookings.locks()}

    def _create(self, bookings):
        return 201, bookings.create(*self._fields(guest=str, device_ids=list, starts_at=str, ends_at=str))

    def _list(self, bookings):
        return 200, {"bookings": bookings.list()}

    def _get(self, bookings, booking_id):
        return 200, bookings.get(booking_id)

    def _move(self, bookings, booking_id):
        return 200, bookings.move(booking_id, *self._fields(starts_at=str, ends_at=str))

    def _cancel(self, bookings, booking_id):
        return 200, bookings.cancel(booking_id)

    def _unlock(self, bookings, booking_id):
        bookings.unlock(booking_id, *self._fields(device_id=str))
        return 200, {"unlocked": True}

    def _webhook(self, bookings):
        # The signature is that of the bytes, so the body is verified before it is parsed.
        try:
            bookings.receive(self._body(), dict(self.headers))
        except SeamWebhookVerificationError as error:
            return 400, {"error": f"Not from Seam: {error}"}
        except SeamInvalidWebhookPayloadError:
            # Seam signed it, but it is no event. To send it again would not help.
            log.exception("unreadable event")
        return 204, None

    def _body(self):
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            raise Refused(413, f"A body has a Content-Length of at most {MAX_BODY_BYTES}")
        try:
            return self.rfile.read(int(length)).decode()
        except UnicodeDecodeError:
            raise Refused(400, "The body is not UTF-8") from None

    def _fields(self, **types):
        """Returns the fields of the JSON body, which must have these types. Seam checks their values."""
        try:
            body = json.loads(self._body())
        except ValueError:
            body = None
        body = body if isinstance(body, dict) else {}
        wrong = [name for name, kind in types.items() if not isinstance(body.get(name), kind)]
        if wrong:
            raise Refused(400, f"Missing in the JSON body, or of the wrong type: {', '.join(wrong)}")
        return [body[name] for name in types]

    def log_message(self, format, *args):
        log.info(format, *args)


ROUTES = [
    ("POST", "/connect", Handler._connect),
    ("GET", "/connected", Handler._connected),
    ("GET", "/locks", Handler._locks),
    ("POST", "/bookings", Handler._create),
    ("GET", "/bookings", Handler._list),
    ("GET", "/bookings/([^/]+)", Handler._get),
    ("PATCH", "/bookings/([^/]+)", Handler._move),
    ("DELETE", "/bookings/([^/]+)", Handler._cancel),
    ("POST", "/bookings/([^/]+)/unlock", Handler._unlock),
    ("POST", "/webhooks/seam", Handler._webhook),
]


def make_server(seam, store, port=0, public_url=None):
    """Returns a server that listens on this port of this machine, with its webhook. `serve_forever` starts it.

    `public_url` is the URL at which Seam and browsers reach the server; without it, its own address.
    """
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.url = public_url or f"http://127.0.0.1:{server.server_port}"
    server.bookings = Bookings(seam, store, server.url)
    server.bookings.register_webhook()
    return server


def main():
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    store = Store(os.environ.get("BOOKING_DATABASE", "booking.sqlite3"))
    # Seam() reads SEAM_API_KEY and SEAM_ENDPOINT.
    with Seam() as seam:
        server = make_server(seam, store, int(os.environ.get("PORT", "8080")), os.environ.get("PUBLIC_URL"))
        log.info("the booking service is ready on %s", server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
