//! Two that think they are it: after a split, and because somebody took the address by hand.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::bed::{Lan, VIP, Wire, ip};

#[test]
fn a_split_heals_with_one_winner_and_both_are_told_of() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("s", Wire::V4, 2);
    let hub = format!("{}-hub", lan.name);
    let split = |word: &str| {
        for port in ["p1", "p2"] {
            ip(&format!("-n {hub} link set dev {port} type bridge_slave isolated {word}"));
        }
    };
    lan.start(1);
    lan.wait_for(&[1]);
    lan.start(2);
    lan.wait_for_state(2, "BACKUP");
    split("on");
    lan.wait_for(&[1, 2]);
    thread::sleep(Duration::from_millis(1_000));
    let mut events = lan.follow(1);
    split("off");
    lan.wait_for(&[1]);
    // Whoever hears the other first knows of it: the winner, or the one that then lets go.
    let counted = |host: usize| !lan.ask(host, "status").contains("\"split_brain\":0");
    assert!(counted(1) || counted(2), "{} {}", lan.ask(1, "status"), lan.ask(2, "status"));
    lan.wait_for_state(2, "BACKUP");
    assert!(lan.ask(2, "status").contains("\"cause\":\"higher-priority\""));

    // Somebody gives the address to another machine, which then speaks to a third.
    ip(&format!("-n {hub} addr add {VIP}/24 dev br0"));
    let dial = ["netns", "exec", &hub, "timeout", "1", "bash", "-c", "</dev/tcp/10.77.0.12/1"];
    let end = Instant::now() + Duration::from_secs(10);
    let is_told = || lan.ask(1, "status").contains("\"vip_conflict\":0");
    while is_told() {
        assert!(Instant::now() < end, "{}", lan.ask(1, "status"));
        ip(&format!("-n {hub} neigh flush dev br0"));
        Command::new("ip").args(dial).output().unwrap();
    }
    let told = events.find(|line| line.contains("\"event\":\"vip-conflict\"")).unwrap();
    assert!(told.contains(VIP), "{told}");
    assert_eq!(lan.holders(), [1]);
}
