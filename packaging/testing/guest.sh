# shellcheck shell=bash
# One machine without a machine: a copy of the root booted by systemd-nspawn in a network namespace of its own, and a
# second namespace beside it from which clients come. Everything has this run's number in its name and goes with it.

guest=sf-pkg-$$
guest_root='' guest_pid=''

# guest_prepare: the namespaces, and a fresh copy of the root.
guest_prepare() {
  guest_root=$(mktemp -d "${TMPDIR:-/tmp}/$guest.XXXXXX")/root
  cp -a "$(root_base)" "$guest_root"
  local side
  for side in host client; do
    ip netns add "$guest-$side"
    ip -n "$guest-$side" link set lo up
  done
  ip -n "$guest-host" link add eth0 type veth peer name eth0 netns "$guest-client"
  ip -n "$guest-host" address add 10.99.0.11/24 dev eth0
  ip -n "$guest-client" address add 10.99.0.1/24 dev eth0
  ip -n "$guest-host" link set eth0 up
  ip -n "$guest-client" link set eth0 up
}

# guest_boot: starts it and waits until its systemd is up. Its cgroups are a tree of version 2, made in a mount namespace of its
# own, for this machine's may be version 1.
guest_boot() {
  unshare -m sh -c "
    mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup && mkdir -p /sys/fs/cgroup/$guest &&
    echo \$\$ >/sys/fs/cgroup/$guest/cgroup.procs &&
    exec systemd-nspawn --quiet --directory='$guest_root' --boot --keep-unit --register=no --machine=$guest --hostname=test1 \
      --network-namespace-path=/run/netns/$guest-host --capability=all --console=read-only --link-journal=no" \
    </dev/null >"$guest_root.console" 2>&1 &
  guest_pid=$!
  local patience=$((SECONDS + 60)) state
  while [ $SECONDS -lt $patience ]; do
    state=$(guest systemctl is-system-running 2>/dev/null || true)
    case $state in running | degraded) return 0 ;; esac
    sleep 0.1
  done
  tail -20 "$guest_root.console" >&2
  return 1
}

# The guest's pid 1. The tree of version 2 is seen through the root of a process that has it mounted.
guest_leader() { head -1 "/proc/$guest_pid/root/sys/fs/cgroup/$guest/payload/init.scope/cgroup.procs" 2>/dev/null || true; }

# guest COMMAND...: runs it inside.
guest() {
  local leader
  leader=$(guest_leader)
  [ -n "$leader" ] || { echo "the guest is not up" >&2; return 1; }
  nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "$@"
}

# guest_sh 'SCRIPT': a line of shell inside.
guest_sh() { guest sh -c "$1"; }

guest_put() { install -D -m "${3:-644}" "$1" "$guest_root$2"; }

# guest_power_cut: at once, and what only the kernel knew is gone with it: processes, /run, addresses.
guest_power_cut() {
  local leader
  [ -n "$guest_pid" ] || return 0
  # Killing nspawn alone would leave the guest running.
  leader=$(guest_leader)
  [ -z "$leader" ] || kill -KILL "$leader" 2>/dev/null || true
  kill -KILL "$guest_pid" 2>/dev/null || true
  wait "$guest_pid" 2>/dev/null || true
  guest_pid=''
  ip -n "$guest-host" address flush dev eth0 scope global
  ip -n "$guest-host" address add 10.99.0.11/24 dev eth0
  # The kernel frees the last cgroups and mounts in its own time.
  sleep 0.3
  unshare -m sh -c "mount --make-rprivate / && mount -t cgroup2 none /sys/fs/cgroup &&
    find /sys/fs/cgroup/$guest -depth -type d -exec rmdir {} +" 2>/dev/null || true
}

guest_end() {
  local side
  guest_power_cut
  for side in host client; do ip netns delete "$guest-$side" 2>/dev/null || true; done
  [ -z "$guest_root" ] || rm -rf "${guest_root%/root}"
  guest_root=''
}
