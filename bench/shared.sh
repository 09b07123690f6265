#!/usr/bin/env bash
# One shared PIN for a hundred locks and for five hundred, each with 65 codes. See README.md.
#   FEW=100 MANY=500 CODES=65 ROUNDS=5 MOST_RATIO=7
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
"$LATCHKEY" --ephemeral --port "$PORT" >"$log" 2>&1 &
server=$!
until curl -fsS -m 2 -o /dev/null "http://127.0.0.1:$PORT/health" 2>/dev/null; do sleep 0.1; done
BASE_URL=http://127.0.0.1:$PORT node "$here/shared.mjs"
