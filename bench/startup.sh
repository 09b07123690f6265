#!/usr/bin/env bash
# Start-up time and idle memory, for the first and the second start. See startup.mjs.
#   RUNS=5 PORT=7428 LATCHKEY=target/release/latchkey OUT=target/bench/startup.jsonl
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
LATCHKEY=${LATCHKEY:-$root/target/release/latchkey}
OUT=${OUT:-$root/target/bench/startup.jsonl}

command -v node >/dev/null || { echo "node is missing: apt-get install nodejs" >&2; exit 1; }
[ "$LATCHKEY" != "$root/target/release/latchkey" ] || (cd "$root" && cargo build --release --quiet)
mkdir -p "$(dirname "$OUT")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The private PostgreSQL may run as another user, which needs access to the data directory.
chmod 755 "$work"
node "$here/startup.mjs" "$LATCHKEY" "${PORT:-7428}" "${RUNS:-5}" "$work" "$OUT"
