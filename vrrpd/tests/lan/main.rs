//! Hosts in network namespaces, with the real binary, a real kernel and a liveness feed of our own.
//!
//! Needs root and `ip`; without root it says so and passes. The big lab is in `vm-tests`.

mod acceptance;
mod balance;
mod bed;
mod crowd;
mod groups;
mod malformed;
mod neighbours;
mod operators;
mod renewal;
mod rivals;
mod routing;
mod virtual_mac;

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use bed::{Lan, VIP, VIP_V6, Wire, calm, connection, inside, ip};

#[test]
fn two_hosts_and_one_vip() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("", Wire::V4, 2);
    lan.start(1);
    lan.wait_for(&[1]);
    lan.start(2);
    thread::sleep(Duration::from_millis(1_000));
    assert_eq!(lan.holders(), [1]);

    // A killed vrrpd that is back inside the interval: the VIP never moves, and never leaves the interface.
    lan.kill(1);
    assert!(lan.command(1).arg("--cleanup").status().unwrap().success());
    lan.start(1);
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(lan.holders(), [1]);
        thread::sleep(Duration::from_millis(10));
    }

    lan.say(1, "restarting");
    thread::sleep(Duration::from_millis(400));
    assert_eq!(lan.holders(), [1], "inside the grace");
    let mut events = lan.follow(2);
    lan.say(1, "draining");
    lan.wait_for(&[2]);
    let told = events.find(|line| line.contains("\"event\":\"state\"")).unwrap();
    assert!(told.contains("\"next\":\"MASTER\"") && told.contains("master-resigned"), "{told}");
    let status = lan.ask(2, "status");
    assert!(status.contains("\"transitions\":[{") && status.contains("\"name\":\"test1\""), "{status}");
    lan.say(1, "serving");

    // An operator moves it there and back; adverts are 200 ms apart.
    lan.wait_for_state(1, "BACKUP");
    assert!(lan.ask(1, "seize VI_01").contains("\"ok\":true"));
    lan.wait_for(&[1]);
    lan.wait_for_state(2, "BACKUP");
    assert!(lan.ask(1, "yield VI_01 test9").contains("test2 comes first"));
    thread::sleep(Duration::from_millis(1_000));
    let began = Instant::now();
    assert!(lan.ask(1, "yield VI_01 test2").contains("\"ok\":true"));
    lan.wait_for(&[2]);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert!(lan.ask(1, "yield VI_01").contains("not MASTER"));

    // A clean stop.
    thread::sleep(Duration::from_millis(500));
    lan.terminate(2);
    lan.wait_for(&[1]);

    // A killed vrrpd that stays dead: its address does not.
    lan.start(2);
    thread::sleep(Duration::from_millis(500));
    lan.kill(1);
    assert!(lan.command(1).arg("--cleanup").status().unwrap().success());
    lan.wait_for(&[2]);
}

/// What people and other programs do to the interfaces of a master: FAULT and back, by what is there now.
#[test]
fn one_host_and_what_befalls_its_interfaces() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("f", Wire::V4, 1);
    lan.ip(1, "link set eth0 down");
    lan.ip(1, "link set eth0 name late0");
    lan.start(1);
    lan.wait_for_state(1, "FAULT");
    lan.ip(1, "link set late0 name eth0");
    lan.ip(1, "link set eth0 up");
    lan.wait_for_state(1, "MASTER");
    lan.wait_for(&[1]);

    let began = Instant::now();
    lan.ip(1, &format!("addr del {VIP}/32 dev eth0"));
    lan.wait_for(&[1]);
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    assert!(lan.ask(1, "status").contains("\"state\":\"MASTER\""));

    // Somebody else put the VIP there, with another prefix; it goes with the link all the same.
    lan.ip(1, &format!("addr add {VIP}/24 dev eth0"));
    lan.ip(1, &format!("addr del {VIP}/32 dev eth0"));
    lan.ip(1, "link set eth0 down");
    lan.wait_for_state(1, "FAULT");
    lan.wait_for(&[]);
    lan.ip(1, "link set eth0 up");
    lan.wait_for(&[1]);

    // The host's own address goes: so does the VIP, at once, though its router has lost its home by then.
    lan.ip(1, "addr del 10.77.0.11/24 dev eth0");
    lan.wait_for_state(1, "FAULT");
    assert_eq!(lan.holders(), [0; 0]);
    lan.ip(1, "addr add 10.77.0.11/24 dev eth0");
    lan.wait_for(&[1]);

    // A renamed interface is the same to a router that goes by the host's address.
    lan.ip(1, "link set eth0 down");
    lan.ip(1, "link set eth0 name wan0");
    lan.ip(1, "link set wan0 up");
    lan.wait_for_state(1, "MASTER");
    lan.ip(1, "link set wan0 down");
    lan.ip(1, "link set wan0 name eth0");
    lan.ip(1, "link set eth0 up");
    lan.wait_for(&[1]);

    // Asleep for longer than its peers wait: it lets go before it looks at anything else, and competes again.
    lan.signal(1, "-STOP");
    thread::sleep(Duration::from_millis(1_500));
    lan.signal(1, "-CONT");
    lan.wait_for(&[]);
    lan.wait_for(&[1]);
    assert!(lan.ask(1, "failback VI_01").contains("not BACKUP"));
    let why = lan.ask(1, &format!("why {VIP}"));
    assert!(why.contains("\"owner\":\"test1\"") && why.contains("\"cause\":\"master-down\""), "{why}");
    assert!(lan.ask(1, "why 10.9.9.9").contains("no VIP"));
}

/// One VIP beside the adverts, one on another interface: both or none.
#[test]
fn a_vip_on_another_interface() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("o", Wire::V4, 1);
    let text = fs::read_to_string(lan.config(1)).unwrap();
    let two = format!("[\"{VIP}/32\", \"10.78.0.88/24 dev other0\"]");
    fs::write(lan.config(1), text.replace(&format!("\"{VIP}/32\""), &two)).unwrap();
    lan.start(1);
    lan.wait_for_state(1, "FAULT");
    lan.ip(1, "link add other0 type veth peer name peer0");
    lan.ip(1, "link set peer0 up");
    lan.ip(1, "link set other0 up");
    lan.wait_for_state(1, "MASTER");
    lan.wait_for(&[1]);
    let namespace = lan.namespace(1);
    let other = || ip(&format!("-n {namespace} -4 -o addr show dev other0"));
    assert!(other().contains(" 10.78.0.88/24 "), "{}", other());
    lan.ip(1, "link set other0 down");
    lan.wait_for_state(1, "FAULT");
    assert_eq!((lan.holders().len(), other().len()), (0, 0));
    lan.ip(1, "link set other0 up");
    lan.wait_for_state(1, "MASTER");
    lan.terminate(1);
    assert_eq!((lan.holders().len(), other().len()), (0, 0));
}

/// IPv6, both ways: takeover, a neighbour that learns of it, a resignation, and no adverts dropped.
#[test]
fn ipv6_by_unicast_and_by_multicast() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    for (label, wire) in [("u", Wire::V6Unicast), ("m", Wire::V6Multicast)] {
        let mut lan = Lan::new(label, wire, 2);
        let hub = format!("{}-hub", lan.name);
        ip(&format!("-n {hub} addr add fd00:77::99/64 dev br0 nodad"));
        lan.start(1);
        lan.wait_for(&[1]);
        let shown = ip(&format!("-n {} -6 -o addr show dev eth0", lan.namespace(1)));
        let vip = shown.lines().find(|line| line.contains(VIP_V6)).unwrap();
        assert!(!vip.contains("tentative") && vip.contains("deprecated") && vip.contains("/64"), "{vip}");
        let dial = ["timeout", "2", "bash", "-c", &format!("</dev/tcp/{VIP_V6}/1")];
        let dialled = Command::new("ip").args(["netns", "exec", &hub]).args(dial).output().unwrap();
        assert!(String::from_utf8_lossy(&dialled.stderr).contains("refused"), "{dialled:?}");
        let neighbour = || ip(&format!("-n {hub} -6 neigh show {VIP_V6}"));
        let first = neighbour();
        assert!(first.contains("lladdr"), "{first}");
        lan.start(2);
        lan.wait_for_state(2, "BACKUP");
        thread::sleep(Duration::from_millis(1_000));
        assert_eq!(lan.holders(), [1], "{wire:?}");
        let (served, mut client) = connection(&lan.namespace(1), &hub);
        lan.say(1, "draining");
        lan.wait_for(&[2]);
        let ended = client.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(
            ended,
            Err(ErrorKind::ConnectionReset),
            "a client learns at once that its server has moved"
        );
        drop(served);
        thread::sleep(Duration::from_millis(300));
        let second = neighbour();
        assert!(second.contains("lladdr") && second != first, "told by nobody but the new master: {second}");
        let status = lan.ask(2, "status");
        let fine = ["\"ip_ttl_err\":0", "\"checksum_err\":0", "\"addr_list_err\":0", "\"pri_zero_rcvd\":1"];
        assert!(fine.iter().all(|counter| status.contains(counter)), "{status}");
        assert!(
            status.contains("\"master\":\"test2\""),
            "by its name, whatever address it sends from: {status}"
        );
        lan.terminate(2);
        lan.wait_for(&[]);
        lan.say(1, "serving");
        lan.wait_for(&[1]);
        lan.terminate(1);
        assert_eq!(lan.holders(), [0; 0]);
    }
}

/// `kill -9` of a master's vrrpd, which nobody starts again: the VIP answers all the time, but for the moment in which it moves.
#[test]
fn a_killed_master_that_stays_dead_leaves_no_gap_and_no_second_owner() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("k", Wire::V4, 3);
    let hub = format!("{}-hub", lan.name);
    ip(&format!("-n {hub} addr add 10.77.0.99/24 dev br0"));
    lan.start(1);
    lan.wait_for(&[1]);
    (2..=3).for_each(|host| lan.start(host));
    (2..=3).for_each(|host| lan.wait_for_state(host, "BACKUP"));
    calm();
    let vip: SocketAddr = format!("{VIP}:1").parse().unwrap();
    // "Refused" is an answer; who waits in vain for one asks again.
    let asks = inside(&hub, move || {
        thread::spawn(move || {
            let (end, mut last, mut longest) =
                (Instant::now() + Duration::from_secs(3), Instant::now(), Duration::ZERO);
            while Instant::now() < end {
                let answer = TcpStream::connect_timeout(&vip, Duration::from_millis(20));
                if answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                }
                thread::sleep(Duration::from_millis(2));
            }
            longest.max(last.elapsed())
        })
    });
    thread::sleep(Duration::from_millis(300));
    let killed = Instant::now();
    lan.kill(1);
    assert!(lan.command(1).arg("--cleanup").status().unwrap().success());
    lan.wait_for(&[2]);
    assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
    while killed.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(lan.holders(), [2]);
        thread::sleep(Duration::from_millis(10));
    }
    let longest = asks.join().unwrap();
    assert!(
        longest < Duration::from_millis(600),
        "without an answer for {longest:?}: adverts are 200 ms apart"
    );
}

/// Interfaces of other kinds: a bridge, a VLAN and a bond carry adverts and VIPs like any other.
#[test]
fn a_bridge_a_vlan_and_a_bond() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let kinds = [
        ("bridge", "type bridge forward_delay 0"),
        ("vlan", "link eth0 type vlan id 7"),
        ("bond", "type bond mode active-backup"),
    ];
    for (kind, words) in kinds {
        let mut lan = Lan::new("v", Wire::V4, 2);
        for host in [1, 2] {
            lan.ip(host, "addr flush dev eth0");
            lan.ip(host, &format!("link add name up0 {words}"));
            if kind != "vlan" {
                lan.ip(host, "link set eth0 down");
                lan.ip(host, "link set eth0 master up0");
            }
            lan.ip(host, "link set eth0 up");
            lan.ip(host, "link set up0 up");
            lan.ip(host, &format!("addr add 10.77.0.1{host}/24 dev up0"));
        }
        if ip(&format!("-n {} link show up0", lan.namespace(1))).is_empty() {
            eprintln!("skipped: this kernel has no {kind}");
            continue;
        }
        let has = |lan: &Lan, host: usize| {
            ip(&format!("-n {} -o addr show dev up0", lan.namespace(host))).contains(&format!(" {VIP}/"))
        };
        lan.start(1);
        lan.wait_for_state(1, "MASTER");
        lan.start(2);
        lan.wait_for_state(2, "BACKUP");
        calm();
        assert!(has(&lan, 1) && !has(&lan, 2), "{kind}");
        lan.ip(1, "link set up0 down");
        lan.wait_for_state(1, "FAULT");
        lan.wait_for_state(2, "MASTER");
        assert!(!has(&lan, 1) && has(&lan, 2), "{kind}");
        lan.ip(1, "link set up0 up");
        lan.wait_for_state(1, "BACKUP");
    }
}
