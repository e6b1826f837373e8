use std::time::{Duration, Instant};

use super::super::schedule::{Intervals, Kind, Schedule};

const SECOND: Duration = Duration::from_secs(1);

fn intervals() -> Intervals {
    Intervals {
        read_only: Some(SECOND),
        galera: Some(5 * SECOND),
        group_replication: Some(5 * SECOND),
        aurora: None,
        lag: Some(10 * SECOND),
        ping: Some(8 * SECOND),
        connect: Some(120 * SECOND),
    }
}

#[test]
fn everything_is_due_at_the_start_roles_first() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    for kind in [Kind::ReadOnly, Kind::Galera, Kind::GroupReplication, Kind::Lag, Kind::Ping, Kind::Connect] {
        assert_eq!(schedule.next(now, intervals()), Some((kind, now)));
        schedule.began(kind, now, 26);
    }
    assert_eq!(schedule.next(now, intervals()), Some((Kind::ReadOnly, now + SECOND)));
}

#[test]
fn a_wait_is_shortened_by_a_tenth_at_most() {
    let now = Instant::now();
    for random in 0..1000 {
        let mut schedule = Schedule::default();
        schedule.began(Kind::Ping, now, random);
        let only_ping = Intervals {
            read_only: None,
            galera: None,
            group_replication: None,
            aurora: None,
            lag: None,
            connect: None,
            ..intervals()
        };
        let Some((Kind::Ping, due)) = schedule.next(now, only_ping) else { panic!() };
        assert!((Duration::from_millis(7180)..=8 * SECOND).contains(&(due - now)));
    }
}

#[test]
fn a_changed_interval_holds_at_once() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.began(Kind::Ping, now, 26);
    let slow = Intervals {
        read_only: None,
        galera: None,
        group_replication: None,
        lag: None,
        connect: None,
        ..intervals()
    };
    let fast = Intervals { ping: Some(SECOND), ..slow };
    assert_eq!(schedule.next(now, slow), Some((Kind::Ping, now + 8 * SECOND)));
    assert_eq!(schedule.next(now, fast), Some((Kind::Ping, now + SECOND)));
    schedule.hurry(Kind::Ping);
    assert_eq!(schedule.next(now, slow), Some((Kind::Ping, now + SECOND / 10)));
    let none = Intervals { ping: None, ..slow };
    assert_eq!(schedule.next(now, none), None);
}
