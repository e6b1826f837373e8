# shellcheck shell=bash
# A package's life on a machine with live systemd: installed, configured, killed piece by piece, upgraded under load,
# removed, purged. The same steps for both formats; what differs is in package_*.

vip=10.99.0.88
units="standfast-angel standfast-vrrpd"

lifecycle_tests() {
  part=$1
  guest_prepare
  guest_boot
  check "install: enabled as the system presets, nothing started" fresh_install
  check "the example layouts pass standfast check" examples_pass
  check "configure and start: both active, the VIP served" configure
  check "status: active (running), a STATUS line, the store filled" status_lines
  check "a client is greeted through the VIP" under_load true
  check "accounts and capabilities" capabilities
  check "kill -9 angel: the same proxyd, nobody refused" under_load kill_angel
  check "kill -9 proxyd: another proxyd, nobody refused" under_load kill_proxyd
  check "kill -9 vrrpd: another vrrpd, the VIP stays" under_load kill_vrrpd
  check "kill -9 both with no room in /tmp: both come back" full_tmp
  check "a frozen angel: the watchdog ends it, the same proxyd, the VIP is back" freeze_angel
  check "a frozen vrrpd: the watchdog ends it, the VIP is back" freeze_vrrpd
  check "standfast restart-proxy, ten times: no attempt lost" under_load restart_often
  check "upgrade under load: all new, nobody refused, the VIP stays" under_load upgrade
  check "upgrade with a configuration that is wrong: the old ones go on" upgrade_wrong
  check "start with a configuration that is wrong: failed with 78, once" start_wrong
  check "systemctl stop standfast-vrrpd: the VIP leaves" stop_vrrpd
  check "systemctl stop, all: nothing runs; start: it serves again" stop_all
  check "the journal knows no refused system call and no panic" clean_journal
  guest_power_cut
  guest_boot
  check "power cut and boot: serves by itself" booted_again
  check "remove: the VIP leaves, nothing runs, the configuration stays" remove_package
  [ "$part" = rpm ] || check "purge leaves nothing" purge
  guest_end
}

package_install() {
  install -m 644 "$1" "$guest_root/root/"
  case $part in
    deb) guest dpkg -i "/root/${1##*/}" ;;
    # What it requires is a test of its own, against EL's names; here the user land is Debian's.
    rpm) guest rpm -U --force --force-debian --nodeps "/root/${1##*/}" ;;
  esac
}

package_file() { # package_file old|new
  case $part-$1 in
    deb-old) echo "$old_deb" ;; deb-new) echo "$new_deb" ;;
    rpm-old) echo "$old_rpm" ;; rpm-new) echo "$new_rpm" ;;
  esac
}

# until_true SECONDS COMMAND...
until_true() {
  local patience=$(($(date +%s%N) + $1 * 1000000000))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(date +%s%N)" -lt $patience ] || { echo "not within the time: $*"; diagnosis; return 1; }
    sleep 0.03
  done
}

diagnosis() { guest_sh "ip -4 -br address; systemctl --no-pager --lines=0 status $units; journalctl --no-pager -n 25 -o cat" || true; }
main_pid() { guest systemctl show -p MainPID --value "$1"; }
proxyd_pid() { guest cat /run/standfast/proxyd.pid; }
has_vip() { ip -n "$guest-host" -4 address show dev eth0 | grep -q "$vip/"; }
no_vip() { ! has_vip; }
active() { guest systemctl --quiet is-active $units; }
serving() { [ "$(guest_sh "standfast status --json" | python3 -c 'import json,sys; print(json.load(sys.stdin)["angel"]["verdict"])')" = serving ]; }
nobody_runs() { [ -z "$(guest ps -u standfast -o args=)" ]; }

fresh_install() {
  package_install "$(package_file old)"
  local unit
  for unit in $units; do
    [ "$part" = rpm ] || [ "$(guest systemctl is-enabled $unit)" = enabled ] || { echo "$unit is not enabled"; return 1; }
    [ "$(guest systemctl is-active $unit || true)" = inactive ] || { echo "$unit runs"; return 1; }
  done
  [ "$part" = deb ] || guest systemctl --quiet enable $units
  guest systemctl start $units
  ! guest systemctl --quiet is-failed $units || { echo "a start without a configuration is a failure"; return 1; }
  [ "$(guest stat -c '%a %U %G' /etc/standfast)" = "2750 root standfast" ] || { guest stat -c '%a %U %G' /etc/standfast; return 1; }
  nobody_runs
}

examples_pass() {
  local layout
  for layout in single-vip multi-vip; do
    guest_sh "cd /usr/share/doc/standfast/examples/$layout && standfast check standfast.toml && standfast check article-*.toml" || return 1
  done
}

configure() {
  install -m 640 "$here/testing/standfast.toml" "$guest_root/etc/standfast/standfast.toml"
  guest chown root:standfast /etc/standfast/standfast.toml
  guest standfast check /etc/standfast/standfast.toml
  guest systemctl start standfast-vrrpd
  active || { diagnosis; return 1; }
  until_true 5 has_vip
}

status_lines() {
  local text stored
  text=$(guest systemctl --no-pager --lines=0 status $units)
  [ "$(grep -c 'Active: active (running)' <<<"$text")" = 2 ] && grep -q 'Status: "serving' <<<"$text" || { echo "$text"; return 1; }
  stored=$(guest systemctl show -p NFileDescriptorStore --value standfast-angel)
  # Two workers' listeners, admin, the heartbeat segment, proxyd's pidfd.
  [ "$stored" = 5 ] || { echo "$stored descriptors in the store"; return 1; }
  echo "$stored descriptors stored"
}

effective() { sed -n 's/^CapEff:\t//p' "/proc/$(guest_to_outer "$1")/status"; }
# A pid inside the guest as it is outside.
guest_to_outer() { grep -l "^NSpid:.*[[:space:]]$1\$" /proc/[0-9]*/status 2>/dev/null | while read -r file; do
  [ "$(readlink "${file%/status}/ns/pid")" != "$(readlink "/proc/$(guest_leader)/ns/pid")" ] || echo "$file"; done | sed 's#/proc/\([0-9]*\)/.*#\1#'; }

capabilities() {
  [ "$(guest ps -u standfast -o comm= | sort -u | wc -l)" = 3 ] || { guest ps aux; return 1; }
  local angel proxyd vrrpd
  angel=$(effective "$(main_pid standfast-angel)") proxyd=$(effective "$(proxyd_pid)") vrrpd=$(effective "$(main_pid standfast-vrrpd)")
  # NET_ADMIN 12, NET_RAW 13, IPC_LOCK 14, SYS_NICE 23.
  [ "$angel $proxyd $vrrpd" = "0000000000000000 0000000000000000 0000000000807000" ] || { echo "$angel $proxyd $vrrpd"; return 1; }
  ! guest journalctl -o cat -u standfast-vrrpd | grep -E 'memory-not-locked|no-realtime|no-rttime'
}

# under_load COMMAND: with clients that connect all the time; none may be refused or cut, and the VIP may not move.
under_load() {
  local out=$guest_root.clients moves=$guest_root.moves clients monitor result=0
  ip netns exec "$guest-client" "$here/testing/clients.py" $vip 6033 >"$out" &
  clients=$!
  ip -n "$guest-host" monitor address >"$moves" &
  monitor=$!
  sleep 0.5
  set +e
  (set -e && "$@")
  result=$?
  sleep 1
  kill -TERM $clients $monitor
  wait $clients $monitor
  set -e
  if grep "Deleted.*$vip" "$moves"; then echo "the VIP was removed"; result=1; fi
  grep -q '"refused": 0, "failed": 0' "$out" || result=1
  [ $result = 0 ] || diagnosis
  cat "$out"
  return $result
}

kill_angel() {
  local angel proxyd
  angel=$(main_pid standfast-angel) proxyd=$(proxyd_pid)
  guest kill -KILL "$angel"
  until_true 5 replaced standfast-angel "$angel"
  [ "$(proxyd_pid)" = "$proxyd" ] && guest kill -0 "$proxyd" || { echo "proxyd was $proxyd and is $(proxyd_pid)"; return 1; }
  until_true 5 serving
}

replaced() { local now; now=$(main_pid "$1"); [ "$now" != 0 ] && [ "$now" != "$2" ] && guest systemctl --quiet is-active "$1"; }

kill_proxyd() {
  local proxyd
  proxyd=$(proxyd_pid)
  guest kill -KILL "$proxyd"
  until_true 5 other_proxyd "$proxyd"
  until_true 5 serving
}

other_proxyd() { local now; now=$(proxyd_pid); [ "$now" != "$1" ] && guest kill -0 "$now"; }

kill_vrrpd() {
  local vrrpd
  vrrpd=$(main_pid standfast-vrrpd)
  guest kill -KILL "$vrrpd"
  until_true 5 replaced standfast-vrrpd "$vrrpd"
}

# systemd itself needs a folder there for some kinds of confinement.
full_tmp() {
  local result=0
  guest mount -t tmpfs -o size=4k,nr_inodes=1 none /tmp
  ! guest mkdir /tmp/room 2>/dev/null || result=1
  kill_angel && kill_vrrpd && until_true 5 has_vip || result=1
  guest umount /tmp
  return $result
}

freeze_angel() {
  local angel proxyd
  angel=$(main_pid standfast-angel) proxyd=$(proxyd_pid)
  # After the grace vrrpd takes a silent angel for a dead one, and gives the VIP away.
  guest kill -STOP "$angel"
  until_true 15 replaced standfast-angel "$angel"
  [ "$(proxyd_pid)" = "$proxyd" ]
  until_true 10 has_vip
}

freeze_vrrpd() {
  local vrrpd
  vrrpd=$(main_pid standfast-vrrpd)
  guest kill -STOP "$vrrpd"
  until_true 10 replaced standfast-vrrpd "$vrrpd"
  until_true 10 has_vip
}

restart_often() {
  local proxyd time
  for time in 1 2 3 4 5 6 7 8 9 10; do
    proxyd=$(proxyd_pid)
    guest standfast restart-proxy >/dev/null
    until_true 5 other_proxyd "$proxyd"
    until_true 5 serving || { echo "restart $time"; return 1; }
  done
}

upgrade() {
  local angel proxyd vrrpd before
  angel=$(main_pid standfast-angel) proxyd=$(proxyd_pid) vrrpd=$(main_pid standfast-vrrpd)
  before=$(guest cat /etc/standfast/standfast.toml)
  package_install "$(package_file new)" || return 1
  [ "$(main_pid standfast-angel)" != "$angel" ] || { echo "an old angel runs"; return 1; }
  [ "$(main_pid standfast-vrrpd)" = "$vrrpd" ] || { echo "vrrpd was started anew instead of turning into the new program"; return 1; }
  until_true 5 other_proxyd "$proxyd"
  until_true 5 serving
  [ "$(guest cat /etc/standfast/standfast.toml)" = "$before" ]
  local old
  old=$(guest_sh 'ls -l /proc/[0-9]*/exe 2>/dev/null' | grep 'standfast.*(deleted)' || true)
  [ -z "$old" ] || { echo "$old"; return 1; }
}

upgrade_wrong() {
  local angel proxyd
  angel=$(main_pid standfast-angel) proxyd=$(proxyd_pid)
  guest_sh 'cp -p /etc/standfast/standfast.toml /root/good.toml; echo "nonsense = 1" >>/etc/standfast/standfast.toml'
  package_install "$(package_file old)" || return 1
  guest_sh 'cp -p /root/good.toml /etc/standfast/standfast.toml'
  [ "$(main_pid standfast-angel)" = "$angel" ] && [ "$(proxyd_pid)" = "$proxyd" ] && active
  guest /usr/libexec/standfast/after-upgrade
  until_true 5 other_proxyd "$proxyd"
}

# Neither unit tries again and again, no VIP stays, and the journal says what is wrong.
start_wrong() {
  local unit
  guest systemctl stop $units
  guest_sh 'cp -p /etc/standfast/standfast.toml /root/good.toml; echo "nonsense = 1" >>/etc/standfast/standfast.toml'
  ! guest systemctl start standfast-angel || { echo "it started"; return 1; }
  for unit in $units; do
    guest systemctl start $unit 2>/dev/null || true
    until_true 5 guest systemctl --quiet is-failed $unit
    [ "$(guest systemctl show -p ExecMainStatus --value $unit)" = 78 ] || { guest systemctl status $unit; return 1; }
    [ "$(guest systemctl show -p NRestarts --value $unit)" = 0 ] || { echo "$unit was restarted"; return 1; }
    guest journalctl -o cat -u $unit -n 20 | grep -q 'nonsense' || { guest journalctl -o cat -u $unit -n 20; return 1; }
  done
  no_vip
  guest_sh 'cp -p /root/good.toml /etc/standfast/standfast.toml'
  guest systemctl start $units
  until_true 10 has_vip
}

stop_vrrpd() {
  guest systemctl stop standfast-vrrpd
  no_vip || { diagnosis; return 1; }
  guest systemctl --quiet is-active standfast-angel
  guest systemctl start standfast-vrrpd
  until_true 10 has_vip
}

stop_all() {
  guest systemctl stop $units
  no_vip && nobody_runs || { diagnosis; return 1; }
  guest systemctl start $units
  until_true 10 has_vip
  until_true 5 serving
}

# After a power cut nothing is left in /run: no record, no lock, no store.
booted_again() {
  until_true 30 has_vip
  active
  until_true 5 serving
}

clean_journal() {
  ! guest journalctl -o cat -u standfast-angel -u standfast-vrrpd |
    grep -Ei 'panicked|status=31/SYS|SIGSYS|notify-failed|not-copied|Operation not permitted|Permission denied|event=angel-failed'
}

remove_package() {
  case $part in
    deb) guest dpkg -r standfast ;;
    rpm) guest rpm -e --force-debian standfast ;;
  esac
  no_vip && nobody_runs && guest test -f /etc/standfast/standfast.toml && ! guest test -e /usr/sbin/standfast-angel
}

purge() {
  guest dpkg -P standfast
  local left
  left=$(guest_sh 'find / -xdev -name "*standfast*" -not -path "/proc/*" -not -path "/sys/*" -not -path "/root/*" -not -path "/tmp/*" -not -path "/var/tmp/*"; find /run -name "*standfast*" -not -path "/run/systemd/*"; getent passwd standfast; getent group standfast' || true)
  [ -z "$left" ] || { echo "$left"; return 1; }
}
