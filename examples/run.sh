#!/usr/bin/env bash
# The examples as they stand, with the server at LATCHKEY_URL, or else with one that each of them starts from LATCHKEY_BIN.
# Says how long each test took, and fails if one took longer than LIMIT_MS; by default none has a limit.
# Needs node >= 18.13 with npm, and python3 with venv. The packages are kept under target/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/.." && pwd)/target
# The clients read these too, and refuse two kinds of credentials at once.
unset SEAM_API_KEY SEAM_PERSONAL_ACCESS_TOKEN SEAM_WORKSPACE_ID SEAM_ENDPOINT SEAM_API_URL
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Fails if a line "MILLISECONDS NAME" is over the limit, or if there is none.
check_durations() {
  awk -v limit="${LIMIT_MS:-0}" '
    { tests++ }
    limit && $1 > limit { print "took longer than " limit " ms: " $0; slow = 1 }
    END { if (!tests) print "no test told how long it took"; exit slow || !tests }'
}

echo "== pytest"
[ -x "$target/sdk-python/bin/pip" ] || python3 -m venv "$target/sdk-python"
"$target/sdk-python/bin/pip" install --quiet --disable-pip-version-check -r "$here/pytest/requirements.txt"
(cd "$here/pytest" && "$target/sdk-python/bin/python" -B -m pytest -q -p no:cacheprovider --durations=0 --durations-min=0.01) |
  tee "$log"
sed -nE 's/^([0-9.]+)s call +(.*)/\1 \2/p' "$log" | awk '{ $1 *= 1000; print }' | check_durations

echo "== node:test"
mkdir -p "$target/examples-node"
# Beside the packages, because node looks for them from where the test is.
cp "$here"/node-test/*.js "$here/node-test/package.json" "$target/examples-node/"
cd "$target/examples-node"
npm install --silent --no-audit --no-fund --no-package-lock
node --test --test-reporter=spec | tee "$log"
# Suites are not indented, and theirs is the time of all their tests.
sed -nE 's/^ +✔ (.*) \(([0-9.]+)ms\)$/\2 \1/p' "$log" | check_durations
