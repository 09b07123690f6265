"""A whole pipeline: a fresh folder, the action, a hundred tests in four processes, and nothing left."""

import os
import re
import shutil
import sys
import time
from pathlib import Path
from urllib.parse import unquote

from conftest import BINARY, ROOT
from job import processes_of

# With two cores for itself, a pipeline with installed packages takes about half of this.
LIMIT_SECONDS = float(os.environ.get("LIMIT_SECONDS", "15"))


def data_of(log):
    """Returns the directory of the database, which the server names in its log."""
    (found,) = re.findall(r"[?&]host=([^&']*)", Path(log).read_text())
    return Path(unquote(found))


def test_pipeline_of_a_hundred_tests_takes_at_most_15_seconds(job):
    shutil.copytree(ROOT / "tests/action/suite", job.workspace, dirs_exist_ok=True)
    job.environment["PATH"] = f"{os.path.dirname(sys.executable)}:{job.environment['PATH']}"
    began = time.monotonic()
    printed, outputs = job.use(ROOT, binary=str(BINARY), port="0")
    data = data_of(outputs["log"])
    assert data.exists()
    ready = time.monotonic()
    ran = job.run("pytest -q -n 4 -p no:cacheprovider")
    tested = time.monotonic()
    stopped, _ = job.use(ROOT / ".github/action/stop")
    seconds = time.monotonic() - began
    print(f"\nstart {ready - began:.2f} s, tests {tested - ready:.2f} s, total with the stop {seconds:.2f} s")
    assert job.status == "success", printed + ran.stdout + stopped
    assert "100 passed" in ran.stdout
    assert seconds <= LIMIT_SECONDS
    assert processes_of(job.temporary) == []
    assert not data.exists()


def test_pipeline_that_fails_shows_the_log_and_leaves_nothing(job):
    shutil.copytree(ROOT / "tests/action/suite", job.workspace, dirs_exist_ok=True)
    job.environment["PATH"] = f"{os.path.dirname(sys.executable)}:{job.environment['PATH']}"
    _, outputs = job.use(ROOT, binary=str(BINARY), port="0")
    data = data_of(outputs["log"])
    ran = job.run("sed -i 's/\"set\"/\"unset\"/' test_stays.py && pytest -q --maxfail=1 -p no:cacheprovider")
    assert "1 failed" in ran.stdout
    printed, _ = job.use(ROOT / ".github/action/stop")
    assert f"ready on {outputs['url']}" in printed
    assert processes_of(job.temporary) == []
    assert not data.exists()
