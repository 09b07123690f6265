#!/usr/bin/env bash
# Compares the SQL statements of a request, run by pgbench, with the same request through Latchkey. Prints which share
# of the database's requests per second Latchkey reaches.
#   DATABASE_URL=... BASE_URL=... [DURATION=5] [CONCURRENCY="1 16"] [SQL="create create_multiple"] [OUT=results.jsonl]
#     bench/pgbench.sh [-D name=value ...]
# Runs bench/sql/NAME.sql for each NAME. Further arguments are passed to pgbench (variables of the scripts).
# BASE_URL is a running Latchkey, and DATABASE_URL its database. Directly before, the scenario NAME of run.sh is measured,
# with the same number of connections. The rates of pgbench are also appended to OUT as JSON lines, for plot.mjs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
DURATION=${DURATION:-5}
CONCURRENCY=${CONCURRENCY:-"1 16"}
: "${DATABASE_URL:?set DATABASE_URL to the database of the server}"
((DURATION <= 60)) || { echo "DURATION is at most 60 s" >&2; exit 1; }

# On Debian, pgbench is in the directory of the server programs, which is not always in PATH.
pgbench=$(command -v pgbench) || for pgbench in /usr/lib/postgresql/*/bin/pgbench; do :; done
[ -x "$pgbench" ] || { echo "pgbench is missing: apt-get install postgresql" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

measure_latchkey() { # scenario, connections; prints the requests per second
  rm -f "$work/$1.jsonl"
  OUT=$work/$1.jsonl STORED=0 CONCURRENCY=$2 SCENARIOS=$1 ROUNDS=1 WITH_FAKE=0 DURATION=$DURATION \
    "$here/run.sh" >/dev/null 2>"$work/run.log" || { cat "$work/run.log" >&2; return 1; }
  # A rejected request needs little work of the database, so a result with failures is useless.
  grep -q '"non_2xx":0,' "$work/$1.jsonl" || { cat "$work/$1.jsonl" >&2; return 1; }
  sed 's/.*"rps":\([0-9.]*\).*/\1/' "$work/$1.jsonl"
}

# The workspace of the scripts in sql/: 64 locks, and a held clock, so that the scheduler does not change the codes.
: "${BASE_URL:?set BASE_URL to the server on that database}"
workspace=00000000-0000-4000-8000-0000000b0000
post() { curl -fsS "$BASE_URL/_emulator/workspaces/$1" -H 'Content-Type: application/json' -d "$2" >/dev/null; }
post delete "{\"workspace_id\":\"$workspace\"}" 2>/dev/null || true
locks=$(for lock in $(seq 64); do
  printf '{"device_type":"august_lock","device_id":"00000000-0000-4000-8000-%012d"},' "$lock"
done)
post create "{\"workspace_id\":\"$workspace\",\"clock\":{\"held_at\":\"2026-01-01T00:00:00Z\"},\"locks\":[${locks%,}]}"
# The same settings as in the connections of the server.
export PGOPTIONS='-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_bitmapscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c random_page_cost=0.1'

echo "| statements | connections | pgbench tps | Latchkey req/s | share |"
echo "| --- | --- | --- | --- | --- |"
for file in "$here"/sql/*.sql; do
  [ -f "$file" ] || { echo "bench/sql holds no .sql file" >&2; exit 1; }
  name=$(basename "$file" .sql)
  [[ -z ${SQL:-} || " $SQL " == *" $name "* ]] || continue
  for connections in $CONCURRENCY; do
    rps=$(measure_latchkey "$name" "$connections")
    "$pgbench" -n -c "$connections" -j 1 -M prepared -T "$DURATION" -f "$file" "$@" "$DATABASE_URL" >"$work/pgbench.log" 2>&1 ||
      { cat "$work/pgbench.log" >&2; exit 1; }
    tps=$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' "$work/pgbench.log" | tail -n 1)
    awk -v name="$name" -v connections="$connections" -v tps="$tps" -v rps="$rps" 'BEGIN {
      printf "| %s | %d | %.0f | %.0f | %.0f %% |\n", name, connections, tps, rps, 100 * rps / tps }'
    [ -z "${OUT:-}" ] ||
      printf '{"target":"pgbench","stored":0,"scenario":"%s","connections":%d,"rps":%s}\n' "$name" "$connections" "$tps" >>"$OUT"
  done
done
