//! One claim each. Times are bounds that a busy machine keeps too; what a quiet one does is printed by the drills.

use std::fs;
use std::io::{Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::fake;
use crate::rig::{Client, Rig, until};
use crate::store::Store;

pub(crate) const ALL: [(&str, fn()); 14] = [
    ("a_start_serves_and_says_so", a_start_serves_and_says_so),
    ("a_killed_proxy_is_replaced_and_nobody_is_refused", a_killed_proxy_is_replaced_and_nobody_is_refused),
    ("a_stopped_proxy_is_found_and_replaced", a_stopped_proxy_is_found_and_replaced),
    ("two_crashes_are_a_crash_loop", two_crashes_are_a_crash_loop),
    ("a_proxy_that_never_starts_is_down_but_tried_again", a_proxy_that_never_starts_is_down_but_tried_again),
    (
        "a_killed_angel_takes_its_proxy_back_from_the_store",
        a_killed_angel_takes_its_proxy_back_from_the_store,
    ),
    (
        "a_killed_angel_takes_its_proxy_back_without_a_store",
        a_killed_angel_takes_its_proxy_back_without_a_store,
    ),
    ("an_adopted_proxy_is_watched_like_a_child", an_adopted_proxy_is_watched_like_a_child),
    ("a_proxy_with_other_listeners_is_not_kept", a_proxy_with_other_listeners_is_not_kept),
    ("drain_and_undrain", drain_and_undrain),
    ("stop_says_draining_and_leaves_nothing", stop_says_draining_and_leaves_nothing),
    ("restart_proxy_is_no_crash", restart_proxy_is_no_crash),
    ("a_proxy_that_is_told_to_end_is_no_crash", a_proxy_that_is_told_to_end_is_no_crash),
    ("bad_requests_and_a_second_angel_change_nothing", bad_requests_and_a_second_angel_change_nothing),
];

/// A proxy that has been ready for a second counts as proven.
fn let_it_prove_itself() {
    thread::sleep(Duration::from_millis(1050));
}

fn a_start_serves_and_says_so() {
    let mut rig = Rig::new();
    fs::write(rig.file(fake::NO_BACKEND), "").unwrap();
    rig.start();
    let status = rig.wait_for("serving");
    assert_eq!(status["restarts"], 0);
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
    assert_eq!(status["proxy"]["adopted"], false);
    // All backends gone for the grace.
    let changes = rig.subscribe().changes_until("degraded", "no-backend");
    assert_eq!(changes, ["serving ready", "degraded no-backend"]);
}

fn a_killed_proxy_is_replaced_and_nobody_is_refused() {
    let rig = Rig::started();
    let_it_prove_itself();
    let old = rig.proxy();
    let mut feed = rig.subscribe();
    feed.next();
    let client = Client::start(rig.address);
    thread::sleep(Duration::from_millis(50));
    kill(old, Signal::SIGKILL).unwrap();
    let changes = feed.changes_until("restarting", "signal");
    assert_eq!(changes.last().unwrap(), "restarting signal");
    assert_eq!(feed.changes_until("serving", "ready"), ["serving ready"]);
    assert_ne!(rig.proxy(), old);
    assert_eq!(rig.status()["restarts"], 1);
    thread::sleep(Duration::from_millis(50));
    let seen = client.stop();
    println!("kill -9: {seen:?}");
    assert_eq!(seen.refused, 0);
    assert!(seen.broken <= 1, "only the one in flight: {seen:?}");
    assert!(seen.longest < Duration::from_millis(500), "{seen:?}");
}

fn a_stopped_proxy_is_found_and_replaced() {
    let rig = Rig::started();
    let_it_prove_itself();
    let old = rig.proxy();
    let mut feed = rig.subscribe();
    feed.next();
    let client = Client::start(rig.address);
    kill(old, Signal::SIGSTOP).unwrap();
    feed.changes_until("restarting", "hung");
    assert_eq!(feed.changes_until("serving", "ready"), ["serving ready"]);
    assert_ne!(rig.proxy(), old);
    thread::sleep(Duration::from_millis(50));
    let seen = client.stop();
    println!("SIGSTOP: {seen:?}");
    assert_eq!(seen.refused, 0);
    assert!(seen.longest < Duration::from_millis(1200), "{seen:?}");
}

fn two_crashes_are_a_crash_loop() {
    let rig = Rig::started();
    let_it_prove_itself();
    let mut feed = rig.subscribe();
    kill(rig.proxy(), Signal::SIGKILL).unwrap();
    feed.changes_until("restarting", "signal");
    feed.changes_until("serving", "ready");
    kill(rig.proxy(), Signal::SIGKILL).unwrap();
    assert_eq!(feed.changes_until("down", "recovering"), ["down crash-loop", "down recovering"]);
    assert_eq!(rig.status()["restarts"], 2);
}

fn a_proxy_that_never_starts_is_down_but_tried_again() {
    let mut rig = Rig::new();
    fs::write(rig.file(fake::CRASH), "").unwrap();
    rig.start();
    rig.wait_for("crash-loop");
    until("a third try", || rig.ask("status").filter(|status| status["restarts"].as_u64() >= Some(3)));
    assert_eq!(rig.status()["last_ending"], "exit-code");
    fs::remove_file(rig.file(fake::CRASH)).unwrap();
    rig.wait_for("recovering");
}

fn a_killed_angel_takes_its_proxy_back_from_the_store() {
    let mut rig = Rig::new();
    rig.store = Some(Store::new(&rig.file("notify")));
    rig.start();
    rig.wait_for("serving");
    let store = rig.store.as_mut().unwrap();
    store.drain();
    let names = store.names();
    assert_eq!(names.len(), 5, "{names:?}");
    assert!(names.contains(&"heartbeat") && names.contains(&"proxyd"), "{names:?}");
    assert!(store.said.contains(&"READY=1".to_owned()), "{:?}", store.said);

    let proxy = rig.proxy();
    let client = Client::start(rig.address);
    // Were it not from the store, there would be nothing to take the proxy back by.
    fs::remove_file(rig.file("run/proxyd.pid")).unwrap();
    rig.kill_angel();
    thread::sleep(Duration::from_millis(100));
    rig.start();
    let status = rig.wait_for("serving");
    assert_eq!(rig.proxy(), proxy);
    assert_eq!(status["proxy"]["adopted"], true);
    let seen = client.stop();
    assert_eq!((seen.refused, seen.broken), (0, 0), "{seen:?}");

    // The listeners of the second angel are those of the first: a new proxy serves on them.
    let_it_prove_itself();
    kill(proxy, Signal::SIGKILL).unwrap();
    until("a new proxy", || (rig.proxy() != proxy).then_some(()));
    rig.wait_for("serving");
    let store = rig.store.as_mut().unwrap();
    store.drain();
    assert_eq!(store.names().len(), 5, "{:?}", store.names());
    kill(rig.angel_pid(), Signal::SIGTERM).unwrap();
    assert!(rig.angel.take().unwrap().wait().unwrap().success());
    let store = rig.store.as_mut().unwrap();
    store.drain();
    assert!(store.names().is_empty(), "{:?}", store.names());
    assert!(store.said.contains(&"STOPPING=1".to_owned()));
}

fn a_killed_angel_takes_its_proxy_back_without_a_store() {
    let mut rig = Rig::started();
    let proxy = rig.proxy();
    let client = Client::start(rig.address);
    rig.kill_angel();
    thread::sleep(Duration::from_millis(100));
    rig.start();
    rig.wait_for("serving");
    // Copying another process's descriptors is for root only; anybody else gets a new proxy.
    if nix::unistd::geteuid().is_root() {
        assert_eq!(rig.proxy(), proxy);
        let seen = client.stop();
        assert_eq!((seen.refused, seen.broken), (0, 0), "{seen:?}");
    } else {
        assert_ne!(rig.proxy(), proxy);
        client.stop();
    }
}

fn an_adopted_proxy_is_watched_like_a_child() {
    let mut rig = Rig::started();
    rig.kill_angel();
    rig.start();
    rig.wait_for("serving");
    let proxy = rig.proxy();
    kill(proxy, Signal::SIGSTOP).unwrap();
    let begin = Instant::now();
    until("a new proxy", || rig.ask("status").filter(|_| rig.proxy() != proxy));
    assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
    rig.wait_for("serving");
}

fn a_proxy_with_other_listeners_is_not_kept() {
    let mut rig = Rig::started();
    let proxy = rig.proxy();
    rig.kill_angel();
    let text = fs::read_to_string(rig.file("standfast.toml")).unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(rig.file("standfast.toml"), text.replace(&rig.address.to_string(), &other.to_string()))
        .unwrap();
    rig.start();
    rig.wait_for("serving");
    assert_ne!(rig.proxy(), proxy);
    assert!(rig.log().contains("event=old-proxy-stopped"), "{}", rig.log());
    assert!(std::net::TcpStream::connect(other).is_ok());
    assert!(std::net::TcpStream::connect(rig.address).is_err());
}

fn drain_and_undrain() {
    let mut rig = Rig::started();
    let proxy = rig.proxy();
    let mut feed = rig.subscribe();
    assert_eq!(rig.ask("drain").unwrap()["verdict"], "draining");
    feed.changes_until("draining", "operator");
    rig.kill_angel();
    rig.start();
    rig.wait_for("draining");
    if nix::unistd::geteuid().is_root() {
        assert_eq!(rig.proxy(), proxy);
    }
    assert_eq!(rig.ask("undrain").unwrap()["verdict"], "serving");
}

fn stop_says_draining_and_leaves_nothing() {
    let mut rig = Rig::started();
    let mut feed = rig.subscribe();
    feed.next();
    let begin = Instant::now();
    kill(rig.angel_pid(), Signal::SIGTERM).unwrap();
    feed.changes_until("draining", "stopping");
    assert!(begin.elapsed() < Duration::from_millis(200), "{:?}", begin.elapsed());
    assert!(rig.angel.take().unwrap().wait().unwrap().success());
    assert!(!rig.file("run/proxyd.pid").exists() && !rig.file("run/angel.sock").exists());
    assert!(std::net::TcpStream::connect(rig.address).is_err());
}

fn restart_proxy_is_no_crash() {
    let rig = Rig::started();
    for restart in 1..=3 {
        let old = rig.proxy();
        assert_eq!(rig.ask("restart-proxy").unwrap()["cause"], "restart-asked");
        until("a new proxy", || (rig.proxy() != old).then_some(()));
        assert_eq!(rig.wait_for("serving")["restarts"], restart);
    }
    let old = rig.proxy();
    kill(rig.angel_pid(), Signal::SIGHUP).unwrap();
    until("a new proxy", || (rig.proxy() != old).then_some(()));
}

fn a_proxy_that_is_told_to_end_is_no_crash() {
    let rig = Rig::started();
    let mut feed = rig.subscribe();
    let client = Client::start(rig.address);
    for _ in 0..2 {
        let_it_prove_itself();
        kill(rig.proxy(), Signal::SIGTERM).unwrap();
        feed.changes_until("restarting", "exited");
        feed.changes_until("serving", "ready");
    }
    let seen = client.stop();
    assert_eq!((seen.refused, seen.broken), (0, 0), "{seen:?}");
    assert_eq!(rig.status()["last_ending"], "exited");
}

fn bad_requests_and_a_second_angel_change_nothing() {
    let rig = Rig::started();
    let proxy = rig.proxy();
    for garbage in [&b"\xff\xfe\n"[..], &[b'x'; 5000], b"DRAIN\n", b"\n"] {
        let mut stream = rig.connect().unwrap();
        let _ = stream.write_all(garbage);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        if garbage.len() < 256 {
            assert!(answer.starts_with(b"{\"error\""), "{garbage:?}");
        }
    }
    let silent: Vec<_> = (0..70).map(|_| rig.connect()).collect();
    drop(silent);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_standfast-angel"))
        .arg("--config")
        .arg(rig.file("standfast.toml"))
        .args(["--host", "test1"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(71));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another angel"), "{second:?}");
    assert_eq!(rig.proxy(), proxy);
    assert_eq!(rig.status()["verdict"], "serving");
}
