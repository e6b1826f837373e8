//! What an operator asks for.

use super::*;

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
