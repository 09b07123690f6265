"""The compose files, started with Docker's own client."""

import json
import re

import pytest
from conftest import (
    LOCK,
    ROOT,
    SANDBOX_KEY,
    Compose,
    containers,
    podman,
    request,
    requests_served,
    requests_served_by_each,
    wait_until,
)

URL = "http://127.0.0.1:7326"
SCALE = ["compose.scale.yaml", "tests/container/engine.yaml"]
FILES = ["compose.yaml", "compose.scale.yaml"]


def serves():
    try:
        return request(f"{URL}/health")[0] == 200
    except OSError:
        return False


def create_code(name):
    status, created = request(f"{URL}/access_codes/create", {"device_id": LOCK, "name": name}, SANDBOX_KEY)
    assert status == 200, created


@pytest.mark.parametrize("file", FILES)
def test_compose_file_publishes_its_port_on_this_machine_only(file):
    services = Compose(file).services().values()
    published = [(port["host_ip"], port["published"]) for service in services for port in service.get("ports", [])]
    assert published == [("127.0.0.1", "7326")]


@pytest.mark.parametrize("file", FILES)
def test_compose_file_gives_no_container_more_rights_than_it_needs(file):
    # The image of PostgreSQL sets up its directories as root, and then changes its user itself.
    services = [service for name, service in Compose(file).services().items() if name != "postgres"]
    assert services
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in services)
    assert all(service["security_opt"] == ["no-new-privileges:true"] for service in services)


def test_compose_starts_one_latchkey_and_removes_everything():
    with Compose("compose.yaml") as compose:
        compose.up()
        create_code("Ada")
        compose("down")
        assert podman("ps", "--all", "--quiet").stdout + podman("volume", "ls", "--quiet").stdout == ""
        assert json.loads(podman("network", "ls", "--format", "json", "--filter", "name=latchkey").stdout) == []


def test_compose_with_the_override_of_the_documentation_keeps_its_data(tmp_path):
    page = (ROOT / "docs/containers.md").read_text()
    (override,) = (block for block in re.findall(r"^```yaml\n(.*?)^```$", page, flags=re.M | re.S) if "volumes:" in block)
    (tmp_path / "compose.override.yaml").write_text(override)
    with Compose("compose.yaml", tmp_path / "compose.override.yaml") as compose:
        compose.up()
        create_code("Ada")
        compose("down")
        compose.up()
        _, found = request(f"{URL}/access_codes/list?device_id={LOCK}", key=SANDBOX_KEY)
        assert [code["name"] for code in found["access_codes"]] == ["Ada"]


def test_requests_succeed_after_a_latchkey_behind_the_proxy_has_stopped():
    with Compose(*SCALE) as compose:
        compose.up()
        (stopped, _), *others = containers("latchkey")
        podman("stop", stopped)
        for number in range(30):
            create_code(str(number))
        assert sum(requests_served(url, "/access_codes/create") for _, url in others) == 30


def test_proxy_that_is_restarted_distributes_requests_to_added_latchkeys():
    with Compose(*SCALE) as compose:
        compose.up()
        compose.up("--scale", "latchkey=5")
        compose("restart", "proxy")
        wait_until(serves, "the proxy")
        served = requests_served_by_each(URL, 50)
        assert len(served) == 5 and min(served) >= 5, served
