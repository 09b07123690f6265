#!/usr/bin/env bash
# Builds the wheel, installs it into an empty virtual environment, and checks what the README promises.
#
#   LATCHKEY_BIN=target/release/latchkey clients/python/check.sh
#
# CHROOT=1 also follows the README in a new Debian with Python and nothing else. This needs root. LIMIT_SECONDS (15) is the
# limit for a hundred tests. Needs Linux, Python 3.11 or newer, and cargo. Missing programs are installed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
program=$(realpath "${LATCHKEY_BIN:-$here/../../target/release/latchkey}")
fail() { echo "$*" >&2; exit 1; }
# shellcheck source=.ci/programs.sh
. "$here/../../.ci/programs.sh"
[ -x "$program" ] || fail "LATCHKEY_BIN is not a program: $program"
install_missing python3-venv
work=$(mktemp -d)
# PostgreSQL runs as another user if this is root.
chmod 755 "$work"
mkdir "$work/wheels" "$work/tmp"
venv=$work/venv
. "$here/check/functions.sh"
touch "$work/seen"
trap clean_up EXIT

step "build the wheel"
python3 -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check maturin==1.16.0
install -D "$program" "$work/program/latchkey"
"$here/../../.ci/licenses" > "$here/THIRD-PARTY-LICENSES"
export CARGO=$here/prebuilt_cargo.py CARGO_TARGET_DIR=$work/target LATCHKEY_BIN=$work/program/latchkey
(cd "$here" && "$work/tools/bin/maturin" build --quiet --out "$work/wheels")
unset CARGO CARGO_TARGET_DIR
wheel=$(echo "$work"/wheels/*.whl)
ls -l "$wheel"

# From here on nothing of this machine is used but Python. TMPDIR separates the shared server from those of other users.
unset "${!LATCHKEY_@}" "${!SEAM_@}" "${!PG@}" "${!PYTEST_@}" DATABASE_URL PYTHONPATH PYTHONDONTWRITEBYTECODE
export PIP_FIND_LINKS="$work/wheels ${PIP_FIND_LINKS:-}" PIP_DISABLE_PIP_VERSION_CHECK=1 TMPDIR=$work/tmp

"$here/check/first_steps.sh" "$work"
export PATH=$venv/bin:/usr/bin:/bin
pip install --quiet pytest-xdist mypy

step "the package has the licences of what the program contains"
for package in ring tokio; do
  grep -q "^$package [0-9]" "$venv"/lib/python3*/site-packages/latchkey_seam-*.dist-info/licenses/THIRD-PARTY-LICENSES
done

step "a hundred tests in four workers take less than ${LIMIT_SECONDS:-15} s, with one server"
run_in hundred
cp "$here/check/test_hundred.py" .
started=$(date +%s%N)
pytest -q -n 4 -p no:cacheprovider
took=$((($(date +%s%N) - started) / 1000000))
echo "$took ms"
[ "$took" -lt $((${LIMIT_SECONDS:-15} * 1000)) ]
[ "$(for file in server-of-*; do cat "$file"; echo; done | sort -u | wc -l)" = 1 ]
[ "$(ls server-of-* | wc -l)" = 100 ]
nothing_is_left 10

step "nothing is left after kill -9 of pytest"
run_in killed
cp "$here/check/test_waiting.py" .
pytest -q -p no:cacheprovider > pytest.log 2>&1 &
pytest=$!
wait_until 60 "a test waits" test -s waiting-0 || { cat pytest.log; exit 1; }
kill -9 "$pytest"
nothing_is_left 10

step "nothing is left after kill -9 of pytest with two workers"
run_in killed-workers
cp "$here/check/test_waiting.py" .
pytest -q -n 2 -p no:cacheprovider > pytest.log 2>&1 &
pytest=$!
wait_until 60 "two tests wait" test -s waiting-0 -a -s waiting-1 || { cat pytest.log; exit 1; }
kill -9 "$pytest"
# The workers of pytest-xdist notice the end of pytest, but wait some time for their tests.
nothing_is_left 60

step "types"
run_in types
cp "$here"/check/{consumer,wrong}.py .
mypy --strict --cache-dir="$work/mypy" consumer.py
mypy --strict --cache-dir="$work/mypy" wrong.py > wrong.log && { echo "mypy finds no mistake in wrong.py"; exit 1; }
tail -n 1 wrong.log
grep -q 'Found 5 errors' wrong.log || { cat wrong.log; exit 1; }
mypy --strict --cache-dir="$work/mypy" -p latchkey_seam
[ "$(python3 consumer.py)" = "['access_code.created', 'access_code.set_on_device']
400 invalid_input" ]

step "tests of the package"
run_in package
cp -r "$here/tests" .
cat > pytest.ini <<< '[pytest]'
pytest -q -W error -p no:cacheprovider
mypy --strict --cache-dir="$work/mypy" tests
nothing_is_left 10

[ -z "${CHROOT:-}" ] || . "$here/check/chroot.sh"
step "passed"
