use std::time::Duration;

use super::super::decide::{Fault, Finding, Judge, Limits, read_only_query, read_only_value};
use crate::runtime::{Address, ServerChange};
use crate::snapshot::Status;

const LIMITS: Limits = Limits { ping_max_failures: 3, read_only_max_timeout_count: 3 };

fn timeout() -> Fault {
    Fault::Timeout(Duration::from_millis(800))
}

fn status(status: Status, reason: &str) -> Finding {
    Finding::Change(ServerChange::Status { address: Address::sample("db1"), status, reason: reason.into() })
}

fn read_only(answer: bool) -> Vec<Finding> {
    let change =
        ServerChange::ReadOnly { writer_hostgroup: 10, address: Address::sample("db1"), read_only: answer };
    vec![Finding::Change(change)]
}

fn unheard() -> Finding {
    Finding::Change(ServerChange::Unheard { writer_hostgroup: 10, address: Address::sample("db1") })
}

#[test]
fn three_missed_pings_shun_and_one_answer_brings_back() {
    let mut judge = Judge::new(Address::sample("db1"));
    assert_eq!(judge.on_ping(&Err(timeout()), LIMITS), []);
    assert_eq!(judge.on_ping(&Err(Fault::Unreachable("cannot connect".into())), LIMITS), []);
    let third = judge.on_ping(&Err(timeout()), LIMITS);
    assert_eq!(third, [status(Status::Shunned, "3 pings missed, the last: no answer in 800 ms")]);
    assert!(judge.is_shunned());
    assert_eq!(judge.on_ping(&Err(timeout()), LIMITS), []);

    let latency = Finding::Change(ServerChange::Latency { address: Address::sample("db1"), micros: 250 });
    let back = judge.on_ping(&Ok(Duration::from_micros(250)), LIMITS);
    assert_eq!(back, [latency.clone(), status(Status::Online, "")]);
    assert!(!judge.is_shunned());
    assert_eq!(judge.on_ping(&Ok(Duration::from_micros(250)), LIMITS), [latency]);
    assert_eq!(judge.on_ping(&Err(timeout()), LIMITS), []);
}

#[test]
fn missed_pings_count_only_in_a_row() {
    let mut judge = Judge::new(Address::sample("db1"));
    for _ in 0..5 {
        assert_eq!(judge.on_ping(&Err(timeout()), LIMITS), []);
        assert_eq!(judge.on_ping(&Err(timeout()), LIMITS), []);
        assert_eq!(judge.on_ping(&Ok(Duration::ZERO), LIMITS).len(), 1);
    }
}

#[test]
fn a_server_that_refuses_the_monitor_is_alive() {
    let denied = || Err(Fault::Answered("1045 (28000): Access denied".into()));
    let mut judge = Judge::new(Address::sample("db1"));
    for _ in 0..5 {
        assert_eq!(judge.on_ping(&denied(), LIMITS), []);
    }
    for _ in 0..3 {
        judge.on_ping(&Err(timeout()), LIMITS);
    }
    assert!(judge.is_shunned());
    assert_eq!(judge.on_ping(&denied(), LIMITS), [status(Status::Online, "")]);
}

#[test]
fn no_answer_about_read_only_changes_nothing_and_is_told_once() {
    let mut judge = Judge::new(Address::sample("db1"));
    assert_eq!(judge.on_read_only(10, &Ok(false), LIMITS), read_only(false));
    for check in 1..=20 {
        let finding = judge.on_read_only(10, &Err(timeout()), LIMITS);
        match (check, finding.as_slice()) {
            (1 | 2, []) => {}
            (3, [unheard, Finding::Warn(text)]) if *unheard == self::unheard() => {
                assert!(text.contains("db1:3306"));
            }
            (4.., [finding]) if *finding == unheard() => {}
            (_, other) => panic!("check {check}: {other:?}"),
        }
    }
    assert_eq!(judge.on_read_only(10, &Ok(true), LIMITS), read_only(true));
    assert_eq!(judge.on_read_only(10, &Err(timeout()), LIMITS), []);
}

#[test]
fn what_the_monitors_said_is_taken_back_when_they_stop() {
    let mut judge = Judge::new(Address::sample("db1"));
    assert_eq!(judge.retire(), None);
    for _ in 0..3 {
        judge.on_ping(&Err(timeout()), LIMITS);
    }
    assert_eq!(judge.retire().map(Finding::Change), Some(status(Status::Online, "")));
    assert_eq!(judge.retire(), None);
}

#[test]
fn limits_of_zero_count_as_one() {
    let none = Limits { ping_max_failures: 0, read_only_max_timeout_count: 0 };
    assert_eq!(Judge::new(Address::sample("db1")).on_ping(&Err(timeout()), none).len(), 1);
    assert!(Judge::new(Address::sample("db1")).on_read_only(10, &Err(timeout()), none).len() == 2);
}

#[test]
fn nobody_at_its_address_is_known_at_once_and_a_wrong_password_says_nothing() {
    let refused = Err(Fault::Refused("connection refused".into()));
    assert_eq!(Judge::new(Address::sample("db1")).on_read_only(10, &refused, LIMITS), [unheard()]);
    let mut judge = Judge::new(Address::sample("db1"));
    for _ in 0..10 {
        let denied = Err(Fault::Answered("1045 access denied".into()));
        let findings = judge.on_read_only(10, &denied, LIMITS);
        assert!(!findings.contains(&unheard()), "{findings:?}");
    }
}

#[test]
fn any_answer_is_a_sign_of_life() {
    let mut judge = Judge::new(Address::sample("db1"));
    for _ in 0..10 {
        assert_eq!(judge.on_ping(&Err(timeout()), LIMITS), []);
        assert_eq!(judge.on_ping(&Err(timeout()), LIMITS), []);
        assert_eq!(judge.alive(), None);
    }
    for _ in 0..3 {
        judge.on_ping(&Err(timeout()), LIMITS);
    }
    assert!(judge.is_shunned());
    assert_eq!(judge.alive(), Some(status(Status::Online, "")));
}

#[test]
fn values_of_read_only() {
    for off in ["0", "OFF", "off"] {
        assert_eq!(read_only_value(off), Some(false));
    }
    for on in ["1", "2", "ON", "NO_LOCK", "NO_LOCK_NO_ADMIN", "no_lock"] {
        assert_eq!(read_only_value(on), Some(true));
    }
    for other in ["", "maybe", "-1", "ÄÖÜÄÖÜ"] {
        assert_eq!(read_only_value(other), None);
    }
    assert_eq!(read_only_query("super_read_only"), Some("SELECT @@global.super_read_only read_only"));
    assert_eq!(read_only_query("; DROP"), None);
}
