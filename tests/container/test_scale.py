"""Three Latchkeys on one PostgreSQL behind the proxy, as compose.scale.yaml starts them."""

import http.client
import json
import os
import sys

import pytest
from conftest import LOCK, ROOT, SANDBOX_KEY, Compose, containers, request, requests_served_by_each, run

URL = "http://127.0.0.1:7326"
SCALE = ["compose.scale.yaml", "tests/container/engine.yaml"]


@pytest.fixture(scope="module", autouse=True)
def three_latchkeys():
    with Compose(*SCALE) as compose:
        compose.up()
        yield


def test_proxy_distributes_the_requests_of_one_connection():
    served = requests_served_by_each(URL, 30)
    assert len(served) == 3 and min(served) >= 5, served


def test_proxy_keeps_the_host_by_which_the_client_came():
    _, created = request(f"{URL}/connect_webviews/create", {"accepted_providers": ["august"]}, SANDBOX_KEY)
    assert created["connect_webview"]["url"].startswith(f"{URL}/")


def test_proxy_sends_an_event_of_a_stream_at_once():
    connection = http.client.HTTPConnection("127.0.0.1", 7326, timeout=30)
    connection.request("GET", "/_emulator/stream", headers={"Authorization": f"Bearer {SANDBOX_KEY}"})
    stream = connection.getresponse()
    assert stream.status == 200
    # The stream has the events that its own Latchkey records. Of nine requests on one connection, it gets about three.
    sender = http.client.HTTPConnection("127.0.0.1", 7326, timeout=30)
    headers = {"Authorization": f"Bearer {SANDBOX_KEY}", "Content-Type": "application/json"}
    for number in range(9):
        sender.request("POST", "/access_codes/create", json.dumps({"device_id": LOCK, "name": str(number)}), headers)
        assert json.loads(sender.getresponse().read())["ok"]
    assert any(b"access_code.created" in line for line in iter(stream.readline, b""))


def test_proxy_forwards_bodies_of_a_megabyte_and_the_limit_of_latchkey():
    name = "x" * 900_000
    assert request(f"{URL}/access_codes/create", {"device_id": LOCK, "name": name}, SANDBOX_KEY)[0] != 413
    status, refused = request(f"{URL}/access_codes/create", {"device_id": LOCK, "name": name * 2}, SANDBOX_KEY)
    assert (status, refused["ok"]) == (413, False)


def test_workspace_behind_the_proxy_is_the_same_at_each_latchkey():
    body = {"locks": 1, "clock": {"held_at": "2026-03-02T12:00:00Z"}}
    _, created = request(f"{URL}/_emulator/workspaces/create", body)
    key, lock = created["api_key"], created["devices"][0]["device_id"]
    frame = {"starts_at": "2026-03-23T15:00:00Z", "ends_at": "2026-03-26T11:00:00Z"}
    _, code = request(f"{URL}/access_codes/create", {"device_id": lock, **frame}, key)
    path = f"/access_codes/get?access_code_id={code['access_code']['access_code_id']}"

    def statuses():
        return [request(url + path, key=key)[1]["access_code"]["status"] for _, url in containers("latchkey")]

    assert statuses() == ["unset"] * 3
    request(f"{URL}/_emulator/clock/advance", {"to": "2026-03-23T15:00:00Z"}, key)
    assert statuses() == ["set"] * 3


def test_examples_pass_behind_the_proxy():
    environment = os.environ | {"LATCHKEY_URL": URL}
    ran = run(sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=ROOT / "examples/pytest", env=environment)
    assert " passed" in ran.stdout
