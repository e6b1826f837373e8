//! Another program or another configuration, and the VIP stays where it is.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::bed::{Lan, VIP, Wire};

/// For so long nobody but host 1 has the VIP, and host 1 always has it.
fn stays(lan: &Lan, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert_eq!(lan.holders(), [1]);
        thread::sleep(Duration::from_millis(2));
    }
}

fn change(lan: &Lan, host: usize, from: &str, to: &str) {
    let text = fs::read_to_string(lan.config(host)).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(lan.config(host), text.replace(from, to)).unwrap();
}

#[test]
fn a_new_program_takes_over_without_a_gap() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("r", Wire::V4, 2);
    lan.start(1);
    lan.wait_for(&[1]);
    lan.start(2);
    lan.wait_for_state(2, "BACKUP");
    thread::sleep(Duration::from_millis(300));
    for _ in 0..5 {
        lan.signal(1, "-USR2");
        stays(&lan, Duration::from_millis(300));
        lan.wait_for_state(1, "MASTER");
        assert!(lan.ask(1, "status").contains("\"cause\":\"resume\""));
    }
    let other = lan.ask(2, "status");
    assert!(other.contains("\"become_master\":0"), "{other}");

    // A program that refuses the configuration does not get its turn.
    let mut events = lan.follow(1);
    change(&lan, 1, "advert_ms", "advert_sm");
    lan.signal(1, "-USR2");
    stays(&lan, Duration::from_millis(300));
    // Nor does a configuration that is wrong.
    lan.signal(1, "-HUP");
    let told = events.find(|line| line.contains("\"event\":\"reload\"")).unwrap();
    assert!(told.contains("\"ok\":false") && told.contains("advert_sm"), "{told}");
    stays(&lan, Duration::from_millis(100));

    // Killed, and nobody can read the file any more: the clean-up knows what was there.
    lan.kill(1);
    let run_dir = lan.run_dir(1);
    let mut cleanup = lan.command(1);
    cleanup.arg("--cleanup").env("RUNTIME_DIRECTORY", &run_dir);
    assert!(cleanup.status().unwrap().success());
    lan.wait_for(&[2]);
    assert_eq!(lan.command(1).status().unwrap().code(), Some(78), "a wrong configuration is not retried");
}

#[test]
fn a_new_configuration_touches_only_what_it_changes() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("c", Wire::V4, 2);
    lan.start(1);
    lan.wait_for(&[1]);
    lan.start(2);
    lan.wait_for_state(2, "BACKUP");
    let mut events = lan.follow(1);
    let mut reload = |lan: &Lan| {
        lan.signal(1, "-HUP");
        events.find(|line| line.contains("\"event\":\"reload\"")).unwrap()
    };
    let told = reload(&lan);
    assert!(told.contains("\"changed\":[]"), "{told}");
    let more = "[[vip]]\nname = \"VI_02\"\naddress = \"10.77.0.89/32\"\n\n[paths]";
    change(&lan, 1, "[paths]", more);
    let told = reload(&lan);
    assert!(told.contains("\"changed\":[\"VI_02\"]"), "{told}");
    stays(&lan, Duration::from_millis(800));
    let both = || super::ip(&format!("-n {} -o addr show dev eth0", lan.namespace(1)));
    let end = Instant::now() + Duration::from_secs(5);
    while !both().contains(" 10.77.0.89/") {
        assert!(Instant::now() < end, "{}", lan.ask(1, "status"));
        thread::sleep(Duration::from_millis(10));
    }

    // A master takes another address and another interval in place.
    change(&lan, 1, &format!("\"{VIP}/32\""), &format!("[\"{VIP}/32\", \"10.77.0.90/32\"]"));
    let told = reload(&lan);
    assert!(told.contains("\"changed\":[\"VI_01\"]"), "{told}");
    assert!(both().contains(" 10.77.0.90/") && both().contains(" 10.77.0.89/"), "{}", both());
    stays(&lan, Duration::from_millis(800));
    change(&lan, 1, &format!("[\"{VIP}/32\", \"10.77.0.90/32\"]"), &format!("\"{VIP}/32\""));
    change(&lan, 1, more, "[paths]");
    let told = reload(&lan);
    assert!(told.contains("VI_01") && told.contains("VI_02"), "{told}");
    assert!(!both().contains(" 10.77.0.90/") && !both().contains(" 10.77.0.89/"), "{}", both());
    stays(&lan, Duration::from_millis(800));

    // What needs a restart says so.
    change(&lan, 1, "[paths]", "[paths]\ndata_dir = \"/elsewhere\"");
    assert!(reload(&lan).contains("restart"));
    stays(&lan, Duration::from_millis(50));
}
