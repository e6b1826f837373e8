//! What a host sent while its cable was out waits in its kernel for an answer to "who has this address?", which the kernel asks once
//! a second; here once an hour, so that whoever is found has been asked for by vrrpd.

use std::net::UdpSocket;

use super::bed::{Lan, Wire, inside, ip, wait_until};

/// Nobody has it until the cable is back.
const SERVER: &str = "10.77.0.99";

#[test]
fn a_host_whose_cable_is_back_finds_its_neighbours_at_once() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    for wire in [Wire::V4, Wire::V6Unicast] {
        let mut lan = Lan::new("n", wire, 2);
        let hub = format!("{}-hub", lan.name);
        (1..=2).for_each(|host| ask_once_an_hour(&lan, host));
        lan.start(1);
        lan.wait_for(&[1]);
        lan.start(2);
        lan.wait_for_state(2, "BACKUP");
        ip(&format!("-n {hub} link set p1 down"));
        lan.wait_for(&[2]);
        lan.wait_for_state(1, "FAULT");
        let peer = if wire == Wire::V4 { "10.77.0.12" } else { "fd00:77::12" };
        inside(&lan.namespace(1), move || {
            for lost in [peer, SERVER] {
                let any = if lost.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
                UdpSocket::bind(any).unwrap().send_to(b"?", (lost, 9)).unwrap();
            }
        });
        wait_for_table("nobody is known", &lan, |table| table.matches("INCOMPLETE").count() == 2);
        ip(&format!("-n {hub} addr add {SERVER}/24 dev br0"));
        ip(&format!("-n {hub} link set p1 up"));
        wait_for_table("everybody is found", &lan, |table| {
            [peer, SERVER].iter().all(|it| {
                table.lines().any(|line| line.starts_with(&format!("{it} ")) && line.contains("lladdr"))
            })
        });
        lan.wait_for_state(1, "BACKUP");
        lan.say(2, "draining");
        lan.wait_for(&[1]);
    }
}

fn ask_once_an_hour(lan: &Lan, host: usize) {
    for family in ["ipv4", "ipv6"] {
        lan.set(host, &format!("{family}/neigh/eth0/retrans_time_ms"), "3600000");
    }
}

fn wait_for_table(what: &str, lan: &Lan, holds: impl Fn(&str) -> bool) {
    let table = || ip(&format!("-n {} neighbour show dev eth0", lan.namespace(1)));
    wait_until(what, table, || holds(&table()));
}
