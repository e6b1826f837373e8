//! Routes and rules that come and go with a VIP.

use std::fs;

use super::bed::{Lan, VIP, Wire, calm, ip};

/// The routes of table 100, the holes of table 101, and the rule, as this host has them.
fn shown(lan: &Lan, host: usize) -> String {
    let ip = |words: &str| ip(&format!("-n {} {words}", lan.namespace(host)));
    let rules: String =
        ip("rule").lines().filter(|line| line.contains("lookup 100")).map(str::to_owned).collect();
    format!("{}{}{rules}", ip("route show table 100"), ip("route show table 101"))
}

fn has_all(text: &str) -> bool {
    let all = [
        "default via 10.77.0.99 dev eth0",
        "src 10.77.0.88",
        "blackhole 10.99.0.0/16",
        "from 10.77.0.88 lookup 100",
    ];
    all.iter().all(|it| text.contains(it))
}

#[test]
fn routes_and_rules_are_where_the_vip_is() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("t", Wire::V4, 2);
    for host in [1, 2] {
        let text = fs::read_to_string(lan.config(host)).unwrap();
        let more = format!(
            "routes = [\"default via 10.77.0.99 dev eth0 src {VIP} table 100\", \"blackhole 10.99.0.0/16 table 101\"]\n\
             rules = [\"from {VIP} table 100 priority 1000\"]\n\n[paths]"
        );
        fs::write(lan.config(host), text.replace("[paths]", &more)).unwrap();
    }
    // Somebody else's route is neither replaced nor removed.
    lan.ip(1, "route add 10.98.0.0/16 via 10.77.0.98 table 101");
    lan.start(1);
    lan.wait_for(&[1]);
    lan.wait_until("all of it", || has_all(&shown(&lan, 1)));
    lan.start(2);
    lan.wait_for_state(2, "BACKUP");
    assert_eq!(shown(&lan, 2), "");

    // Lost with the link's address or taken by somebody: there again.
    lan.ip(1, "route flush table 100");
    lan.ip(1, &format!("addr del {VIP}/32 dev eth0"));
    lan.wait_until("all of it again", || has_all(&shown(&lan, 1)));

    // It moves with the VIP.
    calm();
    assert!(lan.ask(1, "yield VI_01").contains("\"ok\":true"));
    lan.wait_for(&[2]);
    lan.wait_until("it moved", || has_all(&shown(&lan, 2)));
    let left = shown(&lan, 1);
    assert!(left.contains("10.98.0.0/16") && left.lines().count() == 1, "{left}");

    // A reload takes away what it no longer names, and the VIP stays.
    let text = fs::read_to_string(lan.config(2)).unwrap();
    fs::write(lan.config(2), text.replace(", \"blackhole 10.99.0.0/16 table 101\"", "")).unwrap();
    let mut events = lan.follow(2);
    lan.signal(2, "-HUP");
    events.find(|line| line.contains("\"event\":\"reload\"")).unwrap();
    lan.wait_until("less of it", || {
        !shown(&lan, 2).contains("blackhole") && shown(&lan, 2).contains("default via")
    });
    assert_eq!(lan.holders(), [2]);

    // A vrrpd that is killed and back in time keeps it, one that stays dead does not.
    lan.kill(2);
    lan.start(2);
    lan.wait_for_state(2, "MASTER");
    lan.wait_until("all of the rest", || shown(&lan, 2).contains("src 10.77.0.88"));
    lan.kill(2);
    assert!(lan.command(2).arg("--cleanup").status().unwrap().success());
    lan.wait_for(&[1]);
    lan.wait_until("nothing is left", || shown(&lan, 2).is_empty());
    lan.terminate(1);
    assert_eq!(shown(&lan, 1).lines().count(), 1, "{}", shown(&lan, 1));
}
