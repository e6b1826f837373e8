//! VIPs that move together.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::bed::{Lan, VIP, Wire, calm, ip, patience};

const OTHER: &str = "10.77.0.89";

/// Which hosts have the first VIP, and which the second.
fn holders(lan: &Lan) -> [Vec<usize>; 2] {
    [VIP, OTHER].map(|vip| {
        let shown = |host: &usize| ip(&format!("-n {} -o addr show dev eth0", lan.namespace(*host)));
        (1..=2).filter(|host| shown(host).contains(&format!(" {vip}/"))).collect()
    })
}

fn wait_for_both(lan: &Lan, host: usize) {
    let end = Instant::now() + patience();
    while holders(lan) != [[host], [host]] {
        let status = lan.ask(host, "status");
        assert!(Instant::now() < end, "expected both on {host}, found {:?}: {status}", holders(lan));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_sync_group_is_here_or_there() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("g", Wire::V4, 2);
    for host in [1, 2] {
        let text = fs::read_to_string(lan.config(host)).unwrap();
        let second = format!(
            "[[vip]]\nname = \"VI_02\"\naddress = \"{OTHER}/32\"\nprefer = [\"test1\", \"test2\"]\n\
             track_interface = [\"up0\"]\n\n[paths]"
        );
        let text = text.replace("[vrrp]\n", "[vrrp]\nsync = \"both\"\n").replace("[paths]", &second);
        fs::write(lan.config(host), text).unwrap();
        lan.ip(host, "link add up0 type veth peer name up1");
        lan.ip(host, "link set up1 up");
        lan.ip(host, "link set up0 up");
        lan.start(host);
    }
    wait_for_both(&lan, 1);
    lan.wait_for_state(2, "BACKUP");
    calm();

    // What one of them misses, both miss.
    lan.ip(1, "link set up0 down");
    lan.wait_for_state(1, "FAULT");
    wait_for_both(&lan, 2);
    assert!(lan.ask(1, "why VI_01").contains("partner-fault"));
    lan.ip(1, "link set up0 up");
    lan.wait_for_state(1, "BACKUP");
    calm();

    // An order for one is an order for both.
    assert!(lan.ask(1, "seize VI_01").contains("\"ok\":true"));
    wait_for_both(&lan, 1);
    calm();
    assert_eq!(holders(&lan), [[1], [1]]);
    assert!(lan.ask(1, "yield VI_02").contains("\"ok\":true"));
    wait_for_both(&lan, 2);

    // A master that dies leaves both.
    calm();
    lan.kill(2);
    assert!(lan.command(2).arg("--cleanup").status().unwrap().success());
    wait_for_both(&lan, 1);
    lan.terminate(1);
    assert_eq!(holders(&lan), [[0; 0], [0; 0]]);
}
