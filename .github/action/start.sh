#!/usr/bin/env bash
# Starts the server in the background, waits until it is ready, and gives its address to the later steps. Fails at once, with
# the log, if the server ends.
set -euo pipefail
# shellcheck source=.github/action/common.sh
source "$GITHUB_ACTION_PATH/.github/action/common.sh"

# Maximum duration of the start, in seconds. A start normally takes one second.
start_limit=60

# The bash of macOS takes an empty list for an unset variable.
read -r -a options <<<"$INPUT_OPTIONS"
log=$folder/log
"$folder/bin/latchkey" serve --ephemeral --port "$INPUT_PORT" ${options[@]+"${options[@]}"} >"$log" 2>&1 </dev/null &
server=$!

# Prints the value that the server writes into its log: value_of '^ready on'.
value_of() { sed -n "s/$1 *\([^ ]*\)$/\1/p" "$log" | head -n 1; }

until url=$(value_of '^ready on') && [ -n "$url" ]; do
  if ! is_running "$server"; then
    show_log
    fail "Latchkey ended while it started: $(tail -n 1 "$log")"
  fi
  if [ "$SECONDS" -ge "$start_limit" ]; then
    kill -KILL "$server"
    show_log
    fail "Latchkey was not ready after $start_limit seconds"
  fi
  sleep 0.05
done
api_key=$(value_of '^ *api key')

echo "$server" >"$folder/pid"
printf '%s\n' "SEAM_ENDPOINT=$url" "SEAM_API_KEY=$api_key" "LATCHKEY_URL=$url" "LATCHKEY_LOG=$log" >>"$GITHUB_ENV"
printf '%s\n' "url=$url" "api-key=$api_key" "log=$log" >>"$GITHUB_OUTPUT"
echo "Latchkey is ready on $url. Its log is $log"
