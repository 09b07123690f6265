#!/usr/bin/env bash
# Three servers on one database: killed in turn under load, with a check of everything that they did; and the rates of
# one, two and three servers. See README.md.
#   PARTS="rates kills"       which parts to run
#   DATABASE_URL              an empty database to use. Default: a new PostgreSQL in a temporary directory, with durable settings
#   PG_BIN_DIR                its programs
#   LATCHKEY, LATCHKEY_BUILT  the program, as for the other scripts
#   KEEP_LOGS                 a directory for the logs of the servers and of PostgreSQL
#   PORT=7440                 the first of four ports: PostgreSQL, and three servers
# The settings of the two parts are at the heads of scale.mjs and scale/rates.mjs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}
export PORT=${PORT:-7440}

for program in node psql; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install nodejs postgresql-client" >&2; exit 1; }
done
if [ -z "${LATCHKEY_BUILT:-}" ] && [ "$LATCHKEY" = "$root/target/release/latchkey" ]; then
  (cd "$root" && cargo build --release --quiet)
fi
export LATCHKEY

work=$(mktemp -d)
export WORK=$work
# PostgreSQL refuses to run as root.
as() { if [ "$(id -u)" = 0 ]; then su postgres -s /bin/bash -c "$*"; else bash -c "$*"; fi; }

finish() {
  [ -z "${load:-}" ] || { kill "$load" 2>/dev/null && wait "$load"; } || true
  # The servers, if the process that started them was killed itself.
  for file in "$work"/server-*.pid; do
    [ ! -f "$file" ] || kill -9 "$(cat "$file")" 2>/dev/null || true
  done
  [ ! -d "$work/data" ] || as "'$bin/pg_ctl' -D '$work/data' -m immediate stop" >/dev/null 2>&1 || true
  [ -z "${KEEP_LOGS:-}" ] || cp "$work"/*.log "$KEEP_LOGS"
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ -z "${DATABASE_URL:-}" ]; then
  if [ -n "${PG_BIN_DIR:-}" ]; then bin=$PG_BIN_DIR; else for bin in /usr/lib/postgresql/*/bin; do :; done; fi
  [ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb || true)")
  [ -x "$bin/initdb" ] || { echo "initdb is missing: apt-get install postgresql" >&2; exit 1; }
  [ "$(id -u)" != 0 ] || chown postgres "$work"
  as "'$bin/initdb' -D '$work/data' -A trust -U postgres --no-locale -E UTF8" >/dev/null
  # The defaults of PostgreSQL, so each commit is on the disk before its response, with the memory of a small real server.
  options="-c listen_addresses=127.0.0.1 -c port=$PORT -k '$work' -c shared_buffers=512MB -c max_wal_size=4GB"
  as "'$bin/pg_ctl' -D '$work/data' -w -l '$work/postgres.log' -o \"$options\" start" >/dev/null ||
    { cat "$work/postgres.log" >&2; exit 1; }
  # A role without special rights, which owns its database.
  psql -q "postgres://postgres@127.0.0.1:$PORT/postgres" -c "create role team login" -c "create database team owner team"
  export DATABASE_URL=postgres://team@127.0.0.1:$PORT/team
fi

# In the background, so that a signal ends the script and not only the wait for the child.
node "$here/scale.mjs" &
load=$!
wait "$load" || { status=$?; load=; exit "$status"; }
load=
