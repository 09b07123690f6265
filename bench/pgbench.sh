#!/usr/bin/env bash
# The statements of a request alone, by pgbench, against the same request through Latchkey: how much of what
# the database can do does the server reach?
#   DATABASE_URL=... BASE_URL=... [DURATION=5] [SQL="create create_multiple"] bench/pgbench.sh [-D name=value ...]
# Runs bench/sql/NAME.sql for each NAME; further arguments go to pgbench (variables of the scripts).
# BASE_URL is the running Latchkey whose database DATABASE_URL is. The scenario NAME of run.sh is measured right before,
# 16 connections each.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
DURATION=${DURATION:-5}
: "${DATABASE_URL:?set DATABASE_URL to the database of the server}"
((DURATION <= 60)) || { echo "DURATION is at most 60 s" >&2; exit 1; }

# Debian keeps pgbench beside the server programs, not always on the path.
pgbench=$(command -v pgbench) || for pgbench in /usr/lib/postgresql/*/bin/pgbench; do :; done
[ -x "$pgbench" ] || { echo "pgbench is missing: apt-get install postgresql" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

measure_latchkey() { # scenario; prints its requests per second
  OUT=$work/$1.jsonl STORED=0 CONCURRENCY=16 SCENARIOS=$1 ROUNDS=1 WITH_FAKE=0 DURATION=$DURATION \
    "$here/run.sh" >/dev/null 2>"$work/run.log" || { cat "$work/run.log" >&2; return 1; }
  # A refused request costs the database nothing: such a figure says nothing.
  grep -q '"non_2xx":0,' "$work/$1.jsonl" || { cat "$work/$1.jsonl" >&2; return 1; }
  sed 's/.*"rps":\([0-9.]*\).*/\1/' "$work/$1.jsonl"
}

# The world that the scripts in sql/ name: 64 locks, and a held clock, so that no scheduler works on their codes.
: "${BASE_URL:?set BASE_URL to the server on that database}"
world=00000000-0000-4000-8000-0000000b0000
post() { curl -fsS "$BASE_URL/_emulator/workspaces/$1" -H 'Content-Type: application/json' -d "$2" >/dev/null; }
post delete "{\"workspace_id\":\"$world\"}" 2>/dev/null || true
locks=$(for lock in $(seq 64); do
  printf '{"device_type":"august_lock","device_id":"00000000-0000-4000-8000-%012d"},' "$lock"
done)
post create "{\"workspace_id\":\"$world\",\"clock\":{\"held_at\":\"2026-01-01T00:00:00Z\"},\"locks\":[${locks%,}]}"
# As each connection of the server is set.
export PGOPTIONS='-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c random_page_cost=0.1'

echo "| statements | pgbench tps | Latchkey req/s | share |"
echo "| --- | --- | --- | --- |"
for file in "$here"/sql/*.sql; do
  [ -f "$file" ] || { echo "bench/sql holds no .sql file" >&2; exit 1; }
  name=$(basename "$file" .sql)
  [[ -z ${SQL:-} || " $SQL " == *" $name "* ]] || continue
  rps=
  rps=$(measure_latchkey "$name")
  "$pgbench" -n -c 16 -j 1 -M prepared -T "$DURATION" -f "$file" "$@" "$DATABASE_URL" >"$work/pgbench.log" 2>&1 ||
    { cat "$work/pgbench.log" >&2; exit 1; }
  tps=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench.log" | tail -n 1)
  awk -v name="$name" -v tps="$tps" -v rps="$rps" 'BEGIN {
    if (rps == "") { rps = share = "–" } else { share = sprintf("%.0f %%", 100 * rps / tps); rps = sprintf("%.0f", rps) }
    printf "| %s | %.0f | %s | %s |\n", name, tps, rps, share }'
done
