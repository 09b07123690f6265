#!/usr/bin/env python3
"""Runs the examples of README.md and of the pages in docs/ against a running server, and compares the output with the pages.

    BASE_URL=http://127.0.0.1:7326 PYTHON=... NODE_MODULES=... tests/readme/check.py

PYTHON is an interpreter with the packages `seam` and `pytest`. NODE_MODULES is a folder that contains `@seamapi/http`. The server must
not have the workspaces of the pages yet, because their seeds are fixed. The script executes the commands in `sh` blocks. The `text` block
after an `sh` block is the expected output; differences in white space are ignored. All `sh` blocks of a section run in one shell.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASE_URL = os.environ["BASE_URL"]
MARK = "---- end of command"


def sections(text):
    """Returns the name and the text of each section."""
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    return list(zip(["", *parts[1::2]], parts[::2]))


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def steps_of(text):
    """Returns each sh block with its expected output, which is empty if no text block follows."""
    found = re.findall(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", text, flags=re.M | re.S)
    return [(commands.strip("\n"), printed) for commands, printed in found]


def without_space(text):
    return re.sub(r"\s", "", text)


def check_shell(text):
    """Runs all sh blocks of a section in one shell, because later blocks use variables of earlier ones."""
    steps = steps_of(text)
    if not steps:
        return []
    script = f"\necho '{MARK}'\n".join(command for command, _ in steps)
    ran = subprocess.run(["bash", "-uo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60)
    printed = ran.stdout.split(MARK + "\n")
    if ran.stderr or len(printed) != len(steps):
        return [f"not all commands ran without an error: {ran.stderr}"]
    return [
        f"{command}\n  should print  {expected}\n  but printed   {actual}"
        for (command, expected), actual in zip(steps, printed)
        if without_space(expected) != without_space(actual)
    ]


def run(command, folder):
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return [] if ran.returncode == 0 else [f"{command[0]} failed\n{ran.stdout}{ran.stderr}"]


def check_code(text):
    """Runs the Python and JavaScript blocks, each as a file in an empty folder."""
    wrong = []
    python, modules = os.environ["PYTHON"], os.environ["NODE_MODULES"]
    for block in blocks(text, "python"):
        with tempfile.TemporaryDirectory() as folder:
            name = "test_guest.py" if "def test_" in block else "example.py"
            Path(folder, name).write_text(block)
            start = ["-m", "pytest", "-q"] if name.startswith("test_") else [name]
            wrong += run([python, *start], folder)
    for block in blocks(text, "js"):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "node_modules").symlink_to(Path(modules).resolve())
            name = "guest.test.mjs" if "node:test" in block else "example.mjs"
            Path(folder, name).write_text(block)
            wrong += run(["node", *(["--test"] if "test" in name else []), name], folder)
    return wrong


def bare(value):
    """Removes fields that are null, false or empty, and replaces values that differ from run to run by their kind."""
    if isinstance(value, dict):
        return {key: bare(field) for key, field in value.items() if field not in (None, False, [], {}, "")}
    if isinstance(value, list):
        return [bare(item) for item in value]
    if isinstance(value, str):
        value = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "INSTANT", value)
        value = re.sub(r"(?!0{8})[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", value)
        return re.sub(r"^\d{4}$", "PIN", value)
    return value


def check_first_request(text):
    """Runs the first request, an indented command, and compares the response with the JSON block."""
    (command,) = re.findall(r"^    (curl .*?)\n\n", text, flags=re.M | re.S)
    (expected,) = blocks(text, "json")
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    actual = json.loads(ran.stdout)
    if bare(actual) == bare(json.loads(expected)):
        return []
    return [f"{command}\n  printed {json.dumps(bare(actual), indent=2)}"]


def check_routes(text):
    """Checks that the table lists exactly the routes of the control plane."""
    with urllib.request.urlopen(f"{BASE_URL}/_emulator/openapi.json") as response:
        served = {path.removeprefix("/_emulator/") for path in json.load(response)["paths"]}
    cells = re.findall(r"^\| (`.*?) \|", text, flags=re.M)
    listed = {route for cell in cells for route in re.findall(r"`([^`]*)`", cell)}
    return [
        *(f"the table has no {route}" for route in sorted(served - listed)),
        *(f"the server has no {route}" for route in sorted(listed - served)),
    ]


def check_paths(text):
    """Checks that the table lists exactly the emulated paths."""
    with urllib.request.urlopen(f"{BASE_URL}/openapi.json") as response:
        paths = json.load(response)["paths"]
    listed = set()
    for cell in re.findall(r"^\| (`/.*?) \|", text, flags=re.M):
        first, *others = re.findall(r"`([^`]*)`", cell)
        listed |= {first, *(first.rpartition("/")[0] + "/" + other for other in others if not other.startswith("/"))}
        listed |= {other for other in others if other.startswith("/")}
    served = {path for path, methods in paths.items() if is_served(path, methods)}
    return [
        *(f"the table has no {path}" for path in sorted(served - listed)),
        *(f"the server has no {path}" for path in sorted(listed - served) if not exists(path)),
    ]


def exists(path):
    """Returns true if the server has this path outside the contract."""
    try:
        urllib.request.urlopen(f"{BASE_URL}{path}").close()
    except urllib.error.HTTPError:
        return False
    return True


def is_served(path, methods):
    method = "POST" if "post" in methods else next(iter(methods)).upper()
    request = urllib.request.Request(f"{BASE_URL}{path}", data=b"{}", method=method)
    request.add_header("Authorization", "Bearer seam_testsand_LatchkeySandbox")
    request.add_header("Content-Type", "application/json")
    try:
        urllib.request.urlopen(request).close()
    except urllib.error.HTTPError as error:
        return error.code != 501
    return True


def check_page(page):
    text = page.read_text().replace("http://127.0.0.1:7326", BASE_URL)
    wrong = []
    for name, section in sections(text):
        found = check_shell(section) + check_code(section)
        if page.name == "README.md" and name == "":
            found += check_first_request(section)
        wrong += [f"{name or 'The beginning'}: {what}" for what in found]
    if page.name == "control-plane.md":
        wrong += check_routes(text)
    if page.name == "differences.md":
        wrong += check_paths(text)
    return [f"{page.relative_to(ROOT)}: {what}" for what in wrong]


def main():
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    wrong = [what for page in pages for what in check_page(page)]
    print("\n\n".join(wrong) or "The examples and tables of README.md and docs/ are correct")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
