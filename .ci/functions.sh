# shellcheck shell=bash
# Functions of `.ci/run`.

fail() { echo "$*" >&2; exit 1; }

# Names and seconds of the steps that have ended, one line each.
ended_steps=
step_name=

# Begins a step, which ends the one before.
step() {
  end_step ""
  printf '\n==== %s\n' "$*"
  step_name=$* step_began=$SECONDS
}

end_step() {
  [ -z "$step_name" ] || printf -v ended_steps '%s%7d  %s%s\n' "$ended_steps" $((SECONDS - step_began)) "$step_name" "$1"
  step_name=
}

# Stops the server, and shows how long each step took. A script that fails ends within the step that failed.
finish() {
  local status=$?
  [ -z "${server:-}" ] || stop_server
  if [ "$status" = 0 ]; then step_name=; else end_step " (failed)"; fi
  printf '\nseconds  step\n%s%7d  total\n' "$ended_steps" "$SECONDS"
  exit "$status"
}

# Starts the server. Reads BASE_URL and API_KEY from its output and exports them.
start_server() {
  local log=target/ci-server.log
  : >"$log"
  target/debug/latchkey --ephemeral --port 0 >"$log" 2>&1 &
  server=$!
  for _ in $(seq 600); do
    BASE_URL=$(sed -n 's/^ready on \(http[^ ]*\).*/\1/p' "$log" | head -n 1)
    API_KEY=$(sed -n 's/^ *api key:\{0,1\} *\(seam_[A-Za-z0-9_]*\).*/\1/p' "$log" | head -n 1)
    PERSONAL_ACCESS_TOKEN=$(sed -n 's/^ *access token *\(seam_[A-Za-z0-9_]*\).*/\1/p' "$log" | head -n 1)
    if [ -n "$BASE_URL" ] && [ -n "$API_KEY" ]; then
      export BASE_URL API_KEY PERSONAL_ACCESS_TOKEN
      return 0
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  cat "$log" >&2
  fail "the server did not print 'ready on URL' and 'api key KEY'"
}

stop_server() {
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  server=
}
