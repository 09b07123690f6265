#!/usr/bin/env bash
# The load test: one run of wrk per cell (store size x scenario x connections). README.md explains the cells.
#   DURATION=5 CONCURRENCY="1 16 64" STORED="0 10000 100000" ROUNDS=1 WARMUP=2
#   SCENARIOS="health get list create create_multiple"; also possible: update, if codes are stored
#   BASE_URL, API_KEY, DEVICE_IDS   a running server. Default: a new server after each cell that writes
#   WITH_FAKE=1 STORED_FAKE=$STORED     also measures Seam's npm fake; the cells of both servers alternate
#   OUT=target/bench/results.jsonl      JSON lines, appended
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

DURATION=${DURATION:-5}
WARMUP=${WARMUP:-2}
ROUNDS=${ROUNDS:-1}
CONCURRENCY=${CONCURRENCY:-"1 16 64"}
STORED=${STORED:-"0 10000 100000"}
STORED_FAKE=${STORED_FAKE:-$STORED}
SCENARIOS=${SCENARIOS:-"health get list create create_multiple"}
WITH_FAKE=${WITH_FAKE:-0}
OUT=${OUT:-$root/target/bench/results.jsonl}
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}
PORT=${PORT:-7426}
FAKE_PORT=${FAKE_PORT:-7427}
FAKE_VERSION=${FAKE_VERSION:-1.86.0}
given=${BASE_URL:-}

die() { echo "$*" >&2; exit 1; }
for program in wrk node curl; do
  command -v "$program" >/dev/null || die "$program is missing: apt-get install wrk nodejs curl"
done
((DURATION <= 60)) || die "DURATION is at most 60 s a cell"
if [ -n "$given" ]; then
  # wrk sends as many requests as possible, so only servers on this machine are allowed.
  [[ $given =~ ^http://(127\.[0-9.]+|localhost|\[::1\])(:[0-9]+)?/?$ ]] || die "BASE_URL must be http on the loopback, not $given"
  [[ -z ${API_KEY:-} || $STORED != *" "* ]] || die "one workspace cannot change its store: give one STORED with API_KEY"
elif [ "$LATCHKEY" = "$root/target/release/latchkey" ]; then
  (cd "$root" && cargo build --release --quiet)
fi

declare -A url=([latchkey]=${given:-http://127.0.0.1:$PORT} [fake]=http://127.0.0.1:$FAKE_PORT)
declare -A pid=() prepared=()
targets=latchkey
work=$(mktemp -d)
mkdir -p "$(dirname "$OUT")"
run=$(date -u +%Y-%m-%dT%H:%M:%SZ)

stop() { # target
  [ -n "${pid[$1]:-}" ] || return 0
  kill "${pid[$1]}" 2>/dev/null || true
  wait "${pid[$1]}" 2>/dev/null || true
  unset "pid[$1]"
}
trap 'stop latchkey; stop fake; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

healthy() { curl -fsS -m 2 -o /dev/null "$1/health" 2>/dev/null; }

launch() { # target command...
  local target=$1
  shift
  ! healthy "${url[$target]}" || die "another server answers at ${url[$target]}: set PORT or FAKE_PORT"
  "$@" >"$work/$target.log" 2>&1 &
  pid[$target]=$!
  for _ in $(seq 600); do
    if healthy "${url[$target]}"; then return; fi
    kill -0 "${pid[$target]}" 2>/dev/null || break
    sleep 0.1
  done
  tail -5 "$work/$target.log" >&2
  die "$target did not start"
}

if [ "$WITH_FAKE" = 1 ]; then
  targets="latchkey fake"
  npm install --silent --no-audit --no-fund --prefix "$work/npm" "@seamapi/fake-seam-connect@$FAKE_VERSION" >&2
fi

# Each preload and each writing cell uses a different million of the 8-digit PINs.
block=0
next_pins() { block=$((block % 89 + 1)); pins=$((10000000 + block * 1000000)); }

prepare() { # target stored
  echo "$1 with $2 stored codes" >&2
  if [ "$1" = fake ]; then
    stop fake
    launch fake node "$here/fake.mjs" "$FAKE_PORT" "$2" "$work/fake.lua" "$work/npm"
  else
    if [ -z "$given" ]; then
      stop latchkey
      launch latchkey "$LATCHKEY" --ephemeral --port "$PORT"
    fi
    next_pins
    BASE_URL=${url[latchkey]} STORED=$2 PIN_BASE=$pins STATE=$work/latchkey.lua node "$here/prep.mjs" >&2
  fi
  prepared[$1]=$2
}

drive() { # target scenario connections seconds
  STATE=$work/$1.lua SCENARIO=$2 PIN_BASE=$pins wrk -t1 -c"$3" -d"${4}s" --timeout 30s -s "$here/load.lua" "${url[$1]}" >"$work/wrk.log" 2>&1 ||
    { cat "$work/wrk.log" >&2; die "wrk failed"; }
}

cell() { # target stored scenario connections round
  healthy "${url[$1]}" || prepared[$1]=
  [ "${prepared[$1]:-}" = "$2" ] || prepare "$1" "$2"
  next_pins
  ((WARMUP == 0)) || OUT='' drive "$1" get "$4" "$WARMUP"
  CELL="\"run\":\"$run\",\"target\":\"$1\",\"stored\":$2,\"scenario\":\"$3\",\"connections\":$4,\"round\":$5" \
    OUT=$OUT drive "$1" "$3" "$4" "$DURATION"
  tail -n 1 "$OUT" >&2
  # A cell that wrote has changed the store, so the next cell needs a new one. With API_KEY there is only one workspace.
  # The fake continues to compute large lists after wrk has stopped, so it needs a restart.
  case $1/$3 in
  latchkey/create* | latchkey/update) [ -n "${API_KEY:-}" ] || prepared[$1]= ;;
  fake/create* | fake/list) prepared[$1]= ;;
  esac
}

for stored in $STORED; do
  for scenario in $SCENARIOS; do
    for connections in $CONCURRENCY; do
      for round in $(seq "$ROUNDS"); do
        for target in $targets; do
          [ "$target" = latchkey ] || [[ " $STORED_FAKE " == *" $stored "* ]] || continue
          cell "$target" "$stored" "$scenario" "$connections" "$round"
        done
      done
    done
  done
done
node "$here/table.mjs" "$OUT" "$run"
