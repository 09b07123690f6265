#!/usr/bin/env bash
# Stops the server that start.sh started, and shows its log if the job has failed. Does nothing if there is none.
set -euo pipefail
# The path of this action is the folder stop/.
# shellcheck source=.github/action/common.sh
source "$GITHUB_ACTION_PATH/../common.sh"

# Maximum duration of the stop, in seconds. The server lets running requests finish for ten.
stop_limit=15

if [ ! -f "$folder/pid" ]; then
  echo "Latchkey is not running"
  exit 0
fi
server=$(cat "$folder/pid")
rm "$folder/pid"
if [ "$JOB_STATUS" = failure ] || ! is_running "$server"; then show_log; fi
is_running "$server" || fail "Latchkey has ended before; its log is $folder/log"
kill -TERM "$server"
while is_running "$server"; do
  if [ "$SECONDS" -ge "$stop_limit" ]; then
    kill -KILL "$server"
    fail "Latchkey did not stop within $stop_limit seconds, and was ended; its log is $folder/log"
  fi
  sleep 0.05
done
echo "Latchkey has stopped"
