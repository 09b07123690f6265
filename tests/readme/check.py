#!/usr/bin/env python3
"""Does what README.md and the pages in docs/ say, literally, as somebody new would, and compares what comes with what they say.

    BASE_URL=http://127.0.0.1:7326 PYTHON=... NODE_MODULES=... tests/readme/check.py

PYTHON is an interpreter that has `seam` and `pytest`; NODE_MODULES a folder with `@seamapi/http`. The workspaces of the pages have
seeds, so none of them may be there yet. Commands are those in `sh` blocks; a `text` block that follows is what they print, white
space apart. The `sh` blocks of a section follow on one another.
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
    """The name and text of each section."""
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    return list(zip(["", *parts[1::2]], parts[::2]))


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def steps_of(text):
    """Each sh block with what it is said to print, which is nothing if no text block follows it."""
    found = re.findall(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", text, flags=re.M | re.S)
    return [(commands.strip("\n"), printed) for commands, printed in found]


def squeezed(text):
    return re.sub(r"\s", "", text)


def check_shell(text):
    """A section's blocks follow on one another: one shell runs them all."""
    steps = steps_of(text)
    if not steps:
        return []
    script = f"\necho '{MARK}'\n".join(command for command, _ in steps)
    ran = subprocess.run(["bash", "-uo", "pipefail", "-c", script], capture_output=True, text=True, timeout=60)
    printed = ran.stdout.split(MARK + "\n")
    if ran.stderr or len(printed) != len(steps):
        return [f"the commands did not all run: {ran.stderr}"]
    return [
        f"{command}\n  is said to print  {told}\n  and it printed    {came}"
        for (command, told), came in zip(steps, printed)
        if squeezed(told) != squeezed(came)
    ]


def run(command, folder):
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    return [] if ran.returncode == 0 else [f"{command[0]} failed\n{ran.stdout}{ran.stderr}"]


def check_code(text):
    """Python and JavaScript, each block a file in an otherwise empty folder."""
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
    """A value without the fields that are null, false or empty, and with the kind of each that differs from run to run."""
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
    """The first request is an indented command, and its answer a block of JSON."""
    (command,) = re.findall(r"^    (curl .*?)\n\n", text, flags=re.M | re.S)
    (told,) = blocks(text, "json")
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    came = json.loads(ran.stdout)
    if bare(came) == bare(json.loads(told)):
        return []
    return [f"{command}\n  printed {json.dumps(bare(came), indent=2)}"]


def check_routes(text):
    """The table has every route of the control plane, and no other."""
    with urllib.request.urlopen(f"{BASE_URL}/_emulator/openapi.json") as answer:
        served = {path.removeprefix("/_emulator/") for path in json.load(answer)["paths"]}
    cells = re.findall(r"^\| (`.*?) \|", text, flags=re.M)
    told = {route for cell in cells for route in re.findall(r"`([^`]*)`", cell)}
    return [
        *(f"the table has no {route}" for route in sorted(served - told)),
        *(f"there is no {route}" for route in sorted(told - served)),
    ]


def check_paths(text):
    """The table has every path that is emulated, and no other."""
    with urllib.request.urlopen(f"{BASE_URL}/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    told = set()
    for cell in re.findall(r"^\| (`/.*?) \|", text, flags=re.M):
        first, *others = re.findall(r"`([^`]*)`", cell)
        told |= {first, *(first.rpartition("/")[0] + "/" + other for other in others if not other.startswith("/"))}
        told |= {other for other in others if other.startswith("/")}
    served = {path for path, methods in paths.items() if is_served(path, methods)}
    return [
        *(f"the table has no {path}" for path in sorted(served - told)),
        *(f"there is no {path}" for path in sorted(told - served) if not answers(path)),
    ]


def answers(path):
    """Whether a path outside the contract is there."""
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
    print("\n\n".join(wrong) or "README.md and docs/ say what is so")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
