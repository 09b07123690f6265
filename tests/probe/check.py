#!/usr/bin/env python3
"""Checks `latchkey probe` against servers whose deviations are known:

    BASE_URL=http://127.0.0.1:7326 LATCHKEY_BIN=target/debug/latchkey tests/probe/check.py [TRIAL]

1. A second Latchkey: no difference.
2. A Latchkey behind a proxy with planted deviations: exactly these.
3. The npm package @seamapi/fake-seam-connect: the differences in fake.txt. `--update` writes that file.
4. Workspaces and addresses that are refused.
5. A limit of the server.
6. An interruption, a server that hangs, and one that loses a response, fails to delete and ignores a filter: everything that
   was created is deleted, and nothing else.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from proxy import DEVIATIONS, MASKED_MESSAGE, PRIVATE_MESSAGE, Hanging, Once, OtherCodes, Proxy, no_response, put

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "target" / "probe"
BASE_URL = os.environ["BASE_URL"]
PROGRAM = os.environ["LATCHKEY_BIN"]

# Time limit of one probe, in seconds.
LIMIT = 180

# The fake never sets a code, so that every wait for one ends at its limit.
FAKE_WAIT_SECONDS = 1
FAKE_KEY = "seam_apikey1_token"

# What must not be in any report: names, and the beginnings of keys and addresses.
PRIVATE = ["Secret Door", "seam_test", "127.0.0.1", "latchkey probe", "482615", "555-0132", "jane", "Ann", "01a22ade"]


def fail(message):
    sys.exit(f"tests/probe: {message}")


def post(path, body, key=None):
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}
    request = urllib.request.Request(BASE_URL + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request, timeout=30))


def workspace():
    """A workspace of its own with two locks. Returns its key and the ids of its locks."""
    locks = [{"device_type": "august_lock", "name": f"Secret Door {number}"} for number in (1, 2)]
    created = post("/_emulator/workspaces/create", {"locks": locks, "clock": "live"})
    return created["api_key"], [device["device_id"] for device in created["devices"]]


def script(change=lambda step: None, titles=None):
    """Writes the script of the program, or these parts, to a file, for one lock, after a change of its steps. Returns its path."""
    folder = ROOT / "src" / "probe"
    files = re.findall(r'include_str!\("(script/\w+\.json)"\)', (folder / "script.rs").read_text())
    parts = [part for file in files for part in json.loads((folder / file).read_text())["parts"]]
    parts = [part for part in parts if titles is None or part["part"] in titles]
    for part in parts:
        part["each_lock"] = False
        for step in part["steps"]:
            change(step)
    file, path = tempfile.mkstemp(".json", dir=TARGET)
    with open(file, "w") as written:
        json.dump({"parts": parts}, written)
    return path


def command(url, report, *options):
    return [PROGRAM, "probe", "--against", url, "--report", report, *map(str, options)]


def environment(key):
    return {**os.environ, "SEAM_API_KEY": key}


def probe(url, key, exit_code, *options, at_least=300):
    """Runs a probe, and returns its report."""
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        begun = time.monotonic()
        ran = subprocess.run(command(url, report, *options), env=environment(key), capture_output=True, text=True, timeout=LIMIT)
        if ran.returncode != exit_code:
            fail(f"exit code {ran.returncode}, not {exit_code}\n{ran.stdout}\n{ran.stderr}")
        found = json.loads(report.read_text())
        if found["compared"] < at_least:
            fail(f"only {found['compared']} steps were compared\n{ran.stdout}")
        for private in [*PRIVATE, key]:
            if private in ran.stdout or private in report.read_text():
                fail(f"the report contains {private}\n{ran.stdout}")
        if "could not be" in ran.stderr:
            fail(f"something is left\n{ran.stderr}")
        print(f"{found['compared']} steps in {time.monotonic() - begun:.0f} s")
        return found, ran.stdout


def kind(difference):
    return difference["aspect"], difference.get("route"), difference["place"]


def check_nothing_left(key, locks):
    for lock in locks:
        properties = post("/devices/get", {"device_id": lock}, key)["device"]["properties"]
        if properties.get("backup_access_code_pool_enabled"):
            fail("a pool of backup codes is left")
        for path in ("/access_codes/list", "/access_codes/unmanaged/list"):
            codes = post(path, {"device_id": lock}, key)["access_codes"]
            left = [code for code in codes if code["status"] != "removing"]
            if left:
                fail(f"{path}: left on the lock: {left}")
    for name in ("access_grants", "spaces", "user_identities", "webhooks", "client_sessions", "connect_webviews"):
        path = f"/{name}/list"
        left = post(path, {}, key)[name]
        if left:
            fail(f"{path}: left in the workspace: {left}")


def against_latchkey():
    """A workspace in use: what is in it makes no difference and is not changed."""
    key, locks = workspace()
    code = post("/access_codes/create", {"device_id": locks[0], "name": "Cleaner", "code": "2461"}, key)["access_code"]
    space = post("/spaces/create", {"name": "Lobby", "device_ids": locks}, key)["space"]
    webhook = post("/webhooks/create", {"url": "http://127.0.0.1:1/", "event_types": ["device.connected"]}, key)["webhook"]
    # Only one lock has a pool of backup codes, which the probe must not disable.
    pool = {"device_id": locks[1], "backup_access_code_pool_enabled": True}
    post("/devices/update", pool, key)
    code_id = {"access_code_id": code["access_code_id"]}
    while (code := post("/access_codes/get", code_id, key)["access_code"])["status"] != "set":
        time.sleep(0.1)
    found, text = probe(BASE_URL, key, 0)
    if found["differences"] or found["known_deviations"]:
        fail(f"differences between two Latchkeys\n{text}")
    kept = post("/access_codes/get", code_id, key)["access_code"]
    if kept != code:
        fail(f"a code of the user was changed: {code}\n{kept}")
    with_pool = post("/devices/get", {"device_id": locks[1]}, key)["device"]["properties"]
    if not with_pool.get("backup_access_code_pool_enabled"):
        fail("a pool of backup codes of the user was disabled")
    post("/devices/update", {**pool, "backup_access_code_pool_enabled": False}, key)
    post("/access_codes/delete", code_id, key)
    post("/spaces/delete", {"space_id": space["space_id"]}, key)
    post("/webhooks/delete", {"webhook_id": webhook["webhook_id"]}, key)
    time.sleep(1)
    check_nothing_left(key, locks)


def against_planted_deviations():
    key, locks = workspace()
    proxy = Proxy(BASE_URL, [change for change, _ in DEVIATIONS])
    found, text = probe(proxy.url, key, 1, "--script", script())
    expected = {expected for _, expected in DEVIATIONS}
    differences = {kind(difference) for difference in found["differences"]}
    if differences != expected or len(found["differences"]) != len(DEVIATIONS):
        fail(f"not found: {expected - differences}\nunexpected: {differences - expected}\n{text}")
    masked = [difference["seam"] for difference in found["differences"] if difference.get("route") == "/connected_accounts/delete"]
    if masked != [MASKED_MESSAGE]:
        fail(f"{PRIVATE_MESSAGE}\nis shown as {masked}")
    if found["delayed"] != 1:
        fail(f"{found['delayed']} waits because of limits, not 1")
    check_nothing_left(key, locks)


def against_fake(is_update):
    (TARGET / "package.json").write_text((HERE / "package.json").read_text())
    npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
    subprocess.run(npm, cwd=TARGET, check=True, timeout=LIMIT)
    fake = TARGET / "node_modules" / "@seamapi" / "fake-seam-connect" / "dist" / "server.js"
    port = free_port()
    with open(TARGET / "fake.log", "w") as log:
        server = subprocess.Popen(["node", fake, "--seed"], env={**os.environ, "PORT": str(port)}, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{port}/health")

        def shorten(step):
            if "wait" in step:
                step["wait"]["at_most_seconds"] = FAKE_WAIT_SECONDS

        locks = ["--device-id", "august_device_1", "--device-id", "august_device_2"]
        found, text = probe(f"http://127.0.0.1:{port}", FAKE_KEY, 1, "--script", script(shorten), *locks)
    finally:
        server.terminate()
        server.wait()
    kinds = sorted({" ".join(part or "-" for part in kind(difference)) for difference in found["differences"]})
    stored = HERE / "fake.txt"
    if is_update:
        stored.write_text("\n".join(kinds) + "\n")
    expected = stored.read_text().splitlines()
    if kinds != expected:
        fail(f"fake: missing {set(expected) - set(kinds)}\nnew {set(kinds) - set(expected)}\n{text}")


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(url):
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except OSError:
            if time.monotonic() > deadline:
                fail(f"{url} does not respond")
            time.sleep(0.1)


def refusals():
    key, locks = workspace()
    production = Proxy(BASE_URL, [put("/workspaces/get", "/workspace/is_sandbox", lambda _: False)])
    for url, options, message in [
        (production.url, {}, "not a sandbox"),
        ("http://connect.getseam.com", {}, "is not the address of a server"),
        (f"http://127.0.0.1:{free_port()}", {}, "no response"),
        (BASE_URL, {"key": "seam_test0000_unknown"}, "API Key not found"),
        (BASE_URL, {"devices": ["99999999-9999-4999-8999-999999999999"]}, "cannot be used"),
        (BASE_URL, {"devices": [locks[0], locks[0]]}, "it is given twice"),
        (BASE_URL, {"report": "/nonexistent/report.json"}, "there is no such folder"),
    ]:
        arguments = [PROGRAM, "probe", "--against", url]
        for device in options.get("devices", []):
            arguments += ["--device-id", device]
        if "report" in options:
            arguments += ["--report", options["report"]]
        ran = subprocess.run(arguments, env=environment(options.get("key", key)), capture_output=True, text=True, timeout=LIMIT)
        if ran.returncode != 2 or message not in ran.stderr or ran.stdout:
            fail(f"{url}: exit code {ran.returncode}, not 2 and {message}\n{ran.stdout}\n{ran.stderr}")
    check_nothing_left(key, locks)


def limited():
    """A creation is refused for longer than its access code is valid: it is sent again with later times."""
    key, locks = workspace()
    refused = {"outcome": {"status": 429, "retry_after": 16}, "path": "/access_codes/create", "times": 1}
    post("/_emulator/http_faults/create", refused, key)
    part = "Access code that begins now and ends soon"
    found, text = probe(BASE_URL, key, 0, "--script", script(titles=[part]), at_least=4)
    if found["differences"] or found["delayed"] != 1:
        fail(f"differences after a wait, or {found['delayed']} waits\n{text}")
    check_nothing_left(key, locks)


def interrupted():
    key, locks = workspace()
    with tempfile.TemporaryDirectory() as directory:
        report = pathlib.Path(directory) / "report.json"
        begun = subprocess.Popen(command(BASE_URL, report), env=environment(key), stderr=subprocess.PIPE, text=True)
        try:
            # In this part, there are a space, a user identity, an access grant and codes.
            for line in begun.stderr:
                if "Access grant on two locks" in line:
                    break
            time.sleep(0.5)
            begun.send_signal(signal.SIGINT)
            errors = begun.stderr.read()
            if begun.wait(timeout=LIMIT) != 2 or "nothing of the probe is left" not in errors or report.exists():
                fail(f"interrupted: exit code {begun.returncode}\n{errors}")
        finally:
            begun.kill()
    time.sleep(1)
    check_nothing_left(key, locks)


def interrupted_twice():
    key, _ = workspace()

    def slow(exchange):
        if exchange.path.endswith("/delete"):
            time.sleep(3)

    proxy = Proxy(BASE_URL, [slow])
    arguments = command(proxy.url, TARGET / "twice.json", "--script", script(titles=["Space"]))
    begun = subprocess.Popen(arguments, env=environment(key), stderr=subprocess.PIPE, text=True)
    try:
        for line in begun.stderr:
            if "probing: Space" in line:
                time.sleep(1)
                begun.send_signal(signal.SIGHUP)
            if "deleting what the probe has created" in line:
                begun.send_signal(signal.SIGINT)
                break
        errors = begun.stderr.read()
        if begun.wait(timeout=10) == 0 or "could not be undone; the request would be: /spaces/delete" not in errors:
            fail(f"interrupted twice: exit code {begun.returncode}\n{errors}")
    finally:
        begun.kill()


def lost_and_failed():
    key, locks = workspace()
    own = post("/access_codes/create", {"device_id": locks[0], "name": "Cleaner"}, key)["access_code"]
    lost = [Once(f"/{name}/create", no_response) for name in ("spaces", "webhooks", "connect_webviews", "client_sessions")]
    proxy = Proxy(BASE_URL, [OtherCodes(own), *lost], refused={"/client_sessions/delete"})
    parts = script(titles=["Access grant", "Space", "Webhook", "Connect webview", "Client session"])
    found, _ = probe(proxy.url, key, 1, "--script", parts, at_least=30)
    if proxy.refused or not all(change.happened for change in lost):
        fail("not all planted faults have happened")
    if not any("access_code_id" in step["reason"] for step in found["not_compared"]):
        fail("a code that is not the probe's was used")
    # It has not been changed, and is on the lock.
    found = post("/access_codes/get", {"access_code_id": own["access_code_id"]}, key)["access_code"]
    if (found["name"], found["code"]) != (own["name"], own["code"]) or found["status"] not in ("setting", "set"):
        fail(f"a code of the user was changed: {own}\n{found}")
    post("/access_codes/delete", {"access_code_id": own["access_code_id"]}, key)
    time.sleep(1)
    check_nothing_left(key, locks)


def hanging():
    key, locks = workspace()
    proxy = Proxy(BASE_URL, [Hanging("/spaces/update")])
    arguments = command(proxy.url, TARGET / "hanging.json", "--script", script(titles=["Space"]))
    ran = subprocess.run(arguments, env=environment(key), capture_output=True, text=True, timeout=LIMIT)
    if ran.returncode != 2 or "has not responded" not in ran.stderr or "nothing of the probe is left" not in ran.stderr:
        fail(f"hanging: exit code {ran.returncode}\n{ran.stdout}\n{ran.stderr}")
    check_nothing_left(key, locks)


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    # Those of a group run at the same time: they mostly wait.
    groups = [
        {"a second Latchkey": against_latchkey},
        {"planted deviations": against_planted_deviations},
        {"fake-seam-connect": lambda: against_fake("--update" in sys.argv), "refusals": refusals, "limits": limited},
        {
            "interruption": interrupted,
            "two interruptions": interrupted_twice,
            "lost responses and failed deletions": lost_and_failed,
            "a server that hangs": hanging,
        },
    ]
    chosen = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
    for group in groups:
        trials = {name: trial for name, trial in group.items() if not chosen or name in chosen}
        if trials:
            print("==", ", ".join(trials), flush=True)
            with ThreadPoolExecutor() as threads:
                for running in [threads.submit(trial) for trial in trials.values()]:
                    running.result()
    for path in TARGET.glob("tmp*.json"):
        path.unlink()


main()
