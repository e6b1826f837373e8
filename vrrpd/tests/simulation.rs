//! The election on a virtual clock: thousands of random schedules, and the article's chains with exact bounds.
//!
//! `VRRPD_SIM_SCHEDULES=N` runs more of them, `VRRPD_SIM_SEED=S` replays one.

mod sim;

use std::time::Duration;

use configs::Failback;
use health::verdict::Verdict;
use sim::{GRACE, Process, Random, World, address, micros};
use vrrpd::fsm::{Event, Setup};
use vrrpd::interval::AdvertInterval;
use vrrpd::priority::Priority;

/// In a healed network two hosts may have VIPs for so many adverts.
const ADVERTS_OF_A_SPLIT: u64 = 2;

fn setup(priority: u8, weight: u8, rank: u8, interval_ms: u64, failback: Failback, last: u8) -> Setup {
    Setup {
        priority: Priority(priority),
        weight,
        rank,
        interval: AdvertInterval::nearest(Duration::from_millis(interval_ms)),
        failback,
        address: address(last),
        grace: GRACE,
        grouped: false,
    }
}

/// Our defaults: 200, 150, 100.
fn three(interval_ms: u64, failback: Failback) -> World {
    let hosts =
        (0..3).map(|rank| setup(200 - 50 * rank, 0, rank, interval_ms, failback, 11 + rank)).collect();
    let mut world = World::new(hosts, Random::new(7));
    (0..3).for_each(|host| world.start(host));
    world.run_for(5_000_000);
    assert_eq!(world.holders(), [0]);
    world
}

#[test]
fn silent_death_of_the_master_then_of_the_next() {
    for (interval, first, second) in [(100, 311_500, 388_000), (10, 33_200, 43_000)] {
        let mut world = three(interval, Failback::Never);
        world.power_off(0);
        let time = world.time_until(1_000_000, |world| world.holders() == [1]);
        assert!(time <= first, "{interval} ms: first backup after {time} us");
        world.run_for(1_000_000);
        world.power_off(1);
        let time = world.time_until(1_000_000, |world| world.holders() == [2]);
        assert!(time <= second, "{interval} ms: second backup after {time} us");

        let mut world = three(interval, Failback::Never);
        world.power_off(1);
        world.run_for(1_000_000);
        world.power_off(0);
        let time = world.time_until(1_000_000, |world| world.holders() == [2]);
        assert!(time <= second, "{interval} ms: second backup in the first one's place after {time} us");
    }
}

#[test]
fn a_planned_hand_over_costs_one_packet_and_a_dead_heir_its_skew_and_a_slot() {
    for interval in [10, 100, 1000] {
        let mut world = three(interval, Failback::Never);
        world.run_for(5_000_000);
        world.set_verdict(0, Verdict::Draining);
        assert!(world.holders().is_empty());
        let time = world.time_until(1_000_000, |world| world.holders() == [1]);
        assert!(time <= 2_000, "{interval} ms: {time} us");
        let before = world.takeovers;
        world.run_for(5_000_000);
        assert_eq!((world.holders(), world.takeovers), (vec![1], before), "{interval} ms: nobody else");
    }
    let mut world = three(100, Failback::Never);
    world.power_off(1);
    world.run_for(1_000_000);
    world.set_verdict(0, Verdict::Draining);
    let time = world.time_until(1_000_000, |world| world.holders() == [2]);
    assert!(time <= 89_000, "{time} us");
}

#[test]
fn an_operator_moves_a_vip_to_any_host_and_it_stays() {
    let mut world = three(100, Failback::Never);
    for (target, from) in [(2, 0), (1, 2), (0, 1)] {
        world.feed(target, Event::Seize);
        let both = world.time_until(1_000_000, |world| world.holders() == [target]);
        assert!(both <= 2_000, "{from} to {target}: two holders for {both} us");
        world.run_for(3_000_000);
        assert_eq!(world.holders(), [target]);
    }
    world.feed(0, Event::Yield);
    let none = world.time_until(1_000_000, |world| world.holders() == [1]);
    assert!(none <= 2_000, "given to the next in line: nobody for {none} us");
    world.run_for(3_000_000);
    assert_eq!(world.holders(), [1]);
}

/// On hosts that were all late once, and as masters said "less often": their order is what is configured.
#[test]
fn hosts_that_have_widened_their_adverts_give_a_vip_away_as_fast_as_others() {
    let mut world = three(10, Failback::Never);
    let wide = AdvertInterval::nearest(Duration::from_millis(1_000));
    (0..3).for_each(|host| world.feed(host, Event::Interval(wide)));
    world.run_for(5_000_000);
    for (from, to) in [(0, 1), (1, 0), (0, 1)] {
        world.feed(from, Event::Yield);
        let none = world.time_until(2_000_000, |world| world.holders() == [to]);
        assert!(none <= 15_000, "{from} to {to}: nobody for {none} us");
        // Not long enough for the others to be sure that it is alone.
        world.run_for(1_500_000);
        assert_eq!(world.holders(), [to]);
    }
}

#[test]
fn restarts_inside_the_grace_move_nothing() {
    let mut world = three(100, Failback::Never);
    for _ in 0..5 {
        world.set_verdict(0, Verdict::Restarting);
        world.run_for(900_000);
        assert_eq!(world.holders(), [0]);
        world.set_verdict(0, Verdict::Serving);
        world.run_for(100_000);
    }
    world.set_verdict(0, Verdict::Restarting);
    world.run_for(1_100_000);
    assert_eq!(world.holders(), [1], "the grace is over");
}

#[test]
fn a_killed_vrrpd_that_is_back_in_time_keeps_the_vip() {
    let mut world = three(100, Failback::Never);
    world.kill(0);
    world.run_for(150_000);
    world.start(0);
    assert_eq!(world.holders(), [0]);
    world.run_for(2_000_000);
    assert_eq!(world.holders(), [0]);
    world.kill(0);
    world.run_for(2_000_000);
    assert_eq!(world.holders(), [1], "too late: its peers have taken over, its address is gone");
}

#[test]
fn fail_back_waits_for_health_and_has_no_gap_worth_a_name() {
    let mut world = three(100, Failback::AfterHealthy(Duration::from_secs(3)));
    world.power_off(0);
    world.run_for(1_000_000);
    assert_eq!(world.holders(), [1]);
    world.start(0);
    world.run_for(2_900_000);
    assert_eq!(world.holders(), [1]);
    world.time_until(1_000_000, |world| world.holders().contains(&0));
    let both = world.time_until(1_000_000, |world| world.holders() == [0]);
    assert!(both <= 2_000, "two holders for {both} us");
}

/// Whatever the rhythm in which a proxy dies and is back: its host lets go of the VIP before it says so, and nobody has it before
/// that was heard. What comes back does not compete with the successor.
#[test]
fn a_crash_loop_never_has_two_holders() {
    for (seed, interval) in (1..).zip([10, 100, 1000].repeat(20)) {
        let mut world = three(interval, Failback::Never);
        let mut random = Random::new(seed);
        world.max_delay = interval * 1_000 / 20;
        world.run_for(random.below(1_000_000));
        let rhythm = [Verdict::Restarting, Verdict::Serving, Verdict::Restarting, Verdict::Down];
        for verdict in rhythm.repeat(5) {
            world.set_verdict(0, verdict);
            let end = world.now + random.below(8 * interval * 1_000);
            while world.step(end) {
                let holders = world.holders();
                assert!(holders.len() <= 1, "seed {seed}, {interval} ms, {verdict}: {holders:?}");
                assert_eq!(world.misled(), None, "seed {seed}, {interval} ms, {verdict}");
            }
            world.run_until(end);
        }
        world.run_for(5_000_000);
        assert_eq!(world.holders(), [1], "seed {seed}, {interval} ms");
    }
}

/// Where a better placed one takes a VIP back, or an operator moves it, both have it until the other has heard the new one's first
/// advert. Whoever asks then may be answered by the one that is about to let go: it is told better as soon as that one has said so.
#[test]
fn a_client_that_asks_while_two_have_the_vip_is_put_right_by_the_next_packet() {
    for (seed, interval) in (1..).zip([10, 100, 1000].repeat(20)) {
        for (failback, moved) in [(Failback::AtOnce, false), (Failback::Never, true)] {
            let mut world = three(interval, failback);
            world.max_delay = interval * 1_000 / 20;
            world.random = Random::new(seed);
            world.power_off(0);
            world.run_for(5_000_000);
            assert_eq!(world.holders(), [1]);
            world.start(0);
            if moved {
                world.run_for(1_000);
                world.feed(0, Event::Seize);
            }
            world.time_until(10_000_000, |world| world.holders() == [0, 1]);
            let flight = world.max_delay + 50;
            let end = world.now + flight;
            while world.holders() == [0, 1] {
                world.client_hears(1, 0);
                assert!(world.step(end), "seed {seed}, {interval} ms: two for longer than a packet flies");
            }
            assert_eq!(world.misled(), Some((0, 1)), "at the wrong one");
            world.time_until(flight, |world| world.misled().is_none());
        }
    }
}

/// The article: 101/100/99 and weight 2, or 102/100/99 and weight 3. Two of three die, in every way, with every order
/// of addresses: the VIP is on the living one, and a dead proxy never has it.
#[test]
fn two_of_three_dead_never_leaves_the_vip_with_a_dead_proxy() {
    let addresses = [[11, 12, 13], [11, 13, 12], [12, 11, 13], [12, 13, 11], [13, 11, 12], [13, 12, 11]];
    for (priorities, weight) in [([101, 100, 99], 2), ([102, 100, 99], 3), ([200, 150, 100], 0)] {
        for last in addresses {
            for (first, second) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
                let hosts = (0..3_u8)
                    .map(|rank| {
                        let place = usize::from(rank);
                        setup(priorities[place], weight, rank, 1000, Failback::AtOnce, last[place])
                    })
                    .collect();
                let mut world = World::new(hosts, Random::new(1));
                (0..3).for_each(|host| world.start(host));
                world.run_for(10_000_000);
                for host in [first, second] {
                    world.set_verdict(host, Verdict::Down);
                    assert!(!world.has_vip(host));
                    world.run_for(10_000_000);
                }
                assert_eq!(world.holders(), [3 - first - second], "{priorities:?} {last:?} {first} {second}");
                world.set_verdict(first, Verdict::Serving);
                world.run_for(10_000_000);
                let best = first.min(3 - first - second);
                assert_eq!(world.holders(), [best], "{priorities:?} {last:?} {first} back");
            }
        }
    }
}

#[test]
fn a_master_that_overslept_does_not_disturb_its_successor() {
    let mut world = three(100, Failback::Never);
    world.sleep(0, 2_000_000);
    world.run_for(1_990_000);
    assert_eq!(world.hosts[1].members[0].router.word(), "MASTER");
    world.run_for(200_000);
    assert_eq!(world.holders(), [1]);
    assert_eq!(world.hosts[0].members[0].router.cause().word(), "overslept");
}

#[test]
fn random_schedules() {
    run_schedules(1, 1);
}

/// The same for sync groups of two and three: a host has all of their VIPs or none, and in a healed network one host has them.
#[test]
fn random_schedules_of_groups() {
    run_schedules(2, 4);
    run_schedules(3, 4);
}

/// With so many routers a host, and one schedule of so many.
fn run_schedules(members: usize, of: u64) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("VRRPD_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..number("VRRPD_SIM_SCHEDULES").unwrap_or(2_000) / of + 1,
    };
    for seed in seeds {
        if std::panic::catch_unwind(|| schedule(seed, members)).is_err() {
            panic!("group of {members}: replay with VRRPD_SIM_SEED={seed}");
        }
    }
}

fn random_world(random: &mut Random, seed: u64, members: usize) -> World {
    let count = u8::try_from(2 + random.below(if members == 1 { 4 } else { 3 })).unwrap();
    let interval = [10, 30, 100, 1000][usize::try_from(random.below(4)).unwrap()];
    let failback = [
        Failback::AtOnce,
        Failback::Never,
        Failback::Manual,
        Failback::AfterHealthy(Duration::from_millis(interval * 5)),
    ][usize::try_from(random.below(4)).unwrap()];
    let (top, gap, weight) =
        [(200, 30, 0), (101, 1, 2), (102, 1, 3)][usize::try_from(random.below(3)).unwrap()];
    let shift = u8::try_from(random.below(5)).unwrap();
    let hosts = (0..count)
        .map(|rank| setup(top - gap * rank, weight, rank, interval, failback, 11 + (rank + shift) % count))
        .collect();
    let mut world = World::with_groups(hosts, members, Random::new(seed ^ 0xabcd));
    world.max_delay = interval * 1000 / 20;
    world
}

/// A time of faults, then peace, then one more death whose cost is bounded.
fn schedule(seed: u64, members: usize) {
    let mut random = Random::new(seed);
    let mut world = random_world(&mut random, seed, members);
    let interval = micros(world.hosts[0].members[0].router.setup().interval.duration());
    let count = world.hosts.len();
    for _ in 0..5 + random.below(25) {
        let host = usize::try_from(random.below(u64::try_from(count).unwrap())).unwrap();
        fault(&mut world, &mut random, host, interval);
        world.run_for(random.below(6 * interval));
    }
    make_peace(&mut world, &mut random);
    // Two masters hear each other's adverts, and the lower lets go; of a group, all of it.
    let limit = ADVERTS_OF_A_SPLIT * interval + 2 * world.max_delay;
    run_healed(&mut world, 20 * interval + 1_000_000, limit);
    let masters = assert_one_master_per_side(&world);
    world.assert_found();

    for victim in masters {
        let side = world.hosts[victim].side;
        let heirs = |world: &World| {
            (0..count).filter(|host| world.hosts[*host].side == side && world.eligible(*host)).count()
        };
        let silent = random.percent(50);
        if silent {
            world.power_off(victim);
        } else {
            world.set_verdict(victim, Verdict::Down);
        }
        let before = world.takeovers;
        if heirs(&world) > 0 {
            let slots = 4 * (interval / 4).clamp(5_000, 100_000);
            let bound = if silent { 4 * interval } else { interval } + slots + 2 * world.max_delay;
            world.time_until(bound, |world| {
                world.holders().iter().any(|holder| world.hosts[*holder].side == side)
            });
            world.run_for(3 * world.max_delay);
            assert_eq!(world.takeovers, before + members, "seed {seed}: together: {}", world.describe());
        }
    }
    world.run_for(10 * interval);
    assert_one_master_per_side(&world);
}

/// Nobody shares VIPs with another live host for longer than `limit`, be it by each having all of them.
fn run_healed(world: &mut World, time: u64, limit: u64) {
    let end = world.now + time;
    let mut since = None;
    while world.step(end) {
        since = world.is_split().then(|| since.unwrap_or(world.now));
        let split_for = world.now - since.unwrap_or(world.now);
        assert!(split_for <= limit, "split for {split_for} us: {}", world.describe());
    }
    world.run_until(end);
}

fn fault(world: &mut World, random: &mut Random, host: usize, interval: u64) {
    let verdicts = [
        Verdict::Serving,
        Verdict::Serving,
        Verdict::Restarting,
        Verdict::Down,
        Verdict::Draining,
        Verdict::Degraded,
    ];
    match (random.below(11), world.hosts[host].process) {
        (0..=2, Process::Off | Process::Killed) => world.start(host),
        (0, _) => world.power_off(host),
        (1, Process::Running) => world.kill(host),
        (2, Process::Running) => world.sleep(host, random.below(8 * interval)),
        (3..=5, _) => {
            let pick = usize::try_from(random.below(6)).unwrap();
            world.set_verdict(host, verdicts[pick]);
        }
        (6, _) => {
            let side = u8::try_from(random.below(2)).unwrap();
            match one_member(world, random) {
                Some(member) => world.hosts[host].members[member].side = side,
                None => world.hosts[host].side = side,
            }
        }
        (7, _) => {
            let member = one_member(world, random).unwrap_or(0);
            world.set_link(host, member, random.percent(60));
        }
        (9, _) => world.feed(host, if random.percent(70) { Event::Seize } else { Event::Yield }),
        (8, _) => world.loss = [0, 5, 30, 80][usize::try_from(random.below(4)).unwrap()],
        _ => world.run_for(random.below(10 * interval)),
    }
}

/// Half of the faults of a group's host are those of one router.
fn one_member(world: &World, random: &mut Random) -> Option<usize> {
    let members = world.members();
    let one = members > 1 && random.percent(50);
    one.then(|| usize::try_from(random.below(u64::try_from(members).unwrap())).unwrap())
}

fn make_peace(world: &mut World, random: &mut Random) {
    world.loss = 0;
    let healed = random.percent(60);
    for host in 0..world.hosts.len() {
        if healed {
            world.hosts[host].side = 0;
        }
        world.hosts[host].members.iter_mut().for_each(|it| it.side = 0);
        match world.hosts[host].process {
            Process::Asleep { .. } => world.wake(host),
            Process::Killed | Process::Off if random.percent(70) => world.start(host),
            Process::Killed | Process::Off | Process::Running => {}
        }
        if world.hosts[host].verdict == Verdict::Restarting || random.percent(50) {
            world.set_verdict(host, Verdict::Serving);
        }
        for member in 0..world.members() {
            if random.percent(80) {
                world.set_link(host, member, true);
            }
        }
    }
}

fn assert_one_master_per_side(world: &World) -> Vec<usize> {
    let mut masters = Vec::new();
    for side in 0..2 {
        let there: Vec<usize> =
            (0..world.hosts.len()).filter(|host| world.hosts[*host].side == side).collect();
        let eligible: Vec<usize> = there.iter().copied().filter(|host| world.eligible(*host)).collect();
        let holders: Vec<usize> = there.iter().copied().filter(|host| world.has_vip(*host)).collect();
        assert_eq!(holders.len(), eligible.len().min(1), "side {side}: {}", world.describe());
        assert!(holders.iter().all(|holder| eligible.contains(holder)), "{}", world.describe());
        let at_once = world.hosts[0].members[0].router.setup().failback == Failback::AtOnce;
        assert!(!at_once || holders.first() == eligible.first(), "side {side}: {}", world.describe());
        masters.extend(holders);
    }
    masters
}
