#!/usr/bin/env bash
# Writes the archive of a release that install.sh downloads, and the file with its checksum:
#
#   archive.sh PROGRAM TARGET DIRECTORY      for example: target/release/latchkey x86_64-unknown-linux-gnu target/archives
#
# The version is that of Cargo.toml.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
program=$1 target=$2 directory=$3

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$root/Cargo.toml" | head -n 1)
name=latchkey-$version-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name" "$directory"
cp "$program" "$work/$name/latchkey"
chmod 755 "$work/$name/latchkey"
cp "$root"/{CHANGELOG.md,LICENSE-APACHE,LICENSE-MIT,README.md} "$work/$name"
"$root/.ci/licenses" >"$work/$name/THIRD-PARTY-LICENSES"
tar -czf "$directory/$name.tar.gz" -C "$work" "$name"
cd "$directory"
# Linux has the one program, macOS the other.
if command -v sha256sum >/dev/null; then sha256sum "$name.tar.gz"; else shasum -a 256 "$name.tar.gz"; fi >"$name.tar.gz.sha256"
echo "$directory/$name.tar.gz"
