#!/usr/bin/env bash
# Rounds of test workspaces: create a workspace and 20 codes, advance to their start and end, delete it. See README.md.
#   MODES="single multiple" CONNECTIONS="8 16" DURATION=8
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7429}
source "$here/server.sh"
need "wrk curl" wrk curl
start_server
run=0
cell() {
  run=$((run + 1))
  MODE=$1 RUN=$run wrk "-t$2" "-c$2" "-d$3s" --timeout 30s -s "$here/workspaces.lua" "http://127.0.0.1:$PORT" | grep -E '^\{|failed:'
}
cell single 8 2 >/dev/null # warms up
for mode in ${MODES:-single multiple}; do
  for connections in ${CONNECTIONS:-8 16}; do
    cell "$mode" "$connections" "${DURATION:-8}"
  done
done
# Creates workspaces only, so the median of the requests is the median of workspaces/create.
cell workspaces 1 2
cell workspaces 8 2
