#!/usr/bin/env bash
# One advance over a year with ten thousand codes in it. See README.md.
#   CODES=10000 LOCKS=100 ROUNDS=3
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}
PORT=${PORT:-7430}
for program in node curl; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install nodejs curl" >&2; exit 1; }
done
[ -n "${LATCHKEY_BUILT:-}" ] || [ "$LATCHKEY" != "$root/target/release/latchkey" ] || (cd "$root" && cargo build --release --quiet)
log=$(mktemp)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq "${ROUNDS:-3}"); do
  "$LATCHKEY" --ephemeral --port "$PORT" >"$log" 2>&1 &
  server=$!
  until curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$PORT/health" 2>/dev/null; do sleep 0.1; done
  BASE_URL=http://127.0.0.1:$PORT PID=$server CODES=${CODES:-10000} LOCKS=${LOCKS:-100} node "$here/year.mjs"
  kill "$server"
  wait "$server" || true
done
