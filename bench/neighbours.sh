#!/usr/bin/env bash
# What a quiet workspace notices of neighbours that keep the server busy. See README.md.
#   ROUNDS=5 REQUESTS=300 LOCKS=200
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}
PORT=${PORT:-7431}
for program in node curl; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install nodejs curl" >&2; exit 1; }
done
[ -n "${LATCHKEY_BUILT:-}" ] || [ "$LATCHKEY" != "$root/target/release/latchkey" ] || (cd "$root" && cargo build --release --quiet)
log=$(mktemp)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -f "$log"' EXIT
for _ in $(seq "${ROUNDS:-5}"); do
  "$LATCHKEY" --ephemeral --port "$PORT" >"$log" 2>&1 &
  server=$!
  until curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$PORT/health" 2>/dev/null; do sleep 0.1; done
  # In processes of their own: what the neighbours' client computes must not delay the watch.
  export BASE_URL=http://127.0.0.1:$PORT
  node "$here/neighbours.mjs" watch 3 alone
  node "$here/neighbours.mjs" watch "${SECONDS_WATCHED:-20}" "with neighbours" &
  watch=$!
  sleep 1
  node "$here/neighbours.mjs" travel "${SECONDS_WATCHED:-20}" &
  travel=$!
  node "$here/neighbours.mjs" crowd "${REQUESTS:-300}" "${LOCKS:-200}"
  wait "$watch" "$travel"
  kill "$server"
  wait || true
done
