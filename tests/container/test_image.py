"""The image: its content, its limits, its health check, its signals and its data."""

import json
import os
import re
import stat
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import LOCK, SANDBOX_KEY, podman, request, wait_until

IMAGE = "localhost/latchkey"
READ_ONLY = ("--read-only", "--read-only-tmpfs=false", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.fixture(scope="module")
def files():
    """The file system of the image."""
    yield Path(podman("image", "mount", IMAGE).stdout.strip())
    podman("image", "unmount", IMAGE)


def sandbox_codes(container):
    status, found = request(f"{container.url}/access_codes/list?device_id={LOCK}", key=SANDBOX_KEY)
    assert status == 200, found
    return [code["name"] for code in found["access_codes"]]


def create_code(container, name):
    body = {"device_id": LOCK, "name": name}
    status, created = request(f"{container.url}/access_codes/create", body, SANDBOX_KEY)
    assert status == 200, created


def test_image_takes_at_most_110_megabytes():
    megabytes = int(podman("image", "inspect", "--format", "{{.Size}}", IMAGE).stdout) / 1e6
    print(f"\nsize of the image: {megabytes:.1f} MB")
    assert megabytes <= 110


def test_image_has_no_other_programs_than_it_needs(files):
    entries = [path for path in files.rglob("*") if path.is_file() and not path.is_symlink()]
    found = [path for path in entries if os.access(path, os.X_OK) and ".so" not in path.name]
    assert {str(path.relative_to(files)) for path in found} == {
        "usr/bin/dash",
        "usr/lib/postgresql/17/bin/initdb",
        "usr/lib/postgresql/17/bin/postgres",
        "usr/local/bin/latchkey",
    }
    assert not [path for path in files.rglob("*") if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]


def test_image_names_its_packages_and_their_licences(files):
    packages = {path.name for path in (files / "var/lib/dpkg/status.d").iterdir()}
    assert {"postgresql-17", "libc6", "libssl3t64", "ca-certificates", "tzdata", "dash"} <= packages
    assert not [package for package in packages if not (files / "usr/share/doc" / package / "copyright").stat().st_size]
    assert (files / "usr/share/doc/latchkey/LICENSE-MIT").exists()
    notices = (files / "usr/share/doc/latchkey/THIRD-PARTY-LICENSES").read_text()
    assert re.search(r"^ring \d", notices, re.M) and re.search(r"^tokio \d", notices, re.M)


def test_image_has_the_certificates_for_webhooks_to_https(files):
    assert (files / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 100


def test_container_runs_latchkey_as_an_unprivileged_first_process(start):
    container = start().wait_until_healthy()
    # The image has no program that prints a file.
    printed = container.exec("sh", "-c", 'while read -r line; do echo "$line"; done < /proc/1/status').stdout
    status = dict(line.split(":\t", 1) for line in printed.splitlines())
    assert (status["Name"], status["Uid"].split()[1], status["Gid"].split()[1]) == ("latchkey", "10001", "10001")
    assert int(status["CapEff"], 16) == 0


def test_container_without_settings_lets_clients_create_workspaces(start):
    container = start().wait_until_healthy()
    assert "deleted when the server stops" in container.log()
    status, created = request(f"{container.url}/_emulator/workspaces/create", {"locks": 1})
    assert status == 200, created
    body = {"device_id": created["devices"][0]["device_id"]}
    status, code = request(f"{container.url}/access_codes/create", body, created["api_key"])
    assert (status, code["access_code"]["status"]) == (200, "setting")


def test_container_on_a_read_only_root_writes_nothing_but_tmp(start):
    container = start(*READ_ONLY, "--tmpfs", "/tmp").wait_until_healthy()
    assert "host=%2Ftmp%2Flatchkey" in container.log()
    create_code(container, "Ada")
    assert container.exec("sh", "-c", "echo > /var/lib/latchkey/file", check=False).returncode != 0
    assert container.stop()[0] == 0


def test_container_with_much_shared_memory_needs_no_tmp(start):
    container = start(*READ_ONLY, "--shm-size", "1g").wait_until_healthy()
    assert "host=%2Fdev%2Fshm%2Flatchkey" in container.log()
    create_code(container, "Ada")


class Receiver(BaseHTTPRequestHandler):
    """Receives webhooks, and keeps their bodies in its server."""

    def do_POST(self):
        self.server.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def test_container_delivers_webhooks_to_a_named_host(start):
    gateway = podman("network", "inspect", "--format", "{{range .Subnets}}{{.Gateway}}{{end}}", "podman").stdout.strip()
    options = ("--add-host", f"receiver.test:{gateway}", "--env", "LATCHKEY_WEBHOOK_HOSTS=receiver.test")
    container = start(*options, *READ_ONLY, "--tmpfs", "/tmp").wait_until_healthy()
    # The machine has the address of the gateway since the container started.
    with ThreadingHTTPServer((gateway, 0), Receiver) as receiver:
        receiver.received = []
        serving = threading.Thread(target=receiver.serve_forever, daemon=True)
        serving.start()
        url = f"http://receiver.test:{receiver.server_port}/"
        status, created = request(f"{container.url}/webhooks/create", {"url": url}, SANDBOX_KEY)
        assert status == 200, created
        create_code(container, "Ada")
        wait_until(lambda: "access_code.created" in [event.get("event_type") for event in receiver.received], "the webhook")
        receiver.shutdown()
        serving.join()


def test_container_changes_no_file_of_its_image(start):
    container = start().wait_until_healthy()
    create_code(container, "Ada")
    changed = json.loads(podman("diff", "--format", "json", container.id).stdout)
    others = {path for paths in changed.values() for path in paths if not path.startswith("/tmp")}
    # What the engine itself makes.
    assert others <= {"/etc", "/etc/mtab", "/run", "/run/.containerenv", "/run/secrets"}, others


def test_container_stops_within_two_seconds_of_sigterm(start):
    container = start().wait_until_healthy()
    exit_code, seconds = container.stop()
    assert (exit_code, seconds < 2) == (0, True), seconds


def test_container_with_an_open_stream_stops_within_two_seconds(start):
    container = start().wait_until_healthy()
    stream = urllib.request.urlopen(f"{container.url}/_emulator/stream", timeout=30)
    ended = threading.Thread(target=stream.read, daemon=True)
    ended.start()
    exit_code, seconds = container.stop()
    ended.join(10)
    assert (exit_code, seconds < 2, ended.is_alive()) == (0, True, False), seconds


def test_container_stops_while_it_still_starts(start):
    container = start()
    assert container.stop()[0] == 0


def test_container_with_a_guarded_control_plane_needs_the_admin_token(start):
    options = ("--env", "LATCHKEY_CONTROL_PLANE=guarded", "--env", "LATCHKEY_ADMIN_TOKEN=secret-token")
    container = start(*options).wait_until_healthy()
    statuses = [request(f"{container.url}/_emulator/workspaces/list", key=key)[0] for key in (None, "wrong", "secret-token")]
    assert statuses == [401, 401, 200]


def test_container_with_a_guarded_control_plane_and_no_token_does_not_start(start):
    container = start("--env", "LATCHKEY_CONTROL_PLANE=guarded")
    wait_until(lambda: container.inspect("{{.State.Running}}") == "false", "the end of the container")
    assert container.inspect("{{.State.ExitCode}}") == "1"
    assert "set LATCHKEY_ADMIN_TOKEN" in container.log()


def test_health_check_follows_the_port_in_the_environment(start):
    container = start("--env", "LATCHKEY_PORT=8080").wait_until_healthy()
    assert "ready on http://0.0.0.0:8080" in container.log()


def test_health_check_fails_if_the_server_does_not_answer(start):
    container = start(after=("--port", "8080"))
    wait_until(lambda: "ready on" in container.log(), "a server on another port")
    ran = podman("healthcheck", "run", container.id, check=False)
    assert ran.returncode == 1
    assert "does not respond" in container.exec("latchkey", "health", check=False).stderr


def test_data_on_a_volume_survives_a_new_container(start):
    volume = podman("volume", "create").stdout.strip()
    options = ("--env", "LATCHKEY_EPHEMERAL=false", "--volume", f"{volume}:/var/lib/latchkey", *READ_ONLY)
    first = start(*options).wait_until_healthy()
    create_code(first, "Ada")
    assert first.stop()[0] == 0
    second = start(*options).wait_until_healthy()
    create_code(second, "Grace")
    # As the engine does when the time for a stop is over.
    podman("kill", "--signal", "KILL", second.id)
    podman("wait", second.id)
    third = start(*options).wait_until_healthy()
    assert sorted(sandbox_codes(third)) == ["Ada", "Grace"]


def test_data_without_a_volume_is_gone_with_the_container(start):
    first = start().wait_until_healthy()
    create_code(first, "Ada")
    assert sandbox_codes(first) == ["Ada"]
    first.stop()
    podman("start", first.id)
    assert sandbox_codes(first.wait_until_healthy()) == []


def test_postgresql_that_dies_in_a_container_is_restarted(start):
    container = start().wait_until_healthy()
    create_code(container, "Ada")

    def postmaster():
        script = "read -r pid < $(echo /tmp/latchkey-*/data/postmaster.pid) && echo $pid"
        return container.exec("sh", "-c", script, check=False).stdout

    before = postmaster()
    container.exec("sh", "-c", f"kill -9 {before}")
    wait_until(lambda: postmaster() not in ("", before), "a new PostgreSQL")
    wait_until(lambda: request(f"{container.url}/health")[0] == 200, "a healthy server")
    assert sandbox_codes(container) == ["Ada"]


def test_arguments_are_commands_and_options_of_latchkey():
    ran = podman("run", "--rm", "--network", "none", IMAGE, "doctor")
    assert "postgresql's programs: version 17" in ran.stdout
    assert "problem" not in ran.stdout
