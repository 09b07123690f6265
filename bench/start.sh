#!/usr/bin/env bash
# 100,000 codes on 1,000 locks that start at the same instant, while clients read codes. See README.md.
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
