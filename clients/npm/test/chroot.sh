#!/usr/bin/env bash
# Runs the README in a new Debian with Node: as root below /root, and as an ordinary user. check.sh calls this. It is the
# Debian of the check of the Python package, because making one takes most of a minute.
#
#   chroot.sh DIRECTORY NODE      a directory for the file system, and the program node
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$1/debian
node=$2

"$here/../../../.ci/debian" "$root" python3-venv
cp "$node" "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules"
cp -R "$(dirname "$(dirname "$(realpath "$(command -v npm)")")")" "$root/usr/local/lib/node_modules/"
for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$root/usr/local/bin/$name"; done
cp /etc/resolv.conf "$root/etc/"
chroot "$root" useradd --create-home --shell /bin/sh tester

# The server of the README, until it answers /health; then its test.
cat >"$root/usr/local/bin/readme" <<'END'
#!/bin/sh
set -eu
mkdir "$HOME/readme" && cd "$HOME/readme" && cp /srv/readme/* .
sh server.sh >server.log 2>&1 &
timeout 120 sh -c 'until grep -q "^ready on" server.log; do sleep 0.1; done' || { cat server.log; exit 1; }
node -e "fetch('$(sed -n 's/^ready on //p' server.log)/health').then((r) => console.log('health', r.status))" | grep 'health 200'
kill $! && wait $! || true
sh install.sh && sh test.sh
END
chmod 755 "$root/usr/local/bin/readme"
mkdir "$root/srv/readme"
node "$here/readme.mjs" "$root/srv/readme"

settings=$(env | grep -E '^npm_config_(registry|yes|audit|fund|update_notifier)=')
# Networks that inspect TLS have certificates of their own.
if [ -n "${NODE_EXTRA_CA_CERTS:-}" ]; then
  cp -L "$NODE_EXTRA_CA_CERTS" "$root/srv/certificates.pem"
  settings+=" NODE_EXTRA_CA_CERTS=/srv/certificates.pem"
fi
run="env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin $settings"
# The mounts and all processes end with the namespaces.
for user in root tester; do
  echo "-- as $user"
  home=$(chroot "$root" sh -c "echo ~$user")
  # shellcheck disable=SC2016,SC2086
  unshare --mount --pid --fork --kill-child sh -euc '
    root=$1; shift
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/dev/shm"
    exec chroot "$@"' sh "$root" --userspec="$user" "$root" $run HOME="$home" USER="$user" timeout 300 readme
done
