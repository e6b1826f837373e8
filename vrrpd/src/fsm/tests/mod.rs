//! Every row of both tables, with literal numbers: 100 ms adverts, priority 150, rank 1, address .12, grace 1 s.
//!
//! Skew_Time is 41,406.25 us, Active_Down_Interval 341,406.25 us, one back-off slot 25 ms.

mod active;
mod backup;
mod fitness;
mod operators;
mod time;
mod why;

use std::net::Ipv4Addr;

use super::*;
use crate::interval::AdvertInterval;

const SKEW: Duration = Duration::from_nanos(41_406_250);
const DOWN: Duration = Duration::from_nanos(341_406_250);
const SLOT: Duration = Duration::from_millis(25);

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
}

fn setup() -> Setup {
    Setup {
        priority: Priority(150),
        weight: 0,
        rank: 1,
        interval: AdvertInterval::from_centiseconds(10).unwrap(),
        failback: Failback::AtOnce,
        address: address(12),
        grace: ms(1000),
        grouped: false,
    }
}

fn heard(priority: u8, last: u8) -> Event {
    heard_every(priority, last, 10)
}

fn heard_every(priority: u8, last: u8, centiseconds: u16) -> Event {
    let interval = AdvertInterval::from_centiseconds(centiseconds).unwrap();
    Event::Advert(Heard { priority: Priority(priority), interval, source: address(last) })
}

fn send(priority: u8) -> Action {
    Action::SendAdvert(Priority(priority))
}

fn on(router: &mut Router, now: Instant, event: Event) -> Vec<Action> {
    router.on(now, event).collect()
}

const LET_GO: [Action; 4] = [
    Action::ResetConnections,
    Action::RemoveVips,
    Action::SendAdvert(Priority::RELEASE),
    Action::ResetConnections,
];

fn take_over(priority: u8) -> Vec<Action> {
    vec![send(priority), Action::InstallVips, Action::Announce]
}

/// Not started, but link up and proxy live.
fn initialize(setup: Setup) -> (Router, Instant) {
    let now = Instant::now();
    let mut router = Router::new(setup, now);
    assert_eq!(on(&mut router, now, Event::Link(true)), []);
    assert_eq!(on(&mut router, now, Event::Verdict(Verdict::Serving)), []);
    assert_eq!(router.word(), "INIT");
    (router, now)
}

fn backup(setup: Setup) -> (Router, Instant) {
    let (mut router, now) = initialize(setup);
    assert_eq!(on(&mut router, now, Event::Startup), []);
    assert_eq!(router.word(), "BACKUP");
    (router, now)
}

fn active(setup: Setup) -> (Router, Instant) {
    let (mut router, now) = backup(setup);
    let at = router.next_deadline().unwrap();
    assert!(at > now);
    let priority = router.priority().0;
    assert_eq!(on(&mut router, at, Event::Deadline), take_over(priority));
    assert_eq!(router.word(), "MASTER");
    (router, at)
}

fn down_at(router: &Router) -> Instant {
    match router.state() {
        State::Backup(backup) => backup.down_at,
        other => panic!("not a backup: {other:?}"),
    }
}

fn advert_at(router: &Router) -> Instant {
    match router.state() {
        State::Active(active) => active.advert_at,
        other => panic!("not active: {other:?}"),
    }
}

#[test]
fn initialize_startup() {
    let (mut owner, now) = initialize(Setup { priority: Priority::OWNER, rank: 0, ..setup() });
    assert_eq!(on(&mut owner, now, Event::Startup), take_over(255));
    assert_eq!(advert_at(&owner), now + ms(100));

    let (router, now) = backup(setup());
    assert_eq!(down_at(&router), now + DOWN + SLOT, "rank 1 knows of no master yet: rank 0 goes first");
    let (router, now) = backup(Setup { rank: 0, ..setup() });
    assert_eq!(down_at(&router), now + DOWN);
}

#[test]
fn initialize_ignores_the_rest() {
    let (mut router, now) = initialize(setup());
    for event in
        [Event::Shutdown, Event::Deadline, heard(200, 11), heard(0, 11), Event::VipsLost, Event::Takeover]
    {
        assert_eq!(on(&mut router, now, event), []);
        assert_eq!((router.word(), router.next_deadline()), ("INIT", None));
    }
}
