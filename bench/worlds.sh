#!/usr/bin/env bash
# Rounds of throw-away worlds: a world, 20 codes, their start, their end, and nothing of it left. See README.md.
#   MODES="single multiple" CONNECTIONS="8 16" DURATION=8
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}
PORT=${PORT:-7429}
for program in wrk curl; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install wrk curl" >&2; exit 1; }
done
[ -n "${LATCHKEY_BUILT:-}" ] || [ "$LATCHKEY" != "$root/target/release/latchkey" ] || (cd "$root" && cargo build --release --quiet)
log=$(mktemp)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -f "$log"' EXIT
"$LATCHKEY" --ephemeral --port "$PORT" >"$log" 2>&1 &
server=$!
until curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$PORT/health" 2>/dev/null; do sleep 0.1; done
run=0
cell() {
  run=$((run + 1))
  MODE=$1 RUN=$run wrk "-t$2" "-c$2" "-d$3s" --timeout 30s -s "$here/worlds.lua" "http://127.0.0.1:$PORT" | grep -E '^\{|failed:'
}
cell single 8 2 >/dev/null # warms up
for mode in ${MODES:-single multiple}; do
  for connections in ${CONNECTIONS:-8 16}; do
    cell "$mode" "$connections" "${DURATION:-8}"
  done
done
# How long a new world takes by itself: here a request is one, and its median that of workspaces/create.
cell worlds 1 2
cell worlds 8 2
