#!/usr/bin/env bash
# Starts the engine's service in the namespaces that check.sh made, and runs the tests.
set -euo pipefail
work=$1
shift

ip link set lo up
mount -t tmpfs tmpfs /run
# The engine keeps its locks in shared memory.
mount -t tmpfs tmpfs /dev/shm
# crun knows control groups of version 2 only.
if [ ! -f /sys/fs/cgroup/cgroup.controllers ]; then
  umount -R /sys/fs/cgroup
  mount -t cgroup2 none /sys/fs/cgroup
fi
# What an earlier run left when it was killed. The images stay.
rm -rf "$work/networks" "$work/images/libpod" "$work/images/overlay-containers" "$work/images/volumes"

podman system service --time 0 unix:///run/engine.sock 2>"$work/engine.log" &
timeout 30 sh -c 'until [ -S /run/engine.sock ]; do sleep 0.05; done' || { cat "$work/engine.log" >&2; exit 1; }
export DOCKER_HOST=unix:///run/engine.sock DOCKER_COMPOSE=$work/docker-compose
export NO_PROXY='*' no_proxy='*'
"$work/python/bin/python" -B -m pytest -p no:cacheprovider "$@" tests/container
