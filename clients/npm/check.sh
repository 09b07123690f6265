#!/usr/bin/env bash
# Checks the npm package: packs it, installs it as users do, and tests the launcher, the client, the types, the README, and
# suites of node:test, vitest and jest in several workers. Needs Linux, cargo, and access to the npm registry. Missing programs are
# installed, and versions of Node are stored under target/node/.
#
#   LATCHKEY_BIN=target/release/latchkey clients/npm/check.sh
#
# CHROOT=1 also runs the README in a new Debian without PostgreSQL. This needs root.
# Arguments go to `node --test`, for example: --test-name-pattern=README
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(realpath "$here/../../target")
program=$(realpath "${LATCHKEY_BIN:-$target/release/latchkey}")
# shellcheck source=.ci/programs.sh
. "$here/../../.ci/programs.sh"

# Versions of what the tests use.
NODE=22.23.3
NPM=11.19.1
OLD_NODE=20.20.2
OTHERS="typescript@7.0.2 @types/node@22.20.7 vitest@5.1.2 jest@30.5.2 @babel/preset-env@7.29.14"

# Settings of the caller would change what is tested.
for name in $(compgen -e | grep -E '^(LATCHKEY_|SEAM_|NODE_OPTIONS$|PG|DATABASE_URL$)' || true); do unset "$name"; done
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost

work=$(mktemp -d)
registry=
finish() {
  [ -z "$registry" ] || kill "$registry"
  rm -rf --one-file-system "$work"
}
trap finish EXIT
# PostgreSQL runs as another user if this is root.
chmod 755 "$work"

step() { printf '\n==== %s\n' "$*"; }
fail() { echo "$*" >&2; exit 1; }

[ -x "$program" ] || fail "LATCHKEY_BIN is not a program: $program"
[ "$(uname -s)" = Linux ] || fail "the tests look into /proc: run them on Linux"
case $(uname -m) in
  x86_64) platform=linux-x64 ;;
  aarch64) platform=linux-arm64 ;;
  *) fail "there is no package for $(uname -m)" ;;
esac

step "node"
install_missing nodejs npm
# Installs packages, and prints the directory of their programs.
programs_of() {
  local directory
  directory=$target/node/$(IFS=+; echo "$*")
  [ -x "$directory/node_modules/.bin/node" ] || npm install --silent --no-audit --no-fund --prefix "$directory" "$@" >&2
  echo "$directory/node_modules/.bin"
}
# The tests need process.execve, which Node has since 22.15, and an npm that chooses packages by the C library.
if ! node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 15) ? 0 : 1)'; then
  PATH=$(programs_of node@$NODE npm@$NPM):$PATH
fi
CHECK_OLD_NODE=$(realpath "$(programs_of node@$OLD_NODE)/node")
export CHECK_OLD_NODE PATH
echo "$(node --version), and $("$CHECK_OLD_NODE" --version) as the oldest"

step "pack"
"$here/pack.mjs" "$program" "$platform" "$work/tarballs"
# npm must not choose this one.
printf '#!/bin/sh\nexit 1\n' >"$work/wrong"
"$here/pack.mjs" "$work/wrong" "$platform-musl" "$work/tarballs"

upstream=$(npm config get registry)
node "$here/test/registry.mjs" "$work/tarballs" "$upstream" >"$work/registry" &
registry=$!
timeout 20 sh -c "until [ -s '$work/registry' ]; do sleep 0.1; done" || fail "the registry of the tests does not start"
export npm_config_registry npm_config_cache=$work/cache npm_config_yes=true npm_config_audit=false npm_config_fund=false
export npm_config_update_notifier=false
npm_config_registry=$(cat "$work/registry")

step "install"
export CHECK_CONSUMER=$work/consumer
mkdir "$CHECK_CONSUMER"
cd "$CHECK_CONSUMER"
npm init -y >/dev/null
# shellcheck disable=SC2086
npm install --silent --save-dev latchkey-seam @seamapi/http@2.32.0 $OTHERS
[ "$(echo node_modules/@latchkey-seam/*)" = "node_modules/@latchkey-seam/$platform" ] ||
  fail "installed: $(echo node_modules/@latchkey-seam/*); expected only $platform"
for package in ring tokio; do
  grep -q "^$package [0-9]" "node_modules/@latchkey-seam/$platform/THIRD-PARTY-LICENSES" || fail "the package has no licence of $package"
done

step "tests"
CHECK_MARK=$(basename "$work")
# The locks of the shared server, which a user finds again later, are in this directory.
export CHECK_MARK XDG_RUNTIME_DIR=$work/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
# One file after the other: each checks that nothing is left.
node --test --test-concurrency=1 --test-timeout=600000 --test-reporter=spec "$@" "$here"/test/*.test.mjs

if [ "${CHROOT:-}" = 1 ]; then
  step "README in a new Debian"
  "$here/test/chroot.sh" "$work" "$(command -v node)"
fi

step "all passed"
