#!/usr/bin/env bash
# Puts the program on the PATH of the job: from a file, from a release whose checksum it verifies, or from the source.
set -euo pipefail
# shellcheck source=.github/action/common.sh
source "$GITHUB_ACTION_PATH/.github/action/common.sh"

# Maximum duration of a download, in seconds.
download_limit=120

# Prints the name of the archive for this machine.
target() {
  local machine
  machine=$(uname -sm)
  case $machine in
    'Linux x86_64' | 'Linux aarch64')
      machine=${machine#Linux }
      # On Alpine and its like, which have another C library.
      if [ -e "/lib/ld-musl-$machine.so.1" ]; then echo "$machine-unknown-linux-musl"; else echo "$machine-unknown-linux-gnu"; fi
      ;;
    'Darwin arm64') echo aarch64-apple-darwin ;;
    *) fail "there is no release for $machine: use 'version: source', or a runner with Linux or with macOS on arm64" ;;
  esac
}

# Prints the URL of the releases. An action of another repository is in _actions/OWNER/REPOSITORY/REF; else it is part of the
# repository of the workflow.
releases() {
  if [ -n "$INPUT_DOWNLOADS" ]; then
    echo "${INPUT_DOWNLOADS%/}"
  elif [[ $GITHUB_ACTION_PATH =~ /_actions/([^/]+/[^/]+)/ ]]; then
    echo "$GITHUB_SERVER_URL/${BASH_REMATCH[1]}/releases/download"
  else
    echo "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY/releases/download"
  fi
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

download() {
  curl --fail --silent --show-error --location --max-time "$download_limit" --output "$2" "$1" ||
    fail "cannot download $1: check that this release exists, or use 'version: source'"
}

install_release() {
  local version=${INPUT_VERSION#v} name url actual expected
  # The checkout of the action is that of its release.
  : "${version:=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$GITHUB_ACTION_PATH/Cargo.toml" | head -n 1)}"
  # An assignment passes a failure on.
  name=$(target)
  name=latchkey-$version-$name.tar.gz
  url=$(releases)/v$version/$name
  download "$url" "$folder/$name"
  download "$url.sha256" "$folder/$name.sha256"
  actual=$(sha256 "$folder/$name")
  expected=$(cut -d ' ' -f 1 "$folder/$name.sha256")
  [ "$actual" = "$expected" ] || fail "$url was changed: its checksum is $actual, but that of the release is $expected"
  tar -xzf "$folder/$name" -C "$folder/bin" --strip-components=1 || fail "$url is not a tar.gz archive"
  echo "installed $url"
}

install_from_source() {
  command -v cargo >/dev/null || fail "'version: source' needs Rust: add a step that installs it before this one"
  cargo build --release --locked --manifest-path "$GITHUB_ACTION_PATH/Cargo.toml" --target-dir "$folder/target"
  mv "$folder/target/release/latchkey" "$folder/bin/latchkey"
}

install_binary() {
  if ! [ -f "$INPUT_BINARY" ] || ! [ -x "$INPUT_BINARY" ]; then fail "the input 'binary' is not a program: $INPUT_BINARY"; fi
  cp "$INPUT_BINARY" "$folder/bin/latchkey"
}

if [ -f "$folder/pid" ]; then
  fail "this job has started Latchkey before: use that server for all tests, or stop it first with .github/action/stop"
fi
mkdir -p "$folder/bin"
if [ -n "$INPUT_BINARY" ]; then
  install_binary
elif [ "$INPUT_VERSION" = source ]; then
  install_from_source
else
  install_release
fi
"$folder/bin/latchkey" --version || fail "the program does not run on this machine"
echo "$folder/bin" >>"$GITHUB_PATH"
