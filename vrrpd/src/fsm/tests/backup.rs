//! The rows of Backup, and fail-back, which is decided there.

use super::*;

#[test]
fn backup_shutdown_and_deadline() {
    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now, Event::Startup), []);
    assert_eq!(on(&mut router, now + ms(300), Event::Deadline), [], "before its time");
    assert_eq!(router.word(), "BACKUP");
    assert_eq!(on(&mut router, now + DOWN + SLOT, Event::Deadline), take_over(150));
    assert_eq!((router.word(), router.cause()), ("MASTER", Cause::MasterDown));

    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now, Event::Shutdown), []);
    assert_eq!(router.word(), "INIT");
}

#[test]
fn a_resignation_of_a_master_that_had_slowed_down_is_not_waited_for_longer() {
    let (mut router, now) = backup(setup());
    on(&mut router, now + ms(10), heard_every(200, 11, 100));
    on(&mut router, now + ms(500), heard(0, 11));
    assert_eq!(router.next_deadline(), Some(now + ms(500) + SKEW));
}

#[test]
fn backup_hears_a_resignation() {
    let (mut router, now) = backup(setup());
    on(&mut router, now, heard(200, 11));
    assert_eq!(on(&mut router, now + ms(50), heard(0, 11)), []);
    assert_eq!(down_at(&router), now + ms(50) + SKEW, "first in line: no slot");
    assert_eq!(on(&mut router, now + ms(50) + SKEW, Event::Deadline), take_over(150));
    assert_eq!(router.cause(), Cause::MasterResigned);
}

#[test]
fn the_first_in_line_takes_over_from_the_only_master_at_once() {
    let after = |rank: u8, second: Option<u8>, source: u8| {
        let (mut router, now) = backup(Setup { rank, ..setup() });
        let times = (0..).map(|count| now + ms(100 * count)).take_while(|at| *at <= now + ms(400));
        for at in times {
            on(&mut router, at, heard(200, 11));
            second.map(|other| on(&mut router, at + ms(10), heard(200, other)));
        }
        let resigned = now + ms(420);
        assert_eq!(on(&mut router, resigned, heard(0, source)), []);
        down_at(&router) - resigned
    };
    assert_eq!(after(1, None, 11), ms(0));
    assert_eq!(after(2, None, 11), SKEW + SLOT, "somebody else is first");
    assert_eq!(after(1, Some(13), 13), SKEW, "there are two masters");
    assert_eq!(after(1, None, 13), ms(310) - ms(20), "not the master: one that went before it");
}

#[test]
fn backup_hears_a_better_master() {
    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now + ms(10), heard(200, 11)), []);
    assert_eq!(down_at(&router), now + ms(10) + ms(310), "first in line: a tenth");
    assert_eq!(router.master(), Some(address(11)));
    assert_eq!(on(&mut router, now + ms(20), heard(150, 13)), [], "an equal one stays, too");
    assert_eq!(down_at(&router), now + ms(20) + DOWN + SLOT);
    assert_eq!(on(&mut router, now + ms(30), heard_every(200, 11, 100)), []);
    assert_eq!(down_at(&router), now + ms(30) + ms(3_100), "interval adopted");

    let (mut third, now) = backup(Setup { priority: Priority(100), rank: 2, ..setup() });
    on(&mut third, now, heard(200, 11));
    assert_eq!(down_at(&third), now + Duration::from_nanos(360_937_500) + SLOT, "second in line: one slot");
    on(&mut third, now, heard_every(200, 11, 1));
    assert_eq!(down_at(&third), now + Duration::from_nanos(36_093_750) + ms(5), "a slot is at least 5 ms");
}

#[test]
fn backup_hears_a_lower_master() {
    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now + ms(100), heard(100, 13)), []);
    assert_eq!(down_at(&router), now + DOWN + SLOT, "untouched");
    assert_eq!(on(&mut router, now + DOWN + SLOT, Event::Deadline), take_over(150));
    assert_eq!(router.cause(), Cause::Preempt);

    for failback in [Failback::Never, Failback::Manual] {
        let (mut router, now) = backup(Setup { failback, ..setup() });
        assert_eq!(on(&mut router, now + ms(100), heard(100, 13)), []);
        assert_eq!(down_at(&router), now + ms(100) + DOWN + SLOT, "no preempt: recomputed");
        assert_eq!(on(&mut router, now + ms(150), Event::Takeover), []);
        assert_eq!(on(&mut router, now + ms(200), heard(100, 13)), []);
        assert_eq!(down_at(&router), now + ms(100) + DOWN + SLOT, "an operator asked: untouched");
        on(&mut router, now + ms(210), heard(200, 11));
        on(&mut router, now + ms(220), heard(100, 13));
        assert_eq!(
            down_at(&router),
            now + ms(220) + DOWN + SLOT,
            "in vain: the wish does not outlive a better one"
        );
    }
}

#[test]
fn failback_after_a_healthy_time() {
    let (mut router, start) = backup(Setup { failback: Failback::AfterHealthy(ms(300)), ..setup() });
    for step in 1..=3 {
        on(&mut router, start + ms(100 * step), heard(100, 13));
        assert_eq!(down_at(&router), start + ms(100 * step) + DOWN + SLOT);
    }
    on(&mut router, start + ms(350), Event::Verdict(Verdict::Restarting));
    on(&mut router, start + ms(360), Event::Verdict(Verdict::Serving));
    for step in 4..=6 {
        on(&mut router, start + ms(100 * step), heard(100, 13));
        assert_eq!(down_at(&router), start + ms(100 * step) + DOWN + SLOT, "health counts from the restart");
    }
    on(&mut router, start + ms(700), heard(100, 13));
    assert_eq!(down_at(&router), start + ms(600) + DOWN + SLOT, "300 ms: preempts");
}

#[test]
fn a_cold_proxy_takes_nothing_back_and_takes_over_all_the_same() {
    let (mut router, start) = backup(setup());
    on(&mut router, start, Event::Warm(false));
    on(&mut router, start + ms(100), heard(100, 13));
    assert_eq!(down_at(&router), start + ms(100) + DOWN + SLOT, "no preemption");
    on(&mut router, start + ms(150), Event::Warm(true));
    on(&mut router, start + ms(200), heard(100, 13));
    assert_eq!(down_at(&router), start + ms(100) + DOWN + SLOT, "preempts");
    let (mut router, start) = backup(Setup { failback: Failback::AfterHealthy(ms(200)), ..setup() });
    on(&mut router, start, Event::Warm(false));
    for step in 1..=5 {
        on(&mut router, start + ms(100 * step), heard(100, 13));
    }
    assert_eq!(down_at(&router), start + ms(500) + DOWN + SLOT, "time while cold is no health");
    let (mut router, start) = backup(setup());
    on(&mut router, start, Event::Warm(false));
    let due = down_at(&router);
    assert!(on(&mut router, due, Event::Deadline).contains(&Action::InstallVips), "there is no master");
}
