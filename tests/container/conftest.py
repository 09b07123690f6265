"""Containers for the tests: they are started in the engine that check.sh prepared, and removed after each test."""

import http.client
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SANDBOX_KEY = "seam_testsand_LatchkeySandbox"
# A lock of the sandbox.
LOCK = "00000000-0000-4000-8000-000000000101"
# What a container waits for normally takes a twentieth of this.
TIMEOUT = 60


def run(*command, check=True, **options):
    """Runs a command and returns its result, with its output as text. A failure shows that output."""
    ran = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120, **options)
    if check and ran.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{ran.stdout}{ran.stderr}")
    return ran


def podman(*arguments, check=True):
    return run("podman", *arguments, check=check)


def wait_until(is_true, what):
    """Returns the first true result of a function."""
    deadline = time.monotonic() + TIMEOUT
    while not (result := is_true()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {TIMEOUT} s: {what}")
        time.sleep(0.05)
    return result


def request(url, body=None, key=None):
    """Sends a GET, or a POST with a body of JSON, and returns the status and the content of the response."""
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or b"null")


class Container:
    """A running container of an image."""

    def __init__(self, *options):
        self.id = podman("run", "--detach", *options).stdout.strip()

    def inspect(self, template):
        return podman("inspect", "--format", template, self.id).stdout.strip()

    @property
    def url(self):
        """URL by its address in the network of the containers, which other containers use too."""
        (address,) = json.loads(self.inspect("{{json .NetworkSettings.Networks}}")).values()
        return f"http://{address['IPAddress']}:7326"

    def wait_until_healthy(self):
        def is_healthy():
            if self.inspect("{{.State.Running}}") != "true":
                pytest.fail(f"the container stopped:\n{self.log()}")
            return self.inspect("{{.State.Health.Status}}") == "healthy"

        wait_until(is_healthy, f"healthy container; its log:\n{self.log()}")
        return self

    def log(self):
        ran = podman("logs", self.id)
        return ran.stdout + ran.stderr

    def exec(self, *command, check=True):
        return podman("exec", self.id, *command, check=check)

    def stop(self):
        """Sends SIGTERM. Returns the exit code and the duration in seconds."""
        began = time.monotonic()
        podman("stop", "--time", 10, self.id)
        return int(self.inspect("{{.State.ExitCode}}")), time.monotonic() - began


@pytest.fixture(scope="session", autouse=True)
def health_checks():
    """Runs the health checks of all containers, as engines do. This one has systemd do it, which does not run here."""
    is_over = threading.Event()

    def check_all():
        while not is_over.wait(0.2):
            for container in podman("ps", "--quiet").stdout.split():
                podman("healthcheck", "run", container, check=False)

    checks = threading.Thread(target=check_all)
    checks.start()
    yield
    is_over.set()
    checks.join()


@pytest.fixture
def start():
    """Starts containers: start("--read-only", after=["--port", "8080"]) gives options to the engine, and to Latchkey."""
    started = []

    def start(*options, after=()):
        started.append(Container("--network", "podman", *options, "localhost/latchkey", *after))
        return started[-1]

    yield start
    for container in started:
        podman("rm", "--force", "--volumes", container.id)


class Compose:
    """Docker's client for one or more compose files, in the folder of the repository."""

    def __init__(self, *files):
        command = [os.environ["DOCKER_COMPOSE"], "--project-name", "latchkey", "--project-directory", ROOT]
        self.command = [*command, *(option for file in files for option in ("--file", ROOT / file))]

    def __call__(self, *arguments):
        ran = run(*self.command, *arguments, check=False)
        if ran.returncode:
            logs = run(*self.command, "logs", "--no-color", check=False).stdout
            pytest.fail(f"compose {' '.join(arguments)}\n{ran.stdout}{ran.stderr}{logs}")
        return ran

    def up(self, *options):
        """Starts all services, and waits until they are healthy. The image is there already."""
        self("up", "--detach", "--no-build", "--wait", *options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self("down", "--volumes")

    def services(self):
        """Returns the services as the client understands them."""
        return yaml.safe_load(self("config").stdout)["services"]


def containers(service):
    """Returns the id and the URL of each container of a service."""
    ids = podman("ps", "--quiet", "--filter", f"label=com.docker.compose.service={service}").stdout.split()
    template = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return [(id, f"http://{podman('inspect', '--format', template, id).stdout.strip()}:7326") for id in ids]


def requests_served(url, path):
    """Returns how many requests to a path a Latchkey has in its log."""
    status, found = request(f"{url}/_emulator/requests?path={path}")
    assert status == 200, found
    return len(found["requests"])


def requests_served_by_each(url, number):
    """Sends a number of requests on one connection to the proxy at a URL. Returns how many each Latchkey has in its log.

    nginx distributes the requests of one connection in turn, but requests of the proxy's own health check take turns too: so
    the numbers are only nearly equal.
    """
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    for _ in range(number):
        connection.request("GET", f"/devices/get?device_id={LOCK}", headers={"Authorization": f"Bearer {SANDBOX_KEY}"})
        assert json.loads(connection.getresponse().read())["ok"]
    served = [requests_served(latchkey, "/devices/get") for _, latchkey in containers("latchkey")]
    assert sum(served) == number
    return served
