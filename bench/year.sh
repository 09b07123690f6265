#!/usr/bin/env bash
# One advance of the clock by a year, with 10,000 codes. See README.md.
#   CODES=10000 LOCKS=100 ROUNDS=3
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7430}
source "$here/server.sh"
need "nodejs curl" node curl
for _ in $(seq "${ROUNDS:-3}"); do
  start_server
  PID=$server CODES=${CODES:-10000} LOCKS=${LOCKS:-100} node "$here/year.mjs"
  stop_server
done
