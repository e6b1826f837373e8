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
        "notify = \"{}\"\ntrack_interface = [\"up0\"]\nchecks = [\"flag\", \"spare\"]\n\n[paths]",
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
    assert_eq!(states, ["FAULT", "BACKUP", "MASTER", "FAULT", "BACKUP", "MASTER", "STOP"], "{news}");
    assert!(
        news.lines().all(|line| line.starts_with("INSTANCE VI_01 ") && line.ends_with(" 65534")),
        "{news}"
    );
    assert!(ip(&format!("-n {} -o addr show", lan.namespace(1))).contains("10.77.0.11"));
}
