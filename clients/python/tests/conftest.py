"""The tests run against the installed package. LATCHKEY_BIN replaces its program."""

import os
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# A test that sets them says so; those of the machine would change the result.
for name in ("LATCHKEY_URL", "LATCHKEY_ADMIN_TOKEN", "SEAM_API_KEY", "SEAM_ENDPOINT", "SEAM_PERSONAL_ACCESS_TOKEN"):
    os.environ.pop(name, None)


class Programs:
    """Writes programs that behave as a faulty `latchkey` would."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, script: str) -> str:
        program = self.directory / "latchkey"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return str(program)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)
