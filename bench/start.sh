#!/usr/bin/env bash
# A hundred thousand codes on a thousand locks that start at one instant, while codes are read. See README.md.
#   CODES=100000 LOCKS=1000 KINDS="native just_in_time" CONNECTIONS=8 DURATION=14
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7428}
source "$here/server.sh"
need "wrk nodejs postgresql-client curl" wrk node psql curl
for kind in ${KINDS:-native just_in_time}; do
  start_server
  database=$(sed -n "s/.*psql '\\(.*\\)'.*/\\1/p" "$log")
  DATABASE=$database KIND=$kind CODES=${CODES:-100000} LOCKS=${LOCKS:-1000} \
    CONNECTIONS=${CONNECTIONS:-8} DURATION=${DURATION:-14} node "$here/start.mjs"
  stop_server
done
