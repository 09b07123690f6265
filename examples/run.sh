#!/usr/bin/env bash
# Runs the unchanged examples with the server at LATCHKEY_URL. Without it, each example starts a server from LATCHKEY_BIN.
# Prints the duration of each test, and fails if one took longer than LIMIT_MS. Default: no limit.
# Needs node >= 22.12 with npm, and python3 >= 3.11 with venv. The packages are stored under target/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/.." && pwd)/target
# The clients read these variables too, and reject two types of credentials at the same time.
unset SEAM_API_KEY SEAM_PERSONAL_ACCESS_TOKEN SEAM_WORKSPACE_ID SEAM_ENDPOINT SEAM_API_URL
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Reads lines "MILLISECONDS NAME". Fails if a duration exceeds the limit, or if there are no lines.
check_durations() {
  awk -v limit="${LIMIT_MS:-0}" '
    { tests++ }
    limit && $1 > limit { print "took longer than " limit " ms: " $0; slow = 1 }
    END { if (!tests) print "no test printed its duration"; exit slow || !tests }'
}

echo "== pytest"
[ -x "$target/sdk-python/bin/pip" ] || python3 -m venv "$target/sdk-python"
"$target/sdk-python/bin/pip" install --quiet --disable-pip-version-check -r "$here/pytest/requirements.txt"
(cd "$here/pytest" && "$target/sdk-python/bin/python" -B -m pytest -q -p no:cacheprovider --durations=0 --durations-min=0.01) |
  tee "$log"
sed -nE 's/^([0-9.]+)s call +(.*)/\1 \2/p' "$log" | awk '{ $1 *= 1000; print }' | check_durations

echo "== node:test"
mkdir -p "$target/examples-node"
# Copies the tests next to the packages, because node searches for packages from the directory of the test.
cp "$here"/node-test/*.js "$here/node-test/package.json" "$target/examples-node/"
cd "$target/examples-node"
npm install --silent --no-audit --no-fund --no-package-lock
node --test --test-reporter=spec | tee "$log"
# Skips the lines of suites, which are not indented: their duration is that of all their tests.
sed -nE 's/^ +✔ (.*) \(([0-9.]+)ms\)$/\2 \1/p' "$log" | check_durations
