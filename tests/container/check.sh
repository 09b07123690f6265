#!/usr/bin/env bash
# Builds the container image from the Dockerfile, and tests it and the compose files in a container engine (podman):
#
#   LATCHKEY_BIN=target/release/latchkey tests/container/check.sh [options of pytest]
#
# LATCHKEY_BIN is the program that the image gets. Needs root on a Debian-like machine: missing programs are installed. No
# registry of images is used. The base image is made from Debian's packages, and so are the images of PostgreSQL and nginx.
# Everything is stored under target/container/, and made only once: delete this folder to start over.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
work=$root/target/container
binary=$(realpath "${LATCHKEY_BIN:-target/release/latchkey}")
export CONTAINERS_CONF=$work/containers.conf CONTAINERS_STORAGE_CONF=$work/storage.conf
export BUILDAH_ISOLATION=chroot BUILDAH_FORMAT=docker

step() { printf '\n==== %s\n' "$*"; }
fail() { echo "$*" >&2; exit 1; }

. .ci/programs.sh

# An engine without systemd, without control groups, and with all of its files under target/container/.
configure_engine() {
  cat >"$CONTAINERS_CONF" <<END
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "$work/networks"
END
  cat >"$CONTAINERS_STORAGE_CONF" <<END
[storage]
driver = "overlay"
graphroot = "$work/images"
runroot = "/run/containers/storage"
END
}

# Makes the base image that the Dockerfile names, from the packages of this release of Debian.
make_base() {
  local image=$1 release container
  buildah inspect --type image "$image" >/dev/null 2>&1 && return 0
  release=$(sed -E 's/^debian:(.*)-slim$/\1/' <<<"$image")
  quietly mmdebstrap --variant=minbase "$release" "$work/base.tar"
  container=$(buildah from scratch)
  quietly buildah add "$container" "$work/base.tar" /
  quietly buildah commit "$container" "docker.io/library/$image"
  quietly buildah rm "$container"
  rm "$work/base.tar"
}

# Copies what git would commit, and the program, into a folder of its own: dist/ is no part of the repository.
make_context() {
  rm -rf "$work/context"
  mkdir -p "$work/context/dist/$architecture"
  git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory "$work/context"
  strip -o "$work/context/dist/$architecture/latchkey" "$binary"
  .ci/licenses >"$work/context/dist/$architecture/THIRD-PARTY-LICENSES"
}

build() {
  quietly timeout 600 buildah build --pull=never "$@"
}

[ "$(id -u)" = 0 ] || fail "start this as root: it makes mounts and network namespaces"
if [ "${1:-}" != --inside ]; then
  [ -x "$binary" ] || fail "LATCHKEY_BIN is not a program: $binary"
  mkdir -p "$work"
  step "programs"
  install_missing aardvark-dns binutils buildah conmon crun iproute2 iptables mmdebstrap netavark npm podman python3-venv
  configure_engine
  # Processes and mounts of the engine end together with this one, however it ends.
  exec unshare --mount --pid --fork --kill-child --mount-proc --propagation private "$0" --inside "$@"
fi
shift

mkdir -p /run/containers
mount -t tmpfs tmpfs /run/containers
architecture=$(dpkg --print-architecture)

step "image"
make_base "$(sed -nE 's/^FROM (debian:[a-z]+-slim) .*/\1/p' Dockerfile)"
make_context
build --layers --target files -t latchkey-files "$work/context"
build --layers --target prebuilt -t latchkey "$work/context"
build --layers -t stand-ins -f tests/container/stand-ins.Dockerfile tests/container
for service in postgres nginx; do
  buildah tag stand-ins "docker.io/library/$(sed -nE "s/^ *image: ($service:.*)/\1/p" compose.scale.yaml)"
done

step "clients"
mounted=$(buildah from --pull-never stand-ins)
cp "$(buildah mount "$mounted")/usr/libexec/docker/cli-plugins/docker-compose" "$work/docker-compose"
quietly buildah rm "$mounted"
[ -x "$work/python/bin/pip" ] || python3 -m venv "$work/python"
quietly "$work/python/bin/pip" install --disable-pip-version-check -r tests/container/requirements.txt
mkdir -p "$work/node"
cp tests/container/package.json "$work/node/"
quietly npm install --prefix "$work/node" --no-audit --no-fund --no-package-lock

step "tests"
# A network of their own, so that port 7326 is free and nothing can be reached but what the tests start.
exec unshare --net --mount --propagation private tests/container/inside.sh "$work" "$@"
