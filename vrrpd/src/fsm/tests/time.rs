//! Time that was lost: a process that was away, slept, or is late.

use super::*;

#[test]
fn resume_takes_up_at_once_but_only_when_fit() {
    let now = Instant::now();
    let mut router = Router::new(setup(), now);
    on(&mut router, now, Event::Link(true));
    assert_eq!(on(&mut router, now, Event::Resume), take_over(150), "before the first verdict");
    assert_eq!((router.word(), router.cause()), ("MASTER", Cause::Resume));

    let mut router = Router::new(setup(), now);
    assert_eq!(on(&mut router, now, Event::Resume), []);
    assert_eq!((router.word(), router.cause()), ("FAULT", Cause::LinkDown));
}

#[test]
fn oversleeping() {
    let (mut router, now) = active(setup());
    on(&mut router, now + ms(100), Event::Deadline);
    let late = now + ms(100) + ms(301);
    assert_eq!(on(&mut router, late, Event::Deadline), [Action::RemoveVips, Action::ResetConnections]);
    assert_eq!((router.word(), router.cause()), ("BACKUP", Cause::Overslept));
    assert_eq!(down_at(&router), late + DOWN + SLOT, "listens before it competes");

    let (mut router, now) = active(setup());
    assert_eq!(
        on(&mut router, now + ms(300), Event::Deadline),
        [send(150), Action::Announce],
        "late, not too late"
    );

    let (mut router, now) = backup(setup());
    let late = now + DOWN + SLOT + DOWN + ms(1);
    assert_eq!(on(&mut router, late, Event::Deadline), []);
    assert_eq!(down_at(&router), late + DOWN + SLOT);
    let later = late + ms(5_000);
    assert_eq!(
        on(&mut router, later, Event::Deadline),
        take_over(150),
        "a host that is always late serves, too"
    );
}

#[test]
fn a_suspended_machine_knows_that_time_has_passed() {
    let (mut router, now) = active(setup());
    assert_eq!(on(&mut router, now + ms(50), Event::Suspended(ms(200))), []);
    let slept = on(&mut router, now + ms(60), Event::Suspended(ms(300)));
    assert_eq!(slept, [Action::RemoveVips, Action::ResetConnections]);
    assert_eq!((router.word(), router.cause()), ("BACKUP", Cause::Overslept));

    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now + ms(300), Event::Suspended(ms(5_000))), []);
    assert_eq!(down_at(&router), now + ms(300) + DOWN + SLOT, "listens before it competes");
}

#[test]
fn a_host_that_cannot_keep_up_advertises_less_often() {
    let (mut router, now) = active(setup());
    let wider = AdvertInterval::from_centiseconds(40).unwrap();
    assert_eq!(on(&mut router, now + ms(90), Event::Interval(wider)), []);
    assert_eq!(on(&mut router, now + ms(100), Event::Deadline), [send(150), Action::Announce]);
    assert_eq!(advert_at(&router), now + ms(500));
    assert_eq!(on(&mut router, now + ms(900), Event::Deadline)[0], send(150), "not overslept: 1200 ms");
}
