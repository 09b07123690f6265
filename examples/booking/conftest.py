"""Starts Latchkey once for the whole run, and for each test a workspace, the booking service and a browser.

Set LATCHKEY_URL to use a running server. Otherwise a fixture starts one: LATCHKEY_BIN, else `latchkey` on the PATH, else
the debug build of this repository.
"""

import json
import os
import shutil
import subprocess
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from app import make_server
from seam import Seam
from store import Store

# First time on the clock of each workspace: a Monday at noon.
START = "2026-03-02T12:00:00Z"

# API key of the default sandbox.
SANDBOX_KEY = "seam_testsand_LatchkeySandbox"

# Requests to this machine must not go through a proxy. Without the handler, urllib would use that of the environment.
HTTP = build_opener(ProxyHandler({}))


class Workspace:
    """A workspace without locks, with a held clock."""

    def __init__(self, latchkey):
        with Seam(SANDBOX_KEY, endpoint=latchkey) as sandbox:
            params = {"clock": {"held_at": START}, "locks": 0, "ttl": "PT10M"}
            created = sandbox.client.post("/_emulator/workspaces/create", json=params)
        self.seam = Seam(created["api_key"], endpoint=latchkey)

    def emulator(self, path, **body):
        """Sends a request to the control plane. The client of the SDK adds the API key and raises on an error."""
        return self.seam.client.post(f"/_emulator/{path}", json=body)

    def advance(self, **how):
        """Moves the clock by="PT1H" or to="2026-03-20T15:00:00Z". Returns when the service has received all events."""
        return self.emulator("clock/advance", wait_for_webhooks=True, **how)

    def wait_for_webhooks(self):
        assert self.emulator("webhook_deliveries/wait")["outstanding"] == 0


class Service:
    """The booking service as its callers see it: a URL."""

    def __init__(self, url):
        self.url = url

    def call(self, method, path, **body):
        """Returns the status and the JSON of the response."""
        return self.send(method, path, json.dumps(body).encode() if body else None)

    def send(self, method, path, body, headers=None):
        request = Request(self.url + path, body, headers or {"Content-Type": "application/json"}, method=method)
        try:
            with HTTP.open(request, timeout=30) as response:
                return response.status, json.loads(response.read() or "null")
        except HTTPError as error:
            return error.code, json.load(error)


class Browser(HTMLParser):
    """A browser without JavaScript: opens pages, follows links, fills in the form of a page and submits it."""

    def open(self, url, form=None):
        with HTTP.open(url, form and urlencode(form).encode(), timeout=30) as response:
            self.url, self.text = response.url, response.read().decode()
        self._links, self._fields, self._select, self._link = {}, {}, None, None
        self.reset()
        self.feed(self.text)

    def follow(self, text):
        self.open(urljoin(self.url, self._links[text]))

    def submit(self, **values):
        """Fills in fields of the form and submits it. The other fields keep their values."""
        unknown = values.keys() - self._fields.keys()
        assert not unknown, f"the form has no field {', '.join(unknown)}"
        self.open(self.url, {**self._fields, **values})

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag == "a":
            self._link = attributes["href"]
        elif tag == "input":
            self._fields[attributes["name"]] = attributes.get("value", "")
        elif tag == "select":
            self._select = attributes["name"]
        elif tag == "option" and (self._select not in self._fields or "selected" in attributes):
            self._fields[self._select] = attributes["value"]

    def handle_data(self, data):
        if self._link:
            self._links[data], self._link = self._link, None


@pytest.fixture(scope="session")
def latchkey():
    """URL of the server."""
    if url := os.environ.get("LATCHKEY_URL"):
        yield url
        return
    built = Path(__file__).resolve().parents[2] / "target/debug/latchkey"
    program = os.environ.get("LATCHKEY_BIN") or shutil.which("latchkey") or str(built)
    if not shutil.which(program):
        pytest.exit(f"No Latchkey found: {program} is not a program. Set LATCHKEY_URL or LATCHKEY_BIN", returncode=1)
    command = [program, "--ephemeral", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            ready = next((line for line in server.stdout if line.startswith("ready on ")), None)
            assert ready, f"{program} stopped before it was ready; its output is above"
            yield ready.split()[2]
        finally:
            server.terminate()


@pytest.fixture
def workspace(latchkey):
    workspace = Workspace(latchkey)
    with workspace.seam:
        yield workspace
        workspace.emulator("workspaces/delete")


@pytest.fixture
def service(workspace):
    """The booking service, with an empty database, for the workspace."""
    with make_server(workspace.seam, Store()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Service(server.url)
        server.shutdown()
        thread.join()


@pytest.fixture
def browser():
    return Browser()


@pytest.fixture
def doors(workspace, service, browser):
    """Two August locks, connected by their owner."""
    _, started = service.call("POST", "/connect")
    browser.open(started["connect_webview_url"])
    browser.follow("August")
    browser.submit(email="jane@example.com", password="1234")
    browser.submit(two_factor_code="123456")
    return [lock["device_id"] for lock in service.call("GET", "/locks")[1]["locks"]]
