# shellcheck shell=bash
# A throw-away Debian root with systemd and rpm in it, made once and kept in the cache; a test works on a copy.

# root_base: prints the folder of the pristine root, made from this machine's own apt sources if it is not there yet.
root_base() {
  local cache=${STANDFAST_CACHE:-/var/cache/standfast-test} suite packages base
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  packages=systemd-sysv,dbus,iproute2,procps,rpm,passwd
  # What goes into the root is part of its name: another list, another root.
  base=$cache/package-root-$suite-$(printf '%s' "$packages" | sha256sum | cut -c1-12)
  if [ ! -e "$base.done" ]; then
    rm -rf "$base"
    mkdir -p "$cache"
    local sources=$cache/package-root.sources.list
    # shellcheck disable=SC2016  # the fields are apt's
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Identifier: Packages' |
      awk -v suite="$suite" 'index($3, suite) == 1' | sort -u >"$sources"
    [ -s "$sources" ] || { echo "apt on this machine knows no source for $suite: run apt-get update" >&2; return 1; }
    mmdebstrap --quiet --variant=minbase --include="$packages" --aptopt='Apt::Install-Recommends "false"' \
      --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$base" "$sources" >&2
    : >"$base/etc/fstab"
    # Never empty: that would be a first boot, with everything enabled that has a preset.
    echo 0123456789abcdef0123456789abcdef >"$base/etc/machine-id"
    local unit
    for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
      systemd-timesyncd.service systemd-networkd.service console-getty.service getty@tty1.service; do
      ln -sf /dev/null "$base/etc/systemd/system/$unit"
    done
    touch "$base.done"
  fi
  echo "$base"
}
