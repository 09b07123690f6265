"""The jobs of the tests, and releases on a loopback server."""

import hashlib
import os
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from job import Job

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ["LATCHKEY_BIN"]).resolve()
MACHINE = os.uname().machine

# The tests that a pipeline runs.
collect_ignore = ["suite"]


@pytest.fixture
def make_job(tmp_path):
    """Makes jobs, and ends what they leave running."""
    jobs = []

    def make(**environment):
        jobs.append(Job(tmp_path / f"job-{len(jobs)}", environment))
        return jobs[-1]

    yield make
    for job in jobs:
        job.end()


@pytest.fixture
def job(make_job):
    return make_job()


class Releases:
    """A folder with releases, and its URL."""

    def __init__(self, folder, url):
        self.folder = folder
        self.url = url

    def add(self, archive, version, target=f"{MACHINE}-unknown-linux-gnu"):
        """Adds an archive under the name of a version and a target, and its checksum. Returns its path."""
        added = self.folder / f"v{version}" / f"latchkey-{version}-{target}.tar.gz"
        added.parent.mkdir(exist_ok=True)
        shutil.copy(archive, added)
        checksum = hashlib.sha256(added.read_bytes()).hexdigest()
        Path(f"{added}.sha256").write_text(f"{checksum}  {added.name}\n")
        return added


def make_archive(program, folder):
    """Makes an archive and its checksum as the workflow for releases does, and returns its path."""
    command = [ROOT / ".github/action/archive.sh", program, f"{MACHINE}-unknown-linux-gnu", folder]
    return Path(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip())


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    return make_archive(BINARY, tmp_path_factory.mktemp("archives"))


@pytest.fixture
def releases(tmp_path):
    folder = tmp_path / "releases"
    folder.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Releases(folder, f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def version():
    """Version of the program, which is also that of the action."""
    printed = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True, timeout=10).stdout
    return printed.split()[1]
