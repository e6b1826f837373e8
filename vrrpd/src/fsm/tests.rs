//! Every row of both tables, with literal numbers: 100 ms adverts, priority 150, rank 1, address .12, grace 1 s.
//!
//! Skew_Time is 41,406.25 us, Active_Down_Interval 341,406.25 us, one back-off slot 25 ms.

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
    while router.word() == "MASTER" {
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
fn lost_vips_come_back() {
    let (mut router, now) = active(setup());
    let at = now + ms(10);
    assert_eq!(on(&mut router, at, Event::VipsLost), [Action::InstallVips, Action::Announce]);
    assert_eq!(advert_at(&router), now + ms(100));
    let (mut router, now) = backup(setup());
    assert_eq!(on(&mut router, now, Event::VipsLost), []);
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

fn explain(router: &Router, now: Instant, in_state: Duration) -> Why {
    router.why(now, in_state, &|address| address.to_string())
}

#[test]
fn why_says_who_since_when_and_what_would_move_it() {
    let (mut router, now) = backup(Setup { failback: Failback::Never, ..setup() });
    let why = explain(&router, now, Duration::ZERO);
    assert_eq!((why.owner, why.owner_for), (None, None));
    assert_eq!(why.because, "it has started and listens for a master");
    assert_eq!(why.moves, ["no master is heard for another 366 ms"]);

    on(&mut router, now + ms(100), heard(200, 11));
    on(&mut router, now + ms(200), heard(200, 11));
    let why = explain(&router, now + ms(250), ms(250));
    assert_eq!((why.owner, why.owner_for), (Some(address(11)), Some(ms(150))));
    let expected = [
        "10.77.0.11 is silent for 310 ms",
        "10.77.0.11 resigns: it comes 41 ms later",
        "not by preemption: its priority is 200, ours 150",
    ];
    assert_eq!(why.moves, expected);
    on(&mut router, now + ms(300), heard(100, 13));
    let why = explain(&router, now + ms(300), ms(300));
    assert_eq!((why.owner, why.owner_for), (Some(address(13)), Some(ms(0))));
    assert!(why.moves[2].starts_with("not by itself"), "{:?}", why.moves);
    on(&mut router, now + ms(300), Event::Takeover);
    assert!(explain(&router, now + ms(300), ms(0)).moves[2].starts_with("this host takes it back in"));
    on(&mut router, now + ms(300), Event::Verdict(Verdict::Restarting));
    assert_eq!(
        explain(&router, now + ms(300), ms(0)).moves[0],
        "nothing, until the proxy of this host is back"
    );

    let (mut router, now) = active(setup());
    let why = explain(&router, now + ms(7), ms(7));
    assert_eq!((why.owner, why.owner_for), (Some(address(12)), Some(ms(7))));
    assert_eq!(why.because, "no master was heard in time");
    assert_eq!(why.moves[0], "the proxy is gone for longer than 1000 ms");
    on(&mut router, now + ms(7), Event::Verdict(Verdict::Restarting));
    assert_eq!(
        explain(&router, now + ms(207), ms(7)).moves[0],
        "the proxy is restarting and not back in 800 ms"
    );
    on(&mut router, now + ms(300), Event::Link(false));
    let why = explain(&router, now + ms(300), ms(0));
    assert_eq!((why.owner, why.because.contains("interface")), (None, true));
    assert_eq!(why.moves, ["nothing, until every interface is up and has this host's address"]);
}

#[test]
fn an_operator_moves_a_vip() {
    let never = Setup { failback: Failback::Never, ..setup() };
    let (mut router, now) = backup(never.clone());
    on(&mut router, now, heard(200, 11));
    assert_eq!(on(&mut router, now + ms(10), Event::Yield), [], "has nothing to give");
    assert_eq!(on(&mut router, now + ms(20), Event::Seize), take_over(254), "from a better placed one");
    assert_eq!((router.word(), router.cause()), ("MASTER", Cause::Moved));
    assert_eq!(on(&mut router, now + ms(25), heard(200, 11)), [send(254), Action::Announce], "not yet gone");
    assert_eq!(on(&mut router, now + ms(120), Event::Deadline), [send(254), Action::Announce]);
    let adverts = [220, 320, 420].map(|at| on(&mut router, now + ms(at), Event::Deadline)[0]);
    assert_eq!(adverts, [send(254), send(150), send(150)], "an ordinary master after three intervals");

    let mut given = router.clone();
    assert_eq!(on(&mut given, now + ms(430), Event::Yield), LET_GO);
    assert_eq!((given.word(), given.cause()), ("BACKUP", Cause::Moved));
    assert_eq!(down_at(&given), now + ms(430) + DOWN + SLOT, "and has it again if nobody wants it");
    assert_eq!(on(&mut given, now + ms(430), Event::Verdict(Verdict::Restarting)), []);
    assert_eq!(on(&mut given, now + ms(431), Event::Seize), [], "does not compete");

    let (mut seizing, now) = backup(never);
    on(&mut seizing, now, heard(200, 11));
    on(&mut seizing, now, Event::Seize);
    assert_eq!(on(&mut seizing, now + ms(1), Event::Verdict(Verdict::Down)), LET_GO);
    assert_eq!(seizing.priority(), Priority(150));
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
