//! Two routers of one group, 100 ms adverts, priority 150, first in line.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use configs::Failback;
use health::verdict::Verdict;

use super::*;
use crate::fsm::{Action, Heard, Setup};
use crate::interval::AdvertInterval;
use crate::priority::Priority;

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 77, 0, last))
}

struct Group {
    now: Instant,
    members: [Router; 2],
    /// What the members did, by their places, since the last look.
    done: Vec<(usize, Action)>,
}

impl Group {
    fn new(failback: Failback) -> Group {
        let now = Instant::now();
        let setup = Setup {
            priority: Priority(150),
            weight: 0,
            rank: 0,
            interval: AdvertInterval::from_centiseconds(10).unwrap(),
            failback,
            address: address(12),
            grace: Duration::from_secs(1),
            grouped: true,
        };
        let members = [Router::new(setup.clone(), now), Router::new(setup, now)];
        let mut group = Group { now, members, done: Vec::new() };
        for event in [Event::Link(true), Event::Verdict(Verdict::Serving), Event::Startup] {
            group.tell(0, event);
            group.tell(1, event);
        }
        group
    }

    /// One event, and then whatever follows from it for the others, which must come to an end.
    fn tell(&mut self, place: usize, event: Event) {
        let mut orders = vec![(place, event)];
        for _ in 0..8 {
            for (place, event) in orders {
                self.done.extend(self.members[place].on(self.now, event).map(|action| (place, action)));
            }
            orders = super::orders(self.now, &self.members.each_ref());
            if orders.is_empty() {
                return;
            }
        }
        panic!("no end: {orders:?}");
    }

    fn hear(&mut self, place: usize, priority: u8) {
        let interval = AdvertInterval::from_centiseconds(10).unwrap();
        self.tell(
            place,
            Event::Advert(Heard { priority: Priority(priority), interval, source: address(13) }),
        );
    }

    fn pass(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    fn words(&self) -> [&'static str; 2] {
        self.members.each_ref().map(|it| it.word())
    }

    fn active() -> Group {
        let mut group = Group::new(Failback::AtOnce);
        group.pass(400);
        group.tell(0, Event::Deadline);
        group.tell(1, Event::Deadline);
        assert_eq!(group.words(), ["MASTER"; 2]);
        group.done.clear();
        group
    }
}

#[test]
fn none_takes_over_before_all_may() {
    let mut group = Group::new(Failback::AtOnce);
    group.pass(400);
    group.tell(0, Event::Deadline);
    assert_eq!((group.words(), group.done.len()), (["BACKUP"; 2], 0));
    assert_eq!(group.members[0].next_deadline(), None, "it waits for the others, not for a time");
    group.hear(1, 200);
    group.pass(300);
    group.tell(0, Event::Deadline);
    assert_eq!(group.words(), ["BACKUP"; 2], "the master that one of them hears keeps them all");
    group.pass(100);
    group.tell(1, Event::Deadline);
    assert_eq!(group.words(), ["MASTER"; 2]);
    let installed: Vec<_> = group.done.iter().filter(|(_, it)| *it == Action::InstallVips).collect();
    assert_eq!(installed.len(), 2);
}

#[test]
fn a_master_that_is_heard_again_ends_the_wait() {
    let mut group = Group::new(Failback::AtOnce);
    group.pass(400);
    group.tell(0, Event::Deadline);
    group.hear(0, 200);
    assert!(group.members[0].next_deadline().is_some());
    group.tell(1, Event::Deadline);
    assert_eq!(group.words(), ["BACKUP"; 2]);
}

#[test]
fn a_long_wait_for_the_others_is_no_sleep() {
    let mut group = Group::new(Failback::AtOnce);
    group.pass(400);
    group.tell(0, Event::Deadline);
    group.pass(5_000);
    group.tell(1, Event::Deadline);
    group.pass(400);
    group.tell(1, Event::Deadline);
    assert_eq!(group.words(), ["MASTER"; 2]);
}

#[test]
fn one_that_lets_go_takes_the_others_with_it() {
    let mut group = Group::active();
    group.hear(0, 200);
    assert_eq!(group.words(), ["BACKUP"; 2]);
    assert!(group.done.contains(&(1, Action::RemoveVips)));
    assert!(group.done.contains(&(1, Action::SendAdvert(Priority::RELEASE))));
    assert_eq!(group.members[1].cause(), Cause::GroupLeft);
    group.pass(100);
    group.hear(0, 200);
    group.pass(350);
    group.tell(1, Event::Deadline);
    assert_eq!(group.words(), ["BACKUP"; 2]);
}

#[test]
fn the_fault_of_one_is_the_fault_of_all() {
    for fault in [Event::Link(false), Event::Checks { good: false, weight: 0 }] {
        let mut group = Group::active();
        group.tell(1, fault);
        assert_eq!(group.words(), ["FAULT"; 2]);
        assert_eq!(group.members[0].cause(), Cause::PartnerFault);
        assert!(group.done.contains(&(0, Action::RemoveVips)));
        group.tell(1, Event::Link(true));
        group.tell(1, Event::Checks { good: true, weight: 0 });
        assert_eq!(group.words(), ["BACKUP"; 2]);
    }
}

#[test]
fn an_order_to_all_moves_all() {
    let mut group = Group::new(Failback::Never);
    for place in [0, 1] {
        group.hear(place, 200);
    }
    let now = group.now;
    for member in &mut group.members {
        assert_eq!(member.on(now, Event::Seize).count(), 3);
    }
    assert_eq!(super::orders(now, &group.members.each_ref()), []);
    assert_eq!(group.words(), ["MASTER"; 2]);
}

#[test]
fn one_that_oversleeps_takes_the_others_with_it() {
    let mut group = Group::active();
    group.pass(100);
    group.tell(0, Event::Deadline);
    group.pass(250);
    // Its last advert is 350 ms old, the other's 250 ms.
    group.tell(1, Event::Deadline);
    assert_eq!(group.words(), ["BACKUP"; 2]);
    assert_eq!([0, 1].map(|at| group.members[at].cause()), [Cause::GroupLeft, Cause::Overslept]);
    assert!(group.done.contains(&(0, Action::RemoveVips)));
}
