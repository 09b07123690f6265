"""The action: the program it installs, the server it starts, and what it shows if something fails."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import BINARY, MACHINE, ROOT, make_archive
from job import Job, processes_of

STOP = ROOT / ".github/action/stop"
PORT = {"port": "0"}
FROM_FILE = {"binary": str(BINARY), **PORT}


def responds(url):
    with urllib.request.urlopen(f"{url}/health", timeout=10) as response:
        return response.status == 200


def wait_until_gone(job):
    deadline = time.monotonic() + 10
    while processes_of(job.temporary):
        assert time.monotonic() < deadline, "the server still runs"
        time.sleep(0.02)


def test_action_gives_later_steps_the_address_and_the_key(job):
    printed, outputs = job.use(ROOT, **FROM_FILE)
    assert job.status == "success", printed
    url = outputs["url"]
    assert responds(url)
    assert outputs["api-key"] == "seam_testsand_LatchkeySandbox"
    names = ("SEAM_ENDPOINT", "LATCHKEY_URL", "SEAM_API_KEY", "LATCHKEY_LOG")
    assert [job.environment[name] for name in names] == [url, url, outputs["api-key"], outputs["log"]]
    ran = job.run("latchkey health")
    assert ran.returncode == 0, ran.stdout


def test_action_listens_on_the_port_of_readmes_by_default(job):
    printed, outputs = job.use(ROOT, binary=str(BINARY))
    assert outputs.get("url") == "http://127.0.0.1:7326", printed


def test_action_starts_the_server_with_the_given_options(job):
    printed, outputs = job.use(ROOT, **FROM_FILE, options="--clock held  --seed ci")
    assert job.status == "success", printed
    assert "held at 2026-01-01T00:00:00.000Z" in Path(outputs["log"]).read_text()


def test_action_gives_the_server_the_variables_of_the_job(make_job):
    job = make_job(LATCHKEY_CLOCK="held")
    _, outputs = job.use(ROOT, **FROM_FILE)
    assert "held at 2026-01-01T00:00:00.000Z" in Path(outputs["log"]).read_text()


def test_action_does_not_use_the_database_of_the_job(make_job):
    job = make_job(DATABASE_URL="postgres://nobody@127.0.0.1:1/shop")
    printed, outputs = job.use(ROOT, **FROM_FILE)
    assert job.status == "success", printed
    assert "deleted when the server stops" in Path(outputs["log"]).read_text()


def test_action_runs_the_downloaded_release(job, releases, archive):
    releases.add(archive, "9.8.7")
    printed, outputs = job.use(ROOT, version="9.8.7", downloads=releases.url, **PORT)
    assert job.status == "success", printed
    assert responds(outputs["url"])
    assert f"installed {releases.url}/v9.8.7/latchkey-9.8.7-{MACHINE}-unknown-linux-gnu.tar.gz" in printed


def test_action_downloads_the_release_of_its_own_version(job, releases, archive, version):
    # With the name and the checksum that it was made with.
    shutil.copytree(archive.parent, releases.folder / f"v{version}")
    printed, _ = job.use(ROOT, downloads=f"{releases.url}/", **PORT)
    assert job.status == "success", printed
    assert f"/v{version}/" in printed


def test_action_accepts_the_name_of_a_tag_as_version(job, releases, archive):
    releases.add(archive, "9.8.7")
    printed, _ = job.use(ROOT, version="v9.8.7", downloads=releases.url, **PORT)
    assert job.status == "success", printed


def test_archive_has_the_licences_of_what_the_program_contains(archive):
    with tarfile.open(archive) as files:
        folder = archive.name.removesuffix(".tar.gz")
        assert {f"{folder}/{name}" for name in ("latchkey", "LICENSE-APACHE", "LICENSE-MIT")} <= set(files.getnames())
        notices = files.extractfile(f"{folder}/THIRD-PARTY-LICENSES").read().decode()
    assert re.search(r"^ring \d", notices, re.M) and re.search(r"^tokio \d", notices, re.M)


def test_archive_with_another_checksum_is_not_unpacked(job, releases, archive):
    added = releases.add(archive, "9.8.7")
    Path(f"{added}.sha256").write_text(f"{'0' * 64}  {added.name}\n")
    printed, _ = job.use(ROOT, version="9.8.7", downloads=releases.url, **PORT)
    assert job.status == "failure"
    assert "was changed: its checksum is" in printed and f"that of the release is {'0' * 64}" in printed
    assert list((job.temporary / "latchkey/bin").iterdir()) == []


def test_archive_without_a_checksum_is_not_unpacked(job, releases, archive):
    added = releases.add(archive, "9.8.7")
    Path(f"{added}.sha256").unlink()
    printed, _ = job.use(ROOT, version="9.8.7", downloads=releases.url, **PORT)
    assert job.status == "failure"
    assert f"cannot download {releases.url}/v9.8.7/{added.name}.sha256" in printed
    assert list((job.temporary / "latchkey/bin").iterdir()) == []


def test_release_that_does_not_exist_is_named_in_the_error(job, releases, archive):
    printed, _ = job.use(ROOT, version="1.2.3", downloads=releases.url, **PORT)
    assert job.status == "failure"
    url = f"{releases.url}/v1.2.3/latchkey-1.2.3-{MACHINE}-unknown-linux-gnu.tar.gz"
    assert f"::error title=Latchkey::cannot download {url}: check that this release exists" in printed
    assert "404" in printed


def test_release_that_does_not_run_on_this_machine_is_an_error(job, releases, tmp_path):
    program = tmp_path / "program"
    program.write_text("#!/nonexistent/interpreter\n")
    program.chmod(0o755)
    releases.add(make_archive(program, tmp_path / "archives"), "9.8.7")
    printed, _ = job.use(ROOT, version="9.8.7", downloads=releases.url, **PORT)
    assert job.status == "failure"
    assert "::error title=Latchkey::the program does not run on this machine" in printed


def test_downloads_are_from_the_repository_of_the_action(job, tmp_path, version):
    # The folder in which the runner puts the actions of other repositories.
    action = tmp_path / "_actions/owner/latchkey/v1"
    shutil.copytree(ROOT / ".github/action", action / ".github/action")
    for name in ("action.yml", "Cargo.toml"):
        shutil.copy(ROOT / name, action)
    job.environment["GITHUB_SERVER_URL"] = "http://127.0.0.1:1"
    printed, _ = job.use(action, **PORT)
    assert job.status == "failure"
    assert f"cannot download http://127.0.0.1:1/owner/latchkey/releases/download/v{version}/latchkey-{version}-" in printed


def test_unknown_machine_is_an_error_with_its_name(job, tmp_path):
    fake(tmp_path, job, "uname", "echo FreeBSD amd64")
    printed, _ = job.use(ROOT, **PORT)
    assert job.status == "failure"
    assert "::error title=Latchkey::there is no release for FreeBSD amd64" in printed


@pytest.mark.parametrize(
    ("machine", "target"),
    [("Linux aarch64", "aarch64-unknown-linux-gnu"), ("Darwin arm64", "aarch64-apple-darwin")],
)
def test_archive_is_that_of_the_machine(job, releases, archive, tmp_path, machine, target):
    fake(tmp_path, job, "uname", f"echo {machine}")
    releases.add(archive, "9.8.7", target)
    printed, _ = job.use(ROOT, version="9.8.7", downloads=releases.url, **PORT)
    assert job.status == "success", printed
    assert f"latchkey-9.8.7-{target}.tar.gz" in printed


def test_binary_that_does_not_exist_is_an_error(job):
    printed, _ = job.use(ROOT, binary="target/nothing", **PORT)
    assert job.status == "failure"
    assert "::error title=Latchkey::the input 'binary' is not a program: target/nothing" in printed


def test_source_without_rust_is_an_error(job):
    # Only what the script itself needs.
    job.environment["PATH"] = "/usr/bin:/bin"
    printed, _ = job.use(ROOT, version="source", **PORT)
    assert job.status == "failure"
    assert "::error title=Latchkey::'version: source' needs Rust" in printed


def test_source_is_built_as_it_is_locked(job, tmp_path):
    folder = job.temporary / "latchkey/target/release"
    build = f'echo "$@" > {tmp_path}/arguments && mkdir -p {folder} && cp {BINARY} {folder}/latchkey'
    fake(tmp_path, job, "cargo", build)
    printed, _ = job.use(ROOT, version="source", **PORT)
    assert job.status == "success", printed
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[:4] == ["build", "--release", "--locked", "--manifest-path"]
    assert arguments[4] == f"{ROOT}/Cargo.toml"


@pytest.fixture
def open_folder():
    """A folder that every user can enter, because PostgreSQL does not run as root."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_missing_postgresql_is_installed_with_the_packages_of_the_system(job, tmp_path, open_folder):
    log = tmp_path / "commands"
    # A machine on which the program finds PostgreSQL only after its installation.
    job.environment["PG_BIN_DIR"] = str(open_folder / "postgresql")
    newest = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3])).parent
    install = f'echo "apt-get $@" >> {log}; case $1 in install) ln -s {newest} {open_folder}/postgresql;; esac'
    fake(tmp_path, job, "apt-get", install)
    printed, outputs = job.use(ROOT, **FROM_FILE)
    assert job.status == "success", printed
    assert responds(outputs["url"])
    commands = log.read_text().splitlines()
    assert [command.split()[1] for command in commands] == ["update", "install"]
    assert commands[1].split()[-1] == "postgresql"


def test_postgresql_that_is_there_is_not_installed_again(job, tmp_path):
    fake(tmp_path, job, "apt-get", "exit 1")
    printed, _ = job.use(ROOT, **FROM_FILE)
    assert job.status == "success", printed


def test_port_in_use_fails_at_once_with_the_log(job):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        began = time.monotonic()
        printed, _ = job.use(ROOT, binary=str(BINARY), port=str(port))
    assert job.status == "failure"
    assert time.monotonic() - began < 10
    assert f"::error title=Latchkey::Latchkey ended while it started: latchkey: cannot listen on 127.0.0.1:{port}" in printed
    assert "::group::The log of Latchkey" in printed
    assert not processes_of(job.temporary)


def test_wrong_option_fails_at_once_with_the_log(job):
    printed, _ = job.use(ROOT, **FROM_FILE, options="--clok held")
    assert job.status == "failure"
    assert "unexpected argument '--clok'" in printed
    assert not processes_of(job.temporary)


def test_second_start_in_a_job_is_an_error(job):
    job.use(ROOT, **FROM_FILE)
    printed, _ = job.use(ROOT, **FROM_FILE)
    assert job.status == "failure"
    assert "::error title=Latchkey::this job has started Latchkey before" in printed


def test_stop_ends_the_server_and_shows_no_log_of_a_good_job(job):
    job.use(ROOT, **FROM_FILE)
    printed, _ = job.use(STOP)
    assert (job.status, printed) == ("success", "Latchkey has stopped\n")
    assert not processes_of(job.temporary)


def test_stop_shows_the_log_of_a_job_that_failed(job):
    _, outputs = job.use(ROOT, **FROM_FILE)
    assert job.run("exit 1").returncode == 1
    printed, _ = job.use(STOP)
    assert f"ready on {outputs['url']}" in printed
    assert printed.endswith("Latchkey has stopped\n")


def test_log_cannot_give_commands_to_the_runner(job):
    job.use(ROOT, **FROM_FILE)
    job.run("echo '::error::from the log' >> \"$LATCHKEY_LOG\"; exit 1")
    printed, _ = job.use(STOP)
    lines = printed.splitlines()
    stopped = next(line for line in lines if line.startswith("::stop-commands::"))
    token = stopped.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert lines.index(stopped) < lines.index("::error::from the log") < lines.index(f"::{token}::")


def test_stop_without_a_server_does_nothing(job):
    printed, _ = job.use(STOP)
    assert (job.status, printed) == ("success", "Latchkey is not running\n")


def test_stop_of_a_server_that_has_died_fails_with_its_log(job):
    _, outputs = job.use(ROOT, **FROM_FILE)
    ran = job.run(f"kill -KILL $(cat {job.temporary}/latchkey/pid)")
    assert ran.returncode == 0, ran.stdout
    wait_until_gone(job)
    printed, _ = job.use(STOP)
    assert job.status == "failure"
    assert f"ready on {outputs['url']}" in printed
    assert "::error title=Latchkey::Latchkey has ended before" in printed


def test_server_can_be_started_again_after_a_stop(job):
    for _ in range(2):
        printed, outputs = job.use(ROOT, **FROM_FILE)
        assert job.status == "success", printed
        assert responds(outputs["url"])
        job.use(STOP)


def test_stop_works_where_the_first_process_waits_for_no_other(tmp_path):
    # As in a container for a job: an ended process stays as a zombie. This script becomes the first process.
    script = "import test_action; test_action.start_and_stop()"
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", sys.executable, "-B", "-c", script]
    environment = os.environ | {"JOB_FOLDER": str(tmp_path / "job")}
    ran = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def start_and_stop():
    """Runs as the first process of a container."""
    assert os.getpid() == 1
    job = Job(Path(os.environ["JOB_FOLDER"]))
    job.use(ROOT, **FROM_FILE)
    server = (job.temporary / "latchkey/pid").read_text().strip()
    printed, _ = job.use(STOP)
    assert printed == "Latchkey has stopped\n", printed
    assert "State:\tZ" in Path(f"/proc/{server}/status").read_text()


def fake(folder, job, name, script):
    """Puts a program of this name before all others."""
    programs = folder / "fakes"
    programs.mkdir(exist_ok=True)
    (programs / name).write_text(f"#!/bin/bash\n{script}\n")
    (programs / name).chmod(0o755)
    job.environment["PATH"] = f"{programs}:{job.environment['PATH']}"
