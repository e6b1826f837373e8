//! What makes a host fit: its proxy, its link, the operator's checks.

use super::*;

#[test]
fn verdicts_in_initialize_and_backup() {
    let (mut router, now) = backup(setup());
    for (verdict, cause) in [(Verdict::Down, Cause::ProxyDown), (Verdict::Draining, Cause::Draining)] {
        assert_eq!(on(&mut router, now, Event::Verdict(verdict)), []);
        assert_eq!((router.word(), router.cause(), router.next_deadline()), ("FAULT", cause, None));
        assert_eq!(on(&mut router, now + ms(10_000), heard(0, 11)), [], "does not compete");
        assert_eq!(on(&mut router, now, Event::Verdict(Verdict::Degraded)), []);
        assert_eq!(down_at(&router), now + DOWN + SLOT, "as Startup");
    }
    on(&mut router, now, Event::Verdict(Verdict::Restarting));
    assert_eq!(on(&mut router, now + ms(600), Event::Deadline), [], "a backup that restarts takes nothing");
    assert_eq!(router.word(), "BACKUP");
    assert_eq!(
        on(&mut router, now + ms(700), Event::Verdict(Verdict::Serving)),
        take_over(150),
        "it was due"
    );
}

#[test]
fn verdicts_in_active() {
    for (verdict, cause) in [(Verdict::Down, Cause::ProxyDown), (Verdict::Draining, Cause::Draining)] {
        let (mut router, now) = active(setup());
        assert_eq!(on(&mut router, now + ms(10), Event::Verdict(verdict)), LET_GO);
        assert_eq!((router.word(), router.cause()), ("FAULT", cause));
    }
    let (mut router, now) = active(setup());
    for verdict in [Verdict::Degraded, Verdict::Restarting, Verdict::Serving, Verdict::Restarting] {
        assert_eq!(on(&mut router, now + ms(10), Event::Verdict(verdict)), []);
        assert_eq!(router.word(), "MASTER");
    }
    let mut last = Vec::new();
    let mut wake_ups = 0..100;
    while router.word() == "MASTER" {
        assert!(wake_ups.next().is_some(), "it is woken up again and again, and nothing ends");
        let at = router.next_deadline().unwrap();
        assert!(at <= now + ms(1010), "the grace ends a second after the second Restarting");
        last = on(&mut router, at, Event::Deadline);
    }
    assert_eq!((last, router.cause()), (LET_GO.to_vec(), Cause::GraceOver));
}

#[test]
fn the_grace_does_not_begin_anew_with_every_report() {
    let (mut router, now) = active(setup());
    for step in 0..10 {
        let reported = now + ms(100 * step);
        on(&mut router, reported, Event::Deadline);
        assert_eq!(on(&mut router, reported, Event::Verdict(Verdict::Restarting)), []);
    }
    assert_eq!(on(&mut router, now + ms(1_000), Event::Deadline), LET_GO);
    assert_eq!(router.cause(), Cause::GraceOver);
}

#[test]
fn link_rows() {
    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now, Event::Link(false)), []);
    assert_eq!((router.word(), router.cause()), ("FAULT", Cause::LinkDown));
    assert_eq!(on(&mut router, now + ms(500), Event::Link(true)), []);
    assert_eq!(down_at(&router), now + ms(500) + DOWN + SLOT);
    let (mut router, now) = active(setup());
    assert_eq!(on(&mut router, now, Event::Link(false)), LET_GO);
    assert_eq!(router.word(), "FAULT");
}

/// The article: host 1 is 101 with a dead proxy, host 3 is 99 + 2 with a live one, and host 1's address is greater.
#[test]
fn tie_trap() {
    let article = |priority, last| Setup {
        priority: Priority(priority),
        weight: 2,
        rank: 101 - priority,
        address: address(last),
        ..setup()
    };
    let (mut dead, now) = active(article(101, 235));
    assert_eq!(dead.priority(), Priority(103));
    assert_eq!(on(&mut dead, now, Event::Verdict(Verdict::Down)), LET_GO);
    assert_eq!(dead.priority(), Priority(101));
    let (mut live, start) = backup(article(99, 11));
    assert_eq!(live.priority(), Priority(101));
    for event in [heard(101, 11), heard(0, 11)] {
        assert_eq!(on(&mut dead, now + ms(10), event), []);
        assert_eq!(on(&mut dead, now + ms(60_000), Event::Deadline), []);
    }
    assert_eq!(dead.word(), "FAULT");
    on(&mut live, start, heard(0, 235));
    let at = live.next_deadline().unwrap();
    assert_eq!(on(&mut live, at, Event::Deadline), take_over(101));
}

#[test]
fn the_operators_checks() {
    let (mut router, now) = active(setup());
    let checks = |good, weight| Event::Checks { good, weight };
    assert_eq!(on(&mut router, now + ms(10), checks(true, -60)), []);
    assert_eq!(on(&mut router, now + ms(100), Event::Deadline), [send(90), Action::Announce], "less wanted");
    assert_eq!(on(&mut router, now + ms(110), checks(false, 0)), LET_GO);
    assert_eq!((router.word(), router.cause()), ("FAULT", Cause::CheckFailed));
    assert_eq!(on(&mut router, now + ms(120), Event::Verdict(Verdict::Serving)), []);
    assert_eq!(router.word(), "FAULT");
    assert_eq!(on(&mut router, now + ms(130), checks(true, 0)), []);
    assert_eq!((router.word(), router.priority()), ("BACKUP", Priority(150)));
}
