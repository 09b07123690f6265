#!/usr/bin/env bash
# Memory that one very long list adds to a server that has just started. See README.md.
#   CODES=55000 LOCKS=10000 ROUNDS=3
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7433}
source "$here/server.sh"
need "nodejs curl" node curl
work=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$log" "$work"' EXIT
# The private PostgreSQL may run as another user, which needs access to the data directory.
chmod 755 "$work"
storage=(--data-dir "$work/data")
start_server
node "$here/lists.mjs" create >"$work/lists.json"
echo "| list | number | response, MB | duration, s | added memory, MB |"
echo "| --- | --- | --- | --- | --- |"
for list in 0 1 2; do
  stop_server
  start_server
  PID=$server node "$here/lists.mjs" measure "$work/lists.json" "$list"
done
