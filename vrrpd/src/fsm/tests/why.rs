//! What is said of it.

use super::*;

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
