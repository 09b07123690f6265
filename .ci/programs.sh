# shellcheck shell=bash
# Functions that install the programs of a check on a Debian-like machine. Scripts source this file, and define `fail`.

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

has_postgresql() {
  local initdb
  for initdb in "${PG_BIN_DIR:-/nonexistent}/initdb" /usr/lib/postgresql/*/bin/initdb; do
    if [ -x "$initdb" ]; then return 0; fi
  done
  command -v initdb >/dev/null
}

# Succeeds if the package of Debian, or a program that does the same, is installed.
is_installed() {
  local PATH=$PATH:/usr/lib/podman:/usr/sbin:/sbin
  case $1 in
    binutils) command -v strip ;;
    chromium) command -v chromium chromium-browser google-chrome ;;
    iproute2) command -v ip ;;
    nodejs) command -v node ;;
    postgresql) has_postgresql ;;
    # On Debian, venv is not part of the package python3.
    python3-venv) python3 -c 'import ensurepip, venv' 2>&1 ;;
    *) command -v "$1" ;;
  esac >/dev/null
}

# Installs those of the packages that are missing.
install_missing() {
  local missing=() package
  for package in "$@"; do
    is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "install these first: ${missing[*]}"
  echo "installs ${missing[*]}"
  quietly as_root apt-get update -q
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
}

# Runs a command and shows its output only if it fails.
quietly() {
  local output
  output=$("$@" 2>&1) || { echo "$output" >&2; fail "failed: $*"; }
}
