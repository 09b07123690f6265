#!/usr/bin/env bash
# Runs `cargo run` and `cargo test` in a clone of this repository, in a new Debian that has Rust and a C compiler and
# nothing else. PostgreSQL comes from a mirror on the loopback. It takes about a quarter of an hour.
#   tests/postgres/bare.sh [cargo test arguments]
# Needs root, node with npm, python3, and a network for Debian's packages and crates.io. Uncommitted changes are
# not part of the clone.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
fail() { echo "FAILED: $*" >&2; exit 1; }
. "$root/tests/postgres/mirror.sh"
[ "$(uname -sm)" = "Linux x86_64" ] || { echo "skipped: the package is for Linux on x86_64"; exit 0; }
[ "$(id -u)" = 0 ] || fail "run it as root"
work=$(mktemp -d)
system=$work/system
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
build_mirror "$root/target/postgres-check"
start_mirror "$work/mirror.log"

echo "a new Debian with gcc"
"$root/.ci/debian" "$system" gcc libc6-dev ca-certificates
echo "127.0.0.1 localhost" >"$system/etc/hosts"
git clone --quiet "$root" "$system/latchkey"
cp /etc/resolv.conf "$system/etc/resolv.conf"
mkdir -p "$system/rust" "$system/cargo/registry"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
[ ! -f "$cargo_home/config.toml" ] || cp "$cargo_home/config.toml" "$system/cargo/"

# Runs a script in the new system, whose mounts end with it. The packages of crates.io that this machine has need not be
# downloaded again.
inside() {
  # shellcheck disable=SC2016
  toolchain=$(rustc --print sysroot) registry=$cargo_home/registry system=$system \
    unshare --mount --pid --fork --kill-child bash -euc '
    mount --bind "$toolchain" "$system/rust"
    mkdir -p "$registry"
    mount --bind "$registry" "$system/cargo/registry"
    mount -t proc proc "$system/proc"
    mount --bind /dev "$system/dev"
    exec chroot "$system" /usr/bin/env -i HOME=/root PATH=/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin CARGO_HOME=/cargo \
      LATCHKEY_POSTGRES_MIRROR="$0" NO_PROXY="*" bash -euc "cd /latchkey; $1" bash "${@:2}"' "$LATCHKEY_POSTGRES_MIRROR" "$@"
}

inside '! command -v initdb; ! ls /usr/lib/postgresql; ! command -v python3; ! command -v curl' 2>/dev/null || fail "the system is not empty"

echo "cargo run"
started=$(date +%s)
# shellcheck disable=SC2016
inside '
  cargo run -- --ephemeral --port 0 >/tmp/log 2>/tmp/errors & server=$!
  for _ in $(seq 18000); do
    grep -q "^ready on" /tmp/log && break
    kill -0 $server 2>/dev/null || { cat /tmp/log /tmp/errors; exit 1; }
    sleep 0.1
  done
  port=$(sed -n "s/^ready on .*://p" /tmp/log)
  exec 3<>/dev/tcp/127.0.0.1/$port
  printf "POST /devices/list HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer %s\r\n\r\n" \
    "$(sed -n "s/^ *api key *//p" /tmp/log)" >&3
  head -n 1 <&3 | grep "200 OK"' || fail "cargo run"
echo "a first answer after $(($(date +%s) - started)) s"

echo "cargo test"
started=$(date +%s)
# shellcheck disable=SC2016
inside 'cargo test --quiet -- "$@"' "$@" || fail "cargo test"
echo "cargo test took $(($(date +%s) - started)) s"
