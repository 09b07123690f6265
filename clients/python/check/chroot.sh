# Part of check.sh: follows the README in a new Debian that has Python and nothing else, as root and as another user.

step "in a new Debian"
PATH=$PATH:/usr/sbin:/sbin
root=$work/debian
"$here/../../.ci/debian" "$root" python3-venv
mkdir "$root/package" "$root/wheels"
cp -r "$here/check" "$here/README.md" "$root/package/"
# For the Python of this Debian, so that it needs no network.
"$venv/bin/pip" download --quiet --dest "$root/wheels" --only-binary :all: --python-version 3.11 'latchkey-seam[seam]' 'pytest>=8,<10'
chroot "$root" useradd guest
for user in root guest; do
  install --directory --owner="$(grep "^$user:" "$root/etc/passwd" | cut -d: -f3)" "$root/srv/$user"
  step "in a new Debian, as $user"
  # The kernel ends all programs of the new process namespace, and removes its mounts, when the first of them ends.
  env -i USER="$user" PATH=/usr/bin:/bin:/usr/sbin:/sbin PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_DISABLE_PIP_VERSION_CHECK=1 \
    unshare --mount --pid --fork --kill-child bash -euc '
      mount -t proc proc "$1/proc"
      mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
      chroot --userspec="$USER" "$1" bash -euc "
        export HOME=/srv/$USER TMPDIR=/tmp
        ! ls /usr/lib/postgresql 2> /dev/null
        bash /package/check/first_steps.sh /srv/$USER"' bash "$root" < /dev/null &
  chroot=$!
  wait "$chroot"
done
