#!/usr/bin/env bash
# A hundred thousand codes on a thousand locks that start at one instant, while codes are read. See README.md.
#   CODES=100000 LOCKS=1000 KINDS="native just_in_time" CONNECTIONS=8 DURATION=14
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}
PORT=${PORT:-7428}
for program in wrk node psql; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install wrk nodejs postgresql-client" >&2; exit 1; }
done
[ -n "${LATCHKEY_BUILT:-}" ] || [ "$LATCHKEY" != "$root/target/release/latchkey" ] || (cd "$root" && cargo build --release --quiet)
log=$(mktemp)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -f "$log"' EXIT
for kind in ${KINDS:-native just_in_time}; do
  "$LATCHKEY" --ephemeral --port "$PORT" >"$log" 2>&1 &
  server=$!
  until curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$PORT/health" 2>/dev/null; do sleep 0.1; done
  database=$(sed -n "s/.*psql '\\(.*\\)'.*/\\1/p" "$log")
  BASE_URL=http://127.0.0.1:$PORT DATABASE=$database KIND=$kind CODES=${CODES:-100000} LOCKS=${LOCKS:-1000} \
    CONNECTIONS=${CONNECTIONS:-8} DURATION=${DURATION:-14} node "$here/start.mjs"
  kill "$server"
  wait "$server" || true
done
