#!/usr/bin/env bash
# Delay in a quiet workspace while other workspaces are busy. See README.md.
#   ROUNDS=5 REQUESTS=300 LOCKS=200
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7431}
source "$here/server.sh"
need "nodejs curl" node curl
for _ in $(seq "${ROUNDS:-5}"); do
  start_server
  # Separate processes, so that the work of the busy clients does not delay the measuring client.
  node "$here/neighbours.mjs" watch 3 alone
  node "$here/neighbours.mjs" watch "${SECONDS_WATCHED:-20}" "with neighbours" &
  watch=$!
  sleep 1
  node "$here/neighbours.mjs" travel "${SECONDS_WATCHED:-20}" &
  travel=$!
  node "$here/neighbours.mjs" crowd "${REQUESTS:-300}" "${LOCKS:-200}"
  wait "$watch" "$travel"
  stop_server
done
