//! The rows of Active, and announcements.

use super::*;

#[test]
fn active_shutdown_lets_go_in_order() {
    let (mut router, now) = active(setup());
    assert_eq!(on(&mut router, now, Event::Startup), []);
    assert_eq!(on(&mut router, now + ms(10), Event::Shutdown), LET_GO);
    assert_eq!((router.word(), router.cause()), ("INIT", Cause::Shutdown));
}

#[test]
fn active_deadline_and_resignation_of_another() {
    let (mut router, now) = active(setup());
    assert_eq!(on(&mut router, now + ms(40), Event::Deadline), [], "before its time");
    assert_eq!(on(&mut router, now + ms(100), Event::Deadline), [send(150), Action::Announce]);
    assert_eq!(advert_at(&router), now + ms(200));
    assert_eq!(on(&mut router, now + ms(100), Event::Deadline), [], "repeated");
    assert_eq!(on(&mut router, now + ms(130), heard(0, 13)), [send(150)]);
    assert_eq!(advert_at(&router), now + ms(230));
}

#[test]
fn active_hears_a_rival() {
    for (event, master) in [(heard(151, 11), 11), (heard(150, 13), 13), (heard(255, 1), 1)] {
        let (mut router, now) = active(setup());
        let (reset, remove) = (Action::ResetConnections, Action::RemoveVips);
        assert_eq!(on(&mut router, now + ms(10), event), [reset, remove, send(150), reset]);
        assert_eq!((router.word(), router.cause()), ("BACKUP", Cause::HigherPriority));
        assert_eq!(router.master(), Some(address(master)));
    }
    for event in [heard(149, 13), heard(150, 11)] {
        let (mut router, now) = active(setup());
        let rival = now + ms(10);
        assert_eq!(on(&mut router, rival, event), [send(150), Action::Announce]);
        assert_eq!(advert_at(&router), now + ms(100), "untouched");
        assert_eq!(announcements(&mut router, rival, 2_000), [50, 200, 500, 1_000]);
    }
}

#[test]
fn equal_priorities_are_decided_by_the_address_that_is_sent_from() {
    let (mut router, now) = active(setup());
    router.set_address(address(14));
    assert_eq!(on(&mut router, now + ms(10), heard(150, 13)), [send(150), Action::Announce]);
    assert_eq!(router.master(), Some(address(14)));
}

/// When it announces, in milliseconds from `from`, driven by its own deadlines.
fn announcements(router: &mut Router, from: Instant, until_ms: u64) -> Vec<u128> {
    let mut found = Vec::new();
    while let Some(at) = router.next_deadline().filter(|at| *at <= from + ms(until_ms)) {
        if on(router, at, Event::Deadline).contains(&Action::Announce) {
            found.push((at - from).as_millis());
        }
    }
    found
}

#[test]
fn announcements_after_a_takeover() {
    let (mut router, now) = active(setup());
    assert_eq!(announcements(&mut router, now, 26_000), [50, 200, 1_000, 5_000, 15_000, 25_000]);
}

#[test]
fn a_loser_is_silent() {
    let (mut router, now) = active(setup());
    on(&mut router, now + ms(10), heard(200, 11));
    for step in 1..40 {
        let at = now + ms(10 + 50 * step);
        assert_eq!(on(&mut router, at, heard(200, 11)), []);
        assert_eq!(on(&mut router, at, Event::Deadline), []);
    }
}

#[test]
fn lost_vips_come_back() {
    let (mut router, now) = active(setup());
    let at = now + ms(10);
    assert_eq!(on(&mut router, at, Event::VipsLost), [Action::InstallVips, Action::Announce]);
    assert_eq!(advert_at(&router), now + ms(100));
    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now, Event::VipsLost), []);
}
