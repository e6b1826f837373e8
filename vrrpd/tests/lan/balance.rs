//! A VIP that all hosts have and one announces. Whether connections are spread is seen where the kernel has IPVS; where it
//! has not, the owner says so and serves alone.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bed::{Lan, VIP, Wire, ip};

fn wait_until(what: &str, lan: &Lan, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}: {} {}", lan.ask(1, "status"), lan.ask(2, "status"));
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_balanced_vip_is_on_every_loopback_and_one_link() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("l", Wire::V4, 2);
    let hub = format!("{}-hub", lan.name);
    ip(&format!("-n {hub} addr add 10.77.0.99/24 dev br0"));
    for host in [1, 2] {
        let text = fs::read_to_string(lan.config(host)).unwrap();
        fs::write(lan.config(host), text.replace("[vrrp]\n", "[vrrp]\nbalance = \"ipvs\"\n")).unwrap();
        lan.ip(host, "link set lo up");
        lan.start(host);
    }
    let shown = |lan: &Lan, host: usize, on: &str| {
        ip(&format!("-n {} -o addr show dev {on}", lan.namespace(host))).contains(&format!(" {VIP}/32 "))
    };
    lan.wait_for(&[1]);
    lan.wait_for_state(2, "BACKUP");
    wait_until("both loopbacks", &lan, || shown(&lan, 1, "lo") && shown(&lan, 2, "lo"));

    // The owner alone answers for it.
    let mac = |lan: &Lan, host: usize| {
        let text = ip(&format!("-n {} -o link show dev eth0", lan.namespace(host)));
        text.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().to_owned()
    };
    let asks = |owner: &str| {
        ip(&format!("-n {hub} neigh flush all"));
        let dial = format!("</dev/tcp/{VIP}/1");
        let command = ["netns", "exec", &hub, "timeout", "2", "bash", "-c", &dial];
        let answer = Command::new("ip").args(command).output().unwrap();
        let neighbour = ip(&format!("-n {hub} neigh show {VIP}"));
        String::from_utf8_lossy(&answer.stderr).contains("refused") && neighbour.contains(owner)
    };
    assert!(asks(&mac(&lan, 1)));

    let balance = |host: usize| {
        let status: Value = serde_json::from_str(&lan.ask(host, "status")).unwrap();
        status["balance"].clone()
    };
    if Path::new("/proc/net/ip_vs").exists() {
        wait_until("a service", &lan, || balance(1)["services"] == 1);
    } else {
        wait_until("a reason", &lan, || balance(1)["error"].to_string().contains("has no IPVS"));
    }
    assert_eq!(
        (&balance(2)["services"], &balance(2)["error"]),
        (&Value::from(0), &Value::Null),
        "not the owner"
    );

    thread::sleep(Duration::from_millis(800));
    assert!(lan.ask(1, "yield VI_01").contains("\"ok\":true"));
    lan.wait_for(&[2]);
    assert!(asks(&mac(&lan, 2)));
    lan.terminate(1);
    assert!(!shown(&lan, 1, "lo"));
    lan.kill(2);
    assert!(lan.command(2).arg("--cleanup").status().unwrap().success());
    wait_until("nothing left", &lan, || !shown(&lan, 2, "lo") && !shown(&lan, 2, "eth0"));
}
