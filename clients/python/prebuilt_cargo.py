#!/usr/bin/env python3
"""Stands in for `cargo rustc` when maturin packs a program that was built before.

    CARGO=$PWD/prebuilt_cargo.py LATCHKEY_BIN=path/to/latchkey maturin build

maturin runs the program in CARGO to compile, and reads from its output where the program is. This script compiles nothing and
names LATCHKEY_BIN. So the wheel, the npm package and the image can contain the same file, from one release build. Before that,
`.ci/licenses` must have written THIRD-PARTY-LICENSES, which maturin would leave out without an error.
"""

import json
import os
import subprocess
import sys
from pathlib import Path


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] != ["rustc"]:
        sys.exit(f"prebuilt_cargo.py stands in for `cargo rustc` only, not for `cargo {' '.join(arguments)}`")
    program = Path(os.environ["LATCHKEY_BIN"]).resolve(strict=True)
    if program.name != "latchkey":
        sys.exit(f"LATCHKEY_BIN is {program}, but the name of the file must be latchkey: maturin installs it with its name")
    notices = Path(__file__).with_name("THIRD-PARTY-LICENSES")
    if not notices.exists():
        sys.exit(f"there is no {notices}: write it with .ci/licenses")
    manifest = Path(arguments[arguments.index("--manifest-path") + 1])
    pkgid = ["cargo", "pkgid", "--locked", "--manifest-path", manifest]
    package_id = subprocess.run(pkgid, check=True, capture_output=True, text=True, timeout=60).stdout.strip()

    version = package_id.rpartition("@")[2].rpartition("#")[2]
    printed = subprocess.run([program, "--version"], check=True, capture_output=True, text=True, timeout=60).stdout.strip()
    if printed != f"latchkey {version}":
        sys.exit(f"{program} is {printed!r}, but {manifest} has the version {version}: build the program again")

    target = {"kind": ["bin"], "crate_types": ["bin"], "name": "latchkey", "src_path": str(manifest.parent / "src/main.rs")}
    profile = {"opt_level": "3", "debug_assertions": False, "overflow_checks": False, "test": False}
    artifact = {"package_id": package_id, "manifest_path": str(manifest), "target": target, "profile": profile}
    built = {"features": [], "filenames": [str(program)], "executable": str(program), "fresh": True}
    print(json.dumps({"reason": "compiler-artifact", **artifact, **built}))
    print(json.dumps({"reason": "build-finished", "success": True}))


main()
