"""A proxy in front of a server that changes some of its responses: the planted deviations for check.py."""

import json
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

UNKNOWN_ID = "99999999-9999-4999-8999-999999999999"


class Exchange:
    """A request, and the response that a deviation may change."""

    def __init__(self, path, sent, status, headers, body):
        self.path, self.sent, self.status, self.headers, self.body = path, sent, status, headers, body
        self.raw = None
        # True if the client gets no response.
        self.is_lost = False


def at(pointer, value):
    """The values at a JSON pointer, each as its parent and key."""
    *parents, key = pointer.split("/")[1:]
    found = [value]
    for name in parents:
        found = [child for parent in found if isinstance(parent, (dict, list)) for child in children(parent, name)]
    return [parent for parent in found if isinstance(parent, dict) and key in parent], key


def children(parent, name):
    if isinstance(parent, list):
        return parent if name == "*" else []
    return [parent[name]] if name in parent else []


def put(path, pointer, change):
    """Changes the value at a pointer in successful responses of a path."""

    def apply(exchange):
        if exchange.path == path and exchange.status == 200:
            parents, key = at(pointer, exchange.body)
            for parent in parents:
                parent[key] = change(parent[key])

    return apply


def when(path, condition, change):
    """Changes the responses of a path that fulfil a condition."""

    def apply(exchange):
        if exchange.path == path and condition(exchange):
            change(exchange)

    return apply


def drop(path, pointer):
    def apply(exchange):
        if exchange.path == path and exchange.status == 200:
            parents, key = at(pointer, exchange.body)
            for parent in parents:
                del parent[key]

    return apply


def add(path, pointer, value):
    *parents, key = pointer.split("/")
    parent = "/".join(parents)
    return put(path, parent, lambda found: {**found, key: value})


def set_error(**fields):
    return lambda exchange: exchange.body["error"].update(fields)


def set_status(status):
    return lambda exchange: setattr(exchange, "status", status)


def set_header(name, value):
    def change(exchange):
        exchange.headers = {own: text for own, text in exchange.headers.items() if own.lower() != name}
        if value is not None:
            exchange.headers[name] = value

    return change


def change_events(key, change):
    """Changes the events that were requested by this key."""

    def apply(exchange):
        if exchange.path == "/events/list" and exchange.status == 200 and exchange.sent.get(key) not in (None, UNKNOWN_ID):
            exchange.body["events"] = change(exchange.body["events"])

    return apply


def of_event(event_type, change):
    return lambda events: [change(event) if event["event_type"] == event_type else event for event in events]


class SlowStatus:
    """A code with a time frame that has begun is `unset` at first."""

    def __init__(self, seconds):
        self.seconds, self.since = seconds, {}

    def __call__(self, exchange):
        code = (exchange.body or {}).get("access_code") if exchange.path == "/access_codes/get" else None
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        if code and "" < (code["starts_at"] or "")[:19] <= now and code["status"] in ("setting", "set"):
            since = self.since.setdefault(code["access_code_id"], time.monotonic())
            if time.monotonic() - since < self.seconds:
                code["status"] = "unset"


class SlowDeletion:
    """A deleted unmanaged code can be read for some time."""

    def __init__(self, seconds):
        self.seconds, self.found, self.deleted = seconds, {}, {}

    def __call__(self, exchange):
        access_code_id = exchange.sent.get("access_code_id")
        if exchange.path == "/access_codes/unmanaged/delete" and exchange.status == 200:
            self.deleted[access_code_id] = time.monotonic()
        if exchange.path != "/access_codes/unmanaged/get":
            return
        if exchange.status == 200:
            self.found[access_code_id] = exchange.body
        elif time.monotonic() - self.deleted.get(access_code_id, 0) < self.seconds:
            exchange.status, exchange.body = 200, self.found[access_code_id]


class OtherCodes:
    """The list of the codes of an access grant ignores its filter: it begins with a code that somebody else has made."""

    def __init__(self, code):
        self.code = code

    def __call__(self, exchange):
        if exchange.path == "/access_codes/list" and exchange.sent.get("access_grant_id") not in (None, UNKNOWN_ID):
            exchange.body["access_codes"].insert(0, self.code)


class Once:
    """Something that happens to the first successful request of a path."""

    def __init__(self, path, change):
        self.path, self.change, self.happened = path, change, False

    def __call__(self, exchange):
        if exchange.path == self.path and exchange.status == 200 and not self.happened:
            self.happened = True
            self.change(exchange)


def no_response(exchange):
    exchange.is_lost = True


class Hanging:
    """From one path on, nothing has a response but what deletes or lists."""

    def __init__(self, path):
        self.path, self.began = path, False

    def __call__(self, exchange):
        self.began = self.began or exchange.path == self.path
        exchange.is_lost = self.began and not exchange.path.endswith(("/delete", "/list"))


def html(exchange):
    exchange.raw = b"<!DOCTYPE html><title>404</title>"
    exchange.headers = {**exchange.headers, "content-type": "text/html"}


def is_unknown(exchange):
    return exchange.status == 404 and UNKNOWN_ID in exchange.sent.values()


# A message with everything that a report must not show, and what it must show instead.
PRIVATE_MESSAGE = (
    "No account of Secret Door 1 with key seam_test2bMS_94SrGUXuNR2JmJkjtvBQDg5c, id 01a22ade-1f6a-7aeb-805e-da3522252d29, "
    'PIN 482615, +1 (415) 555-0132, jane@example.com: "connected_account_id" of "Ann"'
)
MASKED_MESSAGE = (
    "No account of <name> with key <secret>, id <id>, "
    'PIN <digits>, <phone>, <email>: "connected_account_id" of "<text>"'
)

# Each deviation, and the difference that must be found: its aspect, its route if it has one, and its place.
DEVIATIONS = [
    (when("/access_codes/list", is_unknown, set_status(400)), ("status", "/access_codes/list", "")),
    (when("/devices/get", is_unknown, set_error(type="not_found")), ("error_type", "/devices/get", "/error/type")),
    (
        when("/spaces/delete", is_unknown, set_error(message="Nothing to delete.")),
        ("message", "/spaces/delete", "/error/message"),
    ),
    (drop("/webhooks/get", "/webhook/event_types"), ("key", None, "/webhook/event_types")),
    (add("/spaces/get", "/space/color", "red"), ("key", None, "/space/color")),
    (put("/user_identities/get", "/user_identity/full_name", lambda _: None), ("null", None, "/user_identity/full_name")),
    (
        put("/connect_webviews/get", "/connect_webview/login_successful", lambda _: "no"),
        ("type", None, "/connect_webview/login_successful"),
    ),
    (
        put("/client_sessions/get", "/client_session/created_at", lambda text: text[:19] + "Z"),
        ("kind", None, "/client_session/created_at"),
    ),
    (
        put("/connected_accounts/get", "/connected_account/automatically_manage_new_devices", lambda value: not value),
        ("value", None, "/connected_account/automatically_manage_new_devices"),
    ),
    (put("/access_codes/unmanaged/list", "/access_codes/*/status", lambda _: "unset"), ("value", None, "/access_codes/*/status")),
    (put("/user_identities/list", "/user_identities", lambda found: found * 2), ("count", None, "/user_identities")),
    (
        when("/events/get", lambda exchange: exchange.status == 404, set_header("content-type", "application/json")),
        ("header", None, "content-type"),
    ),
    (when("/locks/get", lambda exchange: True, set_header("seam-request-id", None)), ("header", None, "seam-request-id")),
    (
        change_events("access_code_id", lambda events: [e for e in events if e["event_type"] != "access_code.code_changed"]),
        ("element", None, "/events/[access_code.code_changed]"),
    ),
    (change_events("space_id", lambda events: events[::-1]), ("order", None, "/events")),
    (
        change_events("access_grant_id", of_event("access_grant.created", lambda event: {**event, "guest": "Ann"})),
        ("key", None, "/events/[access_grant.created]/guest"),
    ),
    (SlowStatus(3.5), ("course", None, "/access_code/status")),
    (SlowDeletion(7), ("time", None, "status")),
    (
        when(
            "/devices/list",
            lambda exchange: exchange.sent.get("limit") == 1 and "page_cursor" not in exchange.sent,
            put("/devices/list", "/pagination/has_next_page", lambda _: False),
        ),
        ("value", None, "/pagination/has_next_page"),
    ),
    (when("/action_attempts/get", is_unknown, html), ("type", "/action_attempts/get", "")),
    (
        when("/connected_accounts/delete", is_unknown, set_error(message=PRIVATE_MESSAGE)),
        ("message", "/connected_accounts/delete", "/error/message"),
    ),
]


class Proxy(ThreadingHTTPServer):
    """Forwards requests to a server, and applies the deviations to its responses."""

    daemon_threads = True

    def __init__(self, upstream, deviations, refused=()):
        super().__init__(("127.0.0.1", 0), Handler)
        self.upstream, self.deviations = upstream, deviations
        self.changing = threading.Lock()
        # Paths whose next request is answered with 500, and is not forwarded.
        self.refused = set(refused)
        # One request is answered with 429, as if there had been too many.
        self.is_limited = True
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body in one packet.
    wbufsize = -1
    disable_nagle_algorithm = True

    def handle_request(self):
        text = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            sent = json.loads(text)
        except ValueError:
            sent = {}
        with self.server.changing:
            if self.path in self.server.refused and UNKNOWN_ID not in text.decode():
                self.server.refused.remove(self.path)
                self.answer(Exchange(self.path, sent, 500, {}, {}), b"{}")
                return
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        request = urllib.request.Request(self.server.upstream + self.path, text or None, headers, method=self.command)
        try:
            response = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            response = error
        raw = response.read()
        try:
            body = json.loads(raw)
        except ValueError:
            body = None
        exchange = Exchange(self.path.split("?")[0], sent if isinstance(sent, dict) else {}, response.status, dict(response.headers), body)
        with self.server.changing:
            for change in self.server.deviations:
                change(exchange)
            if self.server.is_limited and exchange.path == "/webhooks/get":
                self.server.is_limited = False
                exchange.status, exchange.headers["retry-after"] = 429, "1"
        if exchange.is_lost:
            self.close_connection = True
            return
        self.answer(exchange, raw)

    def answer(self, exchange, raw):
        if exchange.raw is not None:
            raw = exchange.raw
        elif exchange.body is not None:
            raw = json.dumps(exchange.body).encode()
        self.send_response_only(exchange.status)
        for name, value in exchange.headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def log_message(self, *arguments):
        pass
