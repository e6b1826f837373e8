//! VIPs whose MASTER takes nothing for them.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::bed::{Lan, VIP, VIP_V6, Wire, ip};

fn in_namespace(namespace: &str, words: &[&str]) -> String {
    let output = Command::new("ip").args(["netns", "exec", namespace]).args(words).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// A host beside the two asks a closed port: "refused" is an answer of one that takes packets.
fn answers(lan: &Lan, address: &str) -> bool {
    let dial = format!("</dev/tcp/{address}/1");
    in_namespace(&format!("{}-hub", lan.name), &["timeout", "0.5", "bash", "-c", &dial]).contains("refused")
}

/// A reload with another word for `accept`.
fn reload(lan: &Lan, accept: bool) {
    let text = fs::read_to_string(lan.config(1)).unwrap();
    let (old, new) = (format!("accept = {}", !accept), format!("accept = {accept}"));
    fs::write(lan.config(1), text.replace(&old, &new)).unwrap();
    let mut events = lan.follow(1);
    lan.signal(1, "-HUP");
    let told = events.find(|line| line.contains("\"event\":\"reload\"")).unwrap();
    assert!(told.contains("VI_01"), "{told}");
    lan.wait_for_state(1, "MASTER");
}

#[test]
fn a_vip_that_is_announced_and_not_accepted() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let four = (Wire::V4, "n", VIP, "10.77.0.11", "10.77.0.99/24");
    let six = (Wire::V6Unicast, "o", VIP_V6, "fd00:77::11", "fd00:77::99/64 nodad");
    for (wire, label, vip, host, own) in [four, six] {
        let mut lan = Lan::new(label, wire, 2);
        let (hub, first) = (format!("{}-hub", lan.name), lan.namespace(1));
        let (address, more) = own.split_once(' ').unwrap_or((own, ""));
        ip(&format!("-n {hub} addr add {address} dev br0 {more}"));
        let text = fs::read_to_string(lan.config(1)).unwrap();
        fs::write(lan.config(1), text.replace("[vrrp]\n", "[vrrp]\naccept = false\n")).unwrap();
        lan.start(1);
        lan.wait_for(&[1]);
        let status = || serde_json::from_str::<Value>(&lan.ask(1, "status")).unwrap()["acceptance"].clone();
        if status()["error"].to_string().contains("has no nftables") {
            eprintln!("skipped: this kernel has no nftables");
            return;
        }
        assert!(status()["refused"].to_string().contains(vip), "{}", status());

        // It is found, and says nothing. The host's own address is as it was.
        lan.wait_until("the host", || answers(&lan, host));
        assert!(!answers(&lan, vip));
        let mac = ip(&format!("-n {first} -o link show dev eth0"));
        let mac = mac.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().to_owned();
        let neighbour = || ip(&format!("-n {hub} neigh show {vip}"));
        lan.wait_until("its neighbour", || neighbour().contains(&mac));
        // A neighbour that is asked at its address, not by the group's, answers, too.
        ip(&format!("-n {hub} neigh replace {vip} lladdr {mac} dev br0 nud probe"));
        assert!(!answers(&lan, vip));
        lan.wait_until("a neighbour that is reached", || neighbour().contains("REACHABLE"));

        // Rules that somebody has flushed, or put others in the place of, come back.
        if in_namespace(&first, &["nft", "list", "tables"]).contains("inet standfast") {
            let rule = || {
                let all = in_namespace(&first, &["nft", "-a", "list", "ruleset"]);
                let rule = all.lines().find(|line| line.contains(&format!("{vip} drop")))?;
                rule.rsplit_once(' ').map(|(_, handle)| handle.to_owned())
            };
            assert_eq!(in_namespace(&first, &["nft", "flush", "ruleset"]), "");
            lan.wait_until("rules", || rule().is_some());
            assert!(!answers(&lan, vip));
            let other = ["nft", "replace", "rule", "inet", "standfast", "input", "handle", &rule().unwrap()];
            assert_eq!(
                in_namespace(&first, &[&other[..], &["ip", "daddr", "203.0.113.1", "drop"]].concat()),
                ""
            );
            lan.wait_until("its own rule", || rule().is_some());
            assert!(!answers(&lan, vip));
        }
        reload(&lan, true);
        lan.wait_until("an answer", || answers(&lan, vip));
        reload(&lan, false);
        assert!(!answers(&lan, vip));

        // Killed and back in time, and stopped: then nothing is left of it.
        lan.kill(1);
        lan.start(1);
        lan.wait_for_state(1, "MASTER");
        assert!(!answers(&lan, vip));
        lan.terminate(1);
        ip(&format!("-n {first} addr add {vip} dev eth0 nodad"));
        lan.wait_until("an answer without vrrpd", || answers(&lan, vip));
    }
}
