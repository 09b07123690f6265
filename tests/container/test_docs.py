"""The commands and snippets of docs/ci.md and docs/containers.md, as they stand there; and the form of the Dockerfile."""

import os
import re
import sys
from pathlib import Path

import pytest
from conftest import ROOT, podman, request, run, wait_until

CI = (ROOT / "docs/ci.md").read_text()
CONTAINERS = (ROOT / "docs/containers.md").read_text()
LOCKS = "Front Door"


def block(language):
    """Returns the only block of docs/ci.md in a language, with the image that was built here."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", CI, flags=re.M | re.S)
    assert "ghcr.io/OWNER/latchkey" in found
    return re.sub(r"ghcr\.io/OWNER/latchkey:[\d.]+", "localhost/latchkey", found)


def nothing_runs():
    return podman("ps", "--all", "--quiet").stdout == ""


@pytest.fixture
def environment(tmp_path):
    """Variables for clients of Docker. Without them, Testcontainers would start a container that removes others, which has no
    image here, and would take this machine for a container itself."""
    (tmp_path / "docker").symlink_to("/usr/bin/podman")
    testcontainers = {"RYUK_DISABLED": "true", "HOST_OVERRIDE": "127.0.0.1", "CONNECTION_MODE": "docker_host"}
    settings = {f"TESTCONTAINERS_{name}": value for name, value in testcontainers.items()}
    return os.environ | settings | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


@pytest.mark.parametrize("options", re.findall(r"^    docker run (.*) latchkey$", CONTAINERS, flags=re.M))
def test_docker_run_of_the_documentation_serves_on_port_7326(options):
    assert "--rm" in options
    container = podman("run", "--detach", *options.split(), "localhost/latchkey").stdout.strip()
    wait_until(lambda: podman("exec", container, "latchkey", "health", check=False).returncode == 0, "a healthy server")
    assert request("http://127.0.0.1:7326/_emulator/workspaces/create", {"locks": 1})[0] == 200
    podman("stop", container)
    wait_until(nothing_runs, "the removal of the container")


def test_commands_for_docker_alone_start_and_remove_a_server(environment):
    ran = run("bash", "-euc", block("bash"), env=environment)
    assert LOCKS in ran.stdout
    assert nothing_runs()


def test_snippet_for_testcontainers_in_python_runs(environment, tmp_path):
    (tmp_path / "example.py").write_text(block("py"))
    ran = run(sys.executable, "-B", tmp_path / "example.py", env=environment)
    assert LOCKS in ran.stdout
    assert nothing_runs()


def test_snippet_for_testcontainers_in_node_runs(environment, tmp_path):
    modules = ROOT / "target/container/node/node_modules"
    (tmp_path / "node_modules").symlink_to(modules)
    (tmp_path / "example.mjs").write_text(block("javascript"))
    ran = run(modules / "node/bin/node", tmp_path / "example.mjs", env=environment)
    assert LOCKS in ran.stdout
    assert nothing_runs()


def test_table_of_defaults_has_the_variables_of_the_image():
    variables = podman("image", "inspect", "--format", "{{range .Config.Env}}{{.}}\n{{end}}", "localhost/latchkey").stdout
    of_image = {line for line in variables.splitlines() if line.startswith("LATCHKEY_")}
    listed = re.findall(r"^\| `(LATCHKEY_\w+)` \| `(.*?)` \|", CONTAINERS, flags=re.M)
    assert of_image == {f"{name}={value}" for name, value in listed}


def test_dockerfile_has_no_findings_of_hadolint():
    run(Path(sys.executable).parent / "hadolint", ROOT / "Dockerfile")
