"""Requests of the form that the SDKs for Ruby, PHP, Go, Java and C# send, without these SDKs.

The forms were read from the source of the SDKs. Only the headers, and not those of C#, were compared with requests that the
SDKs sent. A response must have what these SDKs need to read it.

Needs BASE_URL and API_KEY.
"""

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from urllib.parse import urlencode, urlsplit

import pytest

START = "2026-03-23T15:00:00Z"
END = "2026-03-26T11:00:00Z"


@dataclass
class Sdk:
    name: str
    headers: dict = field(default_factory=dict)
    # The newer SDKs send these. The others send POST for everything.
    methods: dict = field(default_factory=dict)

    def method(self, path):
        return self.methods.get(path, "POST")


NEWER = {
    "/access_codes/create_multiple": "PUT",
    "/access_codes/update": "PUT",
    "/access_codes/get": "GET",
    "/access_codes/list": "GET",
    "/access_codes/delete": "DELETE",
    "/action_attempts/get": "GET",
}
RUBY = {"seam-sdk-name": "seamapi/ruby", "seam-sdk-version": "2.146.0"}
PHP = {
    "User-Agent": "Seam PHP Client 3.5.1",
    "seam-sdk-name": "seamapi/php",
    "seam-sdk-version": "3.5.1",
    "seam-lts-version": "1.0.0",
}
GO = {
    # Go sends these also if they have no value.
    "Seam-Workspace": "",
    "Seam-Client-Session-Token": "",
    "Client-Session-Token": "",
    "X-Fern-Language": "Go",
    "X-Fern-Sdk-Name": "github.com/seamapi/go",
    "X-Fern-Sdk-Version": "v0.3.4",
}
JAVA = {"X-Fern-Language": "JAVA", "X-Fern-SDK-Name": "com.seam.fern:api-sdk", "X-Fern-SDK-Version": "0.3.0"}
CSHARP = {"User-Agent": "OpenAPI-Generator%2f1.0.0%2fcsharp"}

SDKS = [Sdk("ruby", RUBY, NEWER), Sdk("php", PHP), Sdk("go", GO), Sdk("java", JAVA), Sdk("csharp", CSHARP, NEWER)]


class Client:
    def __init__(self, sdk, key):
        self.sdk, self.key = sdk, key

    def send(self, path, params=None):
        """Sends a request as the SDK does, and returns the status and the body of the response."""
        method = self.sdk.method(path)
        headers = {"Authorization": f"Bearer {self.key}", **self.sdk.headers}
        in_query = method in ("GET", "DELETE")
        # Ruby sends the content type also without a body.
        if self.sdk.name == "ruby" or not in_query:
            headers["Content-Type"] = "application/json"
        url = f"{path}?{urlencode({**params, '_strict': 'true'}, doseq=True)}" if in_query else path
        connection = HTTPConnection(urlsplit(os.environ["BASE_URL"]).netloc, timeout=30)
        connection.request(method, url, None if in_query or params is None else json.dumps(params), headers)
        response = connection.getresponse()
        assert response.headers["content-type"].startswith("application/json")
        assert response.headers["seam-request-id"]
        body = json.loads(response.read())
        connection.close()
        return response.status, body

    def ok(self, path, params=None):
        status, body = self.send(path, params)
        assert status == 200, body
        assert body["ok"] is True
        return body


@pytest.fixture(params=SDKS, ids=lambda sdk: sdk.name)
def stay(request):
    params = {"clock": {"held_at": "2026-03-02T12:00:00Z"}, "locks": 2}
    created = Client(request.param, os.environ["API_KEY"]).ok("/_emulator/workspaces/create", params)
    client = Client(request.param, created["api_key"])
    yield client, [device["device_id"] for device in created["devices"]]
    # Ruby and PHP send no body if there are no parameters.
    client.ok("/_emulator/workspaces/delete")


def is_readable(code):
    # Java knows no other status. Go reads only instants in the form of RFC 3339. PHP needs the lists, and C# the kind
    # of each of their items.
    assert code["status"] in ("setting", "set", "unset", "removing", "unknown")
    for name in ("created_at", "starts_at", "ends_at"):
        if code.get(name) is not None:
            assert datetime.fromisoformat(code[name].replace("Z", "+00:00")).tzinfo
    kinds = {"errors": "error_code", "warnings": "warning_code", "pending_mutations": "mutation_code"}
    for name, kind in kinds.items():
        assert all(item[kind] for item in code[name])
    return code


def test_code_is_set_at_its_start(stay):
    client, locks = stay
    created = client.ok("/access_codes/create", {"device_id": locks[0], "starts_at": START, "ends_at": END})
    code = is_readable(created["access_code"])
    assert code["status"] == "unset"
    assert created["action_attempt"]["status"] == "pending"
    client.ok("/_emulator/clock/advance", {"to": START})
    code = is_readable(client.ok("/access_codes/get", {"access_code_id": code["access_code_id"]})["access_code"])
    assert code["status"] == "set"


def test_codes_are_created_changed_listed_and_deleted(stay):
    client, locks = stay
    # C# sends every number as a decimal number.
    params = {"device_ids": locks, "preferred_code_length": 4.0, "name": "Guest"}
    codes = [is_readable(code) for code in client.ok("/access_codes/create_multiple", params)["access_codes"]]
    ids = [code["access_code_id"] for code in codes]
    client.ok("/access_codes/update", {"access_code_id": ids[0], "name": "Other guest"})
    client.ok("/_emulator/clock/advance", {"until": "quiet"})
    listed = client.ok("/access_codes/list", {"device_id": locks[0], "access_code_ids": ids[:1]})
    assert [code["name"] for code in map(is_readable, listed["access_codes"])] == ["Other guest"]
    assert listed["pagination"]["has_next_page"] is False
    client.ok("/access_codes/delete", {"access_code_id": ids[1]})


def test_duplicate_pin_is_an_error_with_its_reason(stay):
    client, locks = stay
    client.ok("/access_codes/create", {"device_id": locks[0], "code": "4826"})
    status, body = client.send("/access_codes/create", {"device_id": locks[0], "code": "4826"})
    assert (status, body["ok"], body["error"]["type"]) == (409, False, "duplicate_access_code")
    assert "4826" in body["error"]["message"]
    # PHP accepts only an object here.
    assert isinstance(body["error"]["data"], dict)


def test_action_attempt_ends(stay):
    client, locks = stay
    attempt = client.ok("/locks/unlock_door", {"device_id": locks[0]})["action_attempt"]
    assert attempt["status"] == "pending"
    client.ok("/_emulator/clock/advance", {"until": "quiet"})
    ended = client.ok("/action_attempts/get", {"action_attempt_id": attempt["action_attempt_id"]})["action_attempt"]
    assert ended["status"] == "success"
