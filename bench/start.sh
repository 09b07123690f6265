#!/usr/bin/env bash
# 100,000 codes on 1,000 locks that start at the same instant, while clients read codes. See README.md.
#   CODES=100000 LOCKS=1000 KINDS="native just_in_time" OF="codes" CONNECTIONS=8 DURATION=14
# OF="codes grants" measures the codes of access grants too.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7428}
source "$here/server.sh"
need "wrk nodejs postgresql-client curl" wrk node psql curl
for kind in ${KINDS:-native just_in_time}; do
  for of in ${OF:-codes}; do
    start_server
    database=$(sed -n "s/.*psql '\\(.*\\)'.*/\\1/p" "$log")
    DATABASE=$database KIND=$kind OF=$of CODES=${CODES:-100000} LOCKS=${LOCKS:-1000} \
      CONNECTIONS=${CONNECTIONS:-8} DURATION=${DURATION:-14} node "$here/start.mjs"
    stop_server
  done
done
