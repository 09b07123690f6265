# Functions to start and stop a server. The other scripts source this file after they set `here`. Environment:
#   LATCHKEY=target/release/latchkey   the program. The default one is built first, unless LATCHKEY_BUILT is set
#   PORT                               the port of the server
root=$(dirname "$here")
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}

# Exits if one of these programs is missing. The first argument lists the packages to install.
need() {
  local packages=$1 program
  shift
  for program in "$@"; do
    command -v "$program" >/dev/null || { echo "$program is missing: apt-get install $packages" >&2; exit 1; }
  done
}

# Starts a server, waits until it is ready, and exports BASE_URL. Its data is temporary, unless the array `storage` has
# the options that say where it is. The output of the server is in $log.
start_server() {
  if [ -z "${LATCHKEY_BUILT:-}" ] && [ "$LATCHKEY" = "$root/target/release/latchkey" ]; then
    (cd "$root" && cargo build --release --quiet)
  fi
  LATCHKEY_BUILT=1
  "$LATCHKEY" "${storage[@]}" --port "$PORT" >"$log" 2>&1 &
  server=$!
  export BASE_URL=http://127.0.0.1:$PORT
  until curl -fsS -m 2 -o /dev/null "$BASE_URL/health" 2>/dev/null; do
    kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.1
  done
}

stop_server() {
  kill "$server"
  wait "$server" || true
}

storage=(--ephemeral)
log=$(mktemp)
trap 'kill "${server:-}" 2>/dev/null || true; wait 2>/dev/null || true; rm -f "$log"' EXIT
