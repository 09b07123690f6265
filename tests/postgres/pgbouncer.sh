#!/usr/bin/env bash
# Latchkey behind PgBouncer: works in session mode, and refuses to start in transaction mode.
#
#   LATCHKEY_BIN=target/debug/latchkey tests/postgres/pgbouncer.sh
#
# Needs python3, curl, jq, and the programs of PostgreSQL. Installs Debian's pgbouncer if it is missing.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$(realpath "${LATCHKEY_BIN:-$root/target/debug/latchkey}")
bin=${PG_BIN_DIR:-$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)}
work=$(mktemp -d)
fail() { echo "FAILED: $*" >&2; cat "$work"/*.log "$work"/run/*.log >&2 || true; exit 1; }
. "$root/.ci/programs.sh"
if ! is_installed pgbouncer; then
  install_missing pgbouncer
  # Debian starts one with a configuration of its own.
  quietly as_root service pgbouncer stop
fi

PATH=$PATH:/usr/sbin
chmod 755 "$work"
mkdir "$work/run"
# PostgreSQL and PgBouncer do not run as root.
if [ "$(id -u)" = 0 ]; then
  chown postgres "$work/run"
  as_user=(setpriv --reuid postgres --regid postgres --clear-groups)
else
  as_user=()
fi
server=
stop() {
  if [ -n "$server" ]; then kill "$server" 2>/dev/null && wait "$server" 2>/dev/null; fi
  if [ -f "$work/run/pgbouncer.pid" ]; then "${as_user[@]}" kill -TERM "$(cat "$work/run/pgbouncer.pid")" 2>/dev/null; fi
  "${as_user[@]}" "$bin/pg_ctl" -D "$work/run/data" -m immediate stop >/dev/null 2>&1
  rm -rf "$work"
}
trap 'stop || true' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
port=$(free_port)

"${as_user[@]}" "$bin/initdb" -D "$work/run/data" -A trust -U postgres --no-sync --no-locale -E UTF8 >/dev/null
"${as_user[@]}" "$bin/pg_ctl" -D "$work/run/data" -w -l "$work/run/postgres.log" \
  -o "-c listen_addresses='' -k $work/run -c fsync=off" start >/dev/null

# Starts PgBouncer in a mode, with a number of sessions. A session of a client that disconnected is reset, which is PgBouncer's default.
pgbouncer_in() {
  cat >"$work/run/pgbouncer.ini" <<END
[databases]
postgres = host=$work/run dbname=postgres user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = $1
default_pool_size = $2
logfile = $work/run/pgbouncer.log
pidfile = $work/run/pgbouncer.pid
END
  "${as_user[@]}" pgbouncer -d "$work/run/pgbouncer.ini" 2>/dev/null
}

export DATABASE_URL=postgres://postgres@127.0.0.1:$port/postgres

stop_pgbouncer() {
  "${as_user[@]}" kill -TERM "$(cat "$work/run/pgbouncer.pid")"
  for _ in $(seq 100); do [ -f "$work/run/pgbouncer.pid" ] || break; sleep 0.05; done
}

# A server and `doctor` must end soon, with an error that names the setting to change.
refused() {
  local command
  for command in serve doctor; do
    if timeout 20 "$program" "$command" --port 0 >"$work/refused.log" 2>&1; then fail "$command succeeded: $1"; fi
    grep -q "$2" "$work/refused.log" || fail "$command does not name the fix: $1"
  done
  echo "ok: refused $1"
}

for mode in transaction statement; do
  pgbouncer_in "$mode" 30
  refused "in $mode mode" "pool_mode = session"
  stop_pgbouncer
done

pgbouncer_in session 1
"$bin/psql" "$DATABASE_URL" -Atc "select pg_sleep(60)" >/dev/null 2>&1 &
other=$!
for _ in $(seq 100); do
  [ "$("$bin/psql" -h "$work/run" -U postgres -Atc "select count(*) from pg_stat_activity where query like '%pg_sleep(60)'")" = 2 ] && break
  sleep 0.05
done
refused "without a free session" "default_pool_size"
kill "$other"
wait "$other" 2>/dev/null || true
stop_pgbouncer

pgbouncer_in session 30
"$program" doctor --port 0 >"$work/doctor.log" 2>&1 || fail "doctor fails in session mode"
"$program" --port 0 >"$work/server.log" 2>&1 &
server=$!
for _ in $(seq 200); do
  grep -q '^ready on' "$work/server.log" && break
  kill -0 "$server" 2>/dev/null || fail "the server does not start in session mode"
  sleep 0.05
done
url=$(sed -n 's/^ready on //p' "$work/server.log")
[ -n "$url" ] || fail "the server is not ready after 10 s"
key=$(sed -n 's/^ *api key *//p' "$work/server.log")
call() { curl -sf --max-time 10 "$url$1" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "${2:-{\}}"; }
devices=$(call /devices/list | jq -c '[.devices[:2][].device_id]')
codes=$(call /access_codes/create_multiple "{\"device_ids\": $devices}" | jq -r '.access_codes[].access_code_id')
[ "$(wc -w <<<"$codes")" = 2 ] || fail "create_multiple returned $codes"
for code in $codes; do
  for _ in $(seq 100); do
    status=$(call /access_codes/get "{\"access_code_id\": \"$code\"}" | jq -r .access_code.status)
    [ "$status" = set ] && break
    sleep 0.05
  done
  [ "$status" = set ] || fail "an access code is $status after 5 s"
done
# Requests beside each other use several sessions.
seq 200 | xargs -P 16 -I{} curl -sf --max-time 10 -o /dev/null "$url/access_codes/create" -H "Authorization: Bearer $key" \
  -H 'Content-Type: application/json' -d "{\"device_id\": $(jq '.[0]' <<<"$devices")}" || fail "a request failed"
# PgBouncer passes the name on, so these are sessions of Latchkey.
sessions=$("$bin/psql" -h "$work/run" -U postgres -Atc "select count(*) from pg_stat_activity where application_name = 'latchkey'")
[ "$sessions" -gt 1 ] || fail "Latchkey used $sessions sessions for requests beside each other"
kill "$server"
wait "$server" || fail "the server ends with an error"
server=
echo "ok: works in session mode"
