#!/usr/bin/env bash
# The console in Chromium beside many workspaces, access codes and requests. See README.md.
#   WORKSPACES=500 CODES=10000 RATE=200 ROUNDS=5 SECONDS_EACH=8 CHROMIUM=chromium
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
PORT=${PORT:-7437}
source "$here/server.sh"
need "nodejs npm curl wrk chromium" node npm curl wrk
export CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
# Beside the packages, because node looks for them from where the script is.
work=$root/target/browser
mkdir -p "$work"
cp "$root/tests/browser/package.json" "$here"/{console,client}.mjs "$work/"
(cd "$work" && npm install --silent --no-audit --no-fund --no-package-lock)
start_server
node "$work/console.mjs"
