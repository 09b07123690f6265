#!/usr/bin/env bash
# Deliveries per second to a fast receiver, and the rates of get and create with a webhook and without one. See README.md.
#   EVENTS=20000 SECONDS_EACH=5 CONNECTIONS=16 ROUNDS=3
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7432}
source "$here/server.sh"
need "nodejs curl" node curl
start_server
node "$here/webhooks.mjs"
