#!/usr/bin/env bash
# Installs the programs of PostgreSQL if the job has none, as on the arm64 machines of GitHub.
set -euo pipefail
# shellcheck source=.github/action/common.sh
source "$GITHUB_ACTION_PATH/.github/action/common.sh"

is_installed() {
  # The command fails if anything is wrong; only this line counts here.
  { "$folder/bin/latchkey" doctor --ephemeral --port 0 || true; } | grep "^ok  *postgresql's programs" >/dev/null
}

if is_installed; then exit 0; fi
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}
if command -v apt-get >/dev/null; then
  as_root apt-get update -q
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql
elif command -v brew >/dev/null; then
  brew install --quiet postgresql@17
else
  fail "the programs of PostgreSQL are missing: install initdb and postgres, version 14 or newer, before this step"
fi
is_installed || fail "Latchkey does not find the installed PostgreSQL: set PG_BIN_DIR to the folder of initdb and postgres"
