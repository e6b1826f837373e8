//! What an operator adds: checks of his own, programs that are told, interfaces that must be up.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use super::bed::{Lan, Wire, ip};

#[test]
fn checks_notifications_and_tracked_interfaces() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("p", Wire::V4, 1);
    let file = |name: &str| lan.run_dir(1).join(name);
    let (flag, told, program) = (file("flag"), file("told"), file("tell"));
    let script = format!("#!/bin/sh\necho \"$@\" \"$(id -u)\" >>{}\n", told.display());
    for (path, text, mode) in [(&flag, "", 0o644), (&told, "", 0o666), (&program, script.as_str(), 0o755)] {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let text = fs::read_to_string(lan.config(1)).unwrap();
    let more = format!(
        "notify = \"{0}\"\nnotify_backup = [\"{0}\", \"own\", \"words\", \"GONE\"]\ntrack_interface = [\"up0\"]\nchecks = [\"flag\", \"spare\"]\n\n[paths]",
        program.display()
    );
    let checks = format!(
        "[[check]]\nname = \"flag\"\ncommand = [\"/usr/bin/test\", \"-e\", \"{}\"]\ninterval_ms = 100\ntimeout_ms = 5000\n\n\
         [[check]]\nname = \"spare\"\ncommand = [\"/bin/sleep\", \"10\"]\ninterval_ms = 100\nweight = -50\n",
        flag.display()
    );
    fs::write(lan.config(1), text.replace("\n[paths]", &more) + &checks).unwrap();
    lan.ip(1, "link add up0 type veth peer name up1");
    lan.ip(1, "link set up1 up");
    lan.start(1);
    lan.wait_for_state(1, "FAULT");
    lan.ip(1, "link set up0 up");
    lan.wait_for_state(1, "MASTER");

    // The one that never ends is bad after two time-outs, and costs priority.
    let end = Instant::now() + Duration::from_secs(5);
    while !lan.ask(1, "status").contains("\"priority\":150,\"since") {
        assert!(Instant::now() < end, "{}", lan.ask(1, "status"));
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(lan.holders(), [1], "less wanted, and nobody else there");
    fs::remove_file(&flag).unwrap();
    lan.wait_for_state(1, "FAULT");
    assert!(lan.ask(1, "why VI_01").contains("check-failed"));
    assert_eq!(lan.holders(), [0; 0]);
    fs::write(&flag, "").unwrap();
    lan.wait_for(&[1]);
    lan.terminate(1);
    let news = fs::read_to_string(&told).unwrap();
    let states: Vec<&str> = news.lines().map(|line| line.split(' ').nth(2).unwrap()).collect();
    let told = ["FAULT", "BACKUP", "GONE", "MASTER", "FAULT", "BACKUP", "GONE", "MASTER", "STOP"];
    assert_eq!(states, told, "{news}");
    let right = |line: &str| {
        line == "own words GONE 65534" || line.starts_with("INSTANCE VI_01 ") && line.ends_with(" 65534")
    };
    assert!(news.lines().all(right), "{news}");
    assert!(ip(&format!("-n {} -o addr show", lan.namespace(1))).contains("10.77.0.11"));
}

/// The kernel's last word before it would kill a real-time process that never pauses: vrrpd goes on as an ordinary one.
#[test]
fn a_host_without_time_to_spare_does_not_lose_its_vrrpd() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("x", Wire::V4, 1);
    lan.start(1);
    lan.wait_for_state(1, "MASTER");
    let pid = lan.daemons[0].as_ref().unwrap().id();
    // Field 41 of proc_pid_stat(5), counted behind the name in parentheses: the scheduling policy.
    let policy = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let (_, behind) = stat.rsplit_once(") ").unwrap();
        behind.split(' ').nth(38).unwrap().parse::<libc::c_int>().unwrap()
    };
    if policy() != libc::SCHED_RR {
        eprintln!("skipped: no real-time scheduling here");
        return;
    }
    lan.signal(1, "-XCPU");
    let end = Instant::now() + Duration::from_secs(5);
    while policy() != libc::SCHED_OTHER {
        assert!(Instant::now() < end, "policy {}", policy());
        thread::sleep(Duration::from_millis(10));
    }
    lan.wait_for_state(1, "MASTER");
    assert_eq!(lan.holders(), [1]);
    lan.terminate(1);
    lan.wait_for(&[]);
}
