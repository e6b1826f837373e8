//! VIPs with a MAC address of their own.

use std::fs;
use std::process::Command;

use super::bed::{Lan, VIP, VIP_V6, Wire, calm, ip};

/// A host beside the two asks a closed port of the VIP: "refused" is an answer.
fn answers(lan: &Lan, vip: &str) -> bool {
    let dial = format!("</dev/tcp/{vip}/1");
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &format!("{}-hub", lan.name), "timeout", "1", "bash", "-c", &dial]);
    String::from_utf8_lossy(&command.output().unwrap().stderr).contains("refused")
}

#[test]
fn a_vip_keeps_its_mac_address_wherever_it_is() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let four = (Wire::V4, "a", VIP, "vrrp.51", "00:00:5e:00:01:33", "10.77.0.99/24");
    let six = (Wire::V6Unicast, "b", VIP_V6, "vrrp6.51", "00:00:5e:00:02:33", "fd00:77::99/64 nodad");
    for (wire, label, vip, name, mac, own) in [four, six] {
        let mut lan = Lan::new(label, wire, 2);
        let hub = format!("{}-hub", lan.name);
        let (address, more) = own.split_once(' ').unwrap_or((own, ""));
        ip(&format!("-n {hub} addr add {address} dev br0 {more}"));
        for host in [1, 2] {
            let text = fs::read_to_string(lan.config(host)).unwrap();
            fs::write(lan.config(host), text.replace("[vrrp]\n", "[vrrp]\nmac = \"virtual\"\n")).unwrap();
        }
        let has = |lan: &Lan, host: usize| {
            ip(&format!("-n {} -o addr show dev {name}", lan.namespace(host))).contains(&format!(" {vip}/"))
        };
        let neighbour = || ip(&format!("-n {hub} neigh show {vip}"));
        lan.start(1);
        lan.wait_until("the first", || has(&lan, 1));
        lan.wait_until("an answer", || answers(&lan, vip));
        assert!(neighbour().contains(mac), "{}", neighbour());
        lan.start(2);
        lan.wait_for_state(2, "BACKUP");
        calm();

        // It moves, and the client's entry stays what it was.
        assert!(lan.ask(1, "yield VI_01").contains("\"ok\":true"));
        lan.wait_until("the second", || has(&lan, 2) && !has(&lan, 1));
        lan.wait_until("an answer of the second", || answers(&lan, vip));
        assert!(neighbour().contains(mac), "{}", neighbour());
        let idle = ip(&format!("-n {} link show dev {name}", lan.namespace(1)));
        assert!(idle.contains("state DOWN"), "no sign of the address where it is not: {idle}");

        // Killed and back in time it stays, killed for good it goes, interface and all.
        lan.kill(2);
        lan.start(2);
        lan.wait_for_state(2, "MASTER");
        assert!(has(&lan, 2) && !has(&lan, 1));
        lan.kill(2);
        assert!(lan.command(2).arg("--cleanup").status().unwrap().success());
        lan.wait_until("the first again", || has(&lan, 1));
        lan.wait_until("nothing left", || {
            ip(&format!("-n {} link show dev {name}", lan.namespace(2))).is_empty()
        });
        lan.wait_until("an answer of the first", || answers(&lan, vip));
        lan.terminate(1);
        assert_eq!(ip(&format!("-n {} link show dev {name}", lan.namespace(1))), "");
        lan.wait_until("as it was", || lan.arp(1) == "0 0" && lan.arp(2) == "0 0");
    }
}
