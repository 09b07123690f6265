#!/usr/bin/env python3
"""Does what README.md says, literally, as somebody new would, and compares what comes with what it says.

    BASE_URL=http://127.0.0.1:7326 PYTHON=... NODE_MODULES=... tests/readme/check.py

PYTHON is an interpreter that has `seam` and `pytest`; NODE_MODULES a folder with `@seamapi/http`. The README's worlds have
seeds, so none of them may be there yet. Commands are those in `sh` blocks; lines that begin with `# ` are what the
command before them prints, white space apart.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
BASE_URL = os.environ["BASE_URL"]
MARK = "---- end of command"


def sections(text):
    """The name and text of each section."""
    parts = re.split(r"^## (.*)\n", text, flags=re.M)
    return list(zip(["", *parts[1::2]], parts[::2]))


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def commands(block):
    """Each command of a block with what it is said to print, which is nothing if the README does not say."""
    command, told = [], []
    for line in [*block.splitlines(), ""]:
        if line.startswith("# "):
            told.append(line[2:])
            continue
        if told:
            yield "\n".join(command), "".join(told)
            command, told = [], []
        command.append(line)
    if "".join(command).strip():
        yield "\n".join(command), ""


def squeezed(text):
    return re.sub(r"\s", "", text)


def check_shell(text):
    """A section's blocks follow on one another: one shell runs them all."""
    steps = [step for block in blocks(text, "sh") for step in commands(block)]
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


def main():
    text = README.read_text().replace("http://127.0.0.1:7326", BASE_URL)
    wrong = []
    for name, section in sections(text):
        found = check_shell(section) + check_code(section)
        if name == "":
            found += check_first_request(section)
        if name == "The control plane":
            found += check_routes(section)
        wrong += [f"{name or 'The beginning'}: {what}" for what in found]
    print("\n\n".join(wrong) or "README.md says what is so")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
