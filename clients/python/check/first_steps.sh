#!/usr/bin/env bash
# Follows the README in an empty virtual environment, $1/venv: starts a server, and runs the first tests. Uses bash and Python only.
# pip finds the wheel in PIP_FIND_LINKS.
set -euo pipefail
work=$1
here=$(cd "$(dirname "$0")/.." && pwd)
venv=$work/venv
. "$here/check/functions.sh"
touch "$work/seen"

step "the command of the README installs the package and starts a server"
python3 -m venv "$venv"
PATH=$venv/bin:$PATH
run_in empty
readme_block sh 1 > start.sh
cat start.sh
# The machine may use the usual port.
LATCHKEY_PORT=0 LATCHKEY_EPHEMERAL=true bash start.sh > server.log 2>&1 &
wait_until 180 "the server is ready" ready_or_ended $! server.log
grep '^ready on ' server.log || { cat server.log; exit 1; }
url=$(sed -n 's/^ready on //p' server.log)
python3 -c 'import sys, urllib.request as r; print(r.urlopen(sys.argv[1] + "/health", timeout=10).read().decode()[:100])' "$url"
server=$(running | while read -r id exe; do [ "$exe" != "$venv/bin/latchkey" ] || echo "$id"; done)
only_packaged_programs "$server"
kill "$server"
nothing_is_left 10

step "the tests of the README pass"
pip install --quiet 'latchkey-seam[seam]' 'pytest>=8,<10'
for number in 1 2 3; do
  run_in "readme-$number"
  readme_block python "$number" > test_guest.py
  pytest -q -p no:cacheprovider
done
run_in readme-4
readme_block python 4 > example.py
test "$(python3 example.py)" = "['set']"
nothing_is_left 10
