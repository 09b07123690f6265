#!/usr/bin/env bash
# Memory that one very long list adds to the server. See README.md.
#   CODES=55000 LOCKS=10000 ROUNDS=3
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7433}
source "$here/server.sh"
need "nodejs curl" node curl
start_server
PID=$server node "$here/lists.mjs"
