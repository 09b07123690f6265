#!/usr/bin/env bash
# One PIN chosen for 100 locks and for 500 locks, each with 65 codes. See README.md.
#   FEW=100 MANY=500 CODES=65 ROUNDS=5 MOST_RATIO=7
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7430}
source "$here/server.sh"
need "nodejs curl" node curl
start_server
node "$here/shared.mjs"
