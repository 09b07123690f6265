#!/usr/bin/env bash
# Tests the action for GitHub Actions: its steps are run as the runner does, with releases on a loopback server, and a pipeline
# with a hundred tests. Also checks the form of the workflows, of the scripts, and of the recipes in docs/ci.md.
#
#   LATCHKEY_BIN=target/release/latchkey tests/action/check.sh [options of pytest]
#
# LIMIT_SECONDS (15) is the limit for the pipeline. Needs Linux and cargo. Missing programs are installed. The packages are stored under
# target/action/.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$PWD/target/action
LATCHKEY_BIN=$(realpath "${LATCHKEY_BIN:-target/release/latchkey}")
export LATCHKEY_BIN

fail() { echo "$*" >&2; exit 1; }

. .ci/programs.sh
[ -x "$LATCHKEY_BIN" ] || fail "LATCHKEY_BIN is not a program: $LATCHKEY_BIN"
mkdir -p "$work"
install_missing curl nodejs npm postgresql python3-venv
[ -x "$work/python/bin/pip" ] || python3 -m venv "$work/python"
"$work/python/bin/pip" install --quiet --disable-pip-version-check -r tests/action/requirements.txt
cp tests/action/package.json "$work/"
npm install --silent --prefix "$work" --no-audit --no-fund --no-package-lock
exec "$work/python/bin/python" -B -m pytest -p no:cacheprovider "$@" tests/action
