//! Hosts on a virtual clock, on a network that loses, delays and splits, but as a link does: in order. As many hosts as asked,
//! with one virtual router, or with several that move together, each on a link of its own.
//!
//! Every step is checked: a VIP is only ever on a host whose router is Active and whose proxy may serve, and of a group a
//! host has all VIPs or none.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use health::verdict::Verdict;
use vrrpd::fsm::{Action, Cause, Event, Heard, Router, Setup, State, group};
use vrrpd::priority::{Priority, silence};

/// xorshift64*: small, and the same on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit.max(1)
    }
    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What a host's vrrpd is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    Running,
    /// Stopped for a while (a stalled machine): no wake-up, adverts queue.
    Asleep {
        until: u64,
    },
    /// Killed: the address stays until a restart, or until the clean-up three intervals after the last advert.
    Killed,
    /// The whole host is off.
    Off,
}

/// One router of a host.
pub(crate) struct Member {
    pub(crate) router: Router,
    pub(crate) vip: bool,
    pub(crate) link: bool,
    /// Who is on another side does not hear it.
    pub(crate) side: u8,
    last_advert: u64,
}

pub(crate) struct Host {
    pub(crate) members: Vec<Member>,
    pub(crate) process: Process,
    pub(crate) verdict: Verdict,
    pub(crate) verdict_since: u64,
    /// What the router has been told; it knows nothing while it sleeps.
    told: Verdict,
    /// The same for all of its routers.
    pub(crate) side: u8,
    setup: Setup,
    queue: Vec<(usize, Heard)>,
    /// Parts per million by which this host's clock is fast.
    drift: i64,
    offset: u64,
}

pub(crate) struct World {
    /// Microseconds.
    pub(crate) now: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) loss: u64,
    /// How often a router that had no VIP took it.
    pub(crate) takeovers: usize,
    pub(crate) max_delay: u64,
    /// Where a client on the first side looks for the VIPs, by router: at who announced last.
    client: Vec<Option<usize>>,
    pub(crate) random: Random,
    origin: Instant,
    wire: Vec<Flight>,
}

/// An advert on its way to a router of a host.
struct Flight {
    arrival: u64,
    host: usize,
    member: usize,
    heard: Heard,
}

/// More than any group takes to settle, as in the daemon.
const ROUNDS: usize = 4;

pub(crate) const GRACE: Duration = Duration::from_secs(1);

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

pub(crate) fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

impl World {
    pub(crate) fn new(setups: Vec<Setup>, random: Random) -> World {
        World::with_groups(setups, 1, random)
    }

    /// Each host has so many routers, which are a group.
    pub(crate) fn with_groups(setups: Vec<Setup>, members: usize, mut random: Random) -> World {
        let origin = Instant::now();
        let host = |mut setup: Setup| {
            setup.grouped = members > 1;
            let member = || Member {
                router: Router::new(setup.clone(), origin),
                vip: false,
                link: true,
                side: 0,
                last_advert: 0,
            };
            Host {
                members: (0..members).map(|_| member()).collect(),
                process: Process::Off,
                verdict: Verdict::Serving,
                verdict_since: 0,
                told: Verdict::Restarting,
                side: 0,
                setup,
                queue: Vec::new(),
                drift: i64::try_from(random.below(1_000)).unwrap() - 500,
                offset: random.below(1_000_000_000),
            }
        };
        let hosts = setups.into_iter().map(host).collect();
        let client = vec![None; members];
        World {
            now: 0,
            hosts,
            loss: 0,
            takeovers: 0,
            max_delay: 1_000,
            client,
            random,
            origin,
            wire: Vec::new(),
        }
    }

    /// How many routers each host has.
    pub(crate) fn members(&self) -> usize {
        self.hosts[0].members.len()
    }

    /// The time on `host`'s own clock.
    fn clock(&self, host: usize) -> Instant {
        let host = &self.hosts[host];
        let ran = i128::from(self.now) * i128::from(1_000_000 + host.drift) / 1_000;
        self.origin + Duration::from_nanos(u64::try_from(ran).unwrap() + host.offset)
    }

    /// When `host` wakes up by itself, in the world's time.
    fn wakes_at(&self, index: usize) -> Option<u64> {
        let host = &self.hosts[index];
        match host.process {
            Process::Running => {
                let deadline = host.members.iter().filter_map(|it| it.router.next_deadline()).min()?;
                let nanos = (deadline - self.origin).as_nanos().saturating_sub(u128::from(host.offset));
                let scale = u128::try_from(1_000_000 + host.drift).unwrap();
                Some(u64::try_from(nanos * 1_000 / scale).unwrap() + 1)
            }
            Process::Asleep { until } => Some(until),
            Process::Killed if host.members.iter().any(|it| it.vip) => {
                let last = host.members.iter().map(|it| it.last_advert).max()?;
                Some(last + self.down_interval(index))
            }
            Process::Killed | Process::Off => None,
        }
    }

    fn down_interval(&self, host: usize) -> u64 {
        let setup = &self.hosts[host].setup;
        micros(silence(setup.interval.duration()))
    }

    pub(crate) fn start(&mut self, host: usize) {
        let (now, down) = (self.clock(host), self.down_interval(host));
        let it = &mut self.hosts[host];
        it.queue.clear();
        it.process = Process::Running;
        it.verdict_since = self.now;
        it.told = Verdict::Restarting;
        // A group resumes as a whole or not at all.
        let resume = it.members.iter().all(|it| it.vip && self.now < it.last_advert + down);
        for at in 0..it.members.len() {
            let it = &mut self.hosts[host];
            let member = &mut it.members[at];
            member.router = Router::new(it.setup.clone(), now);
            assert_eq!(member.router.on(now, Event::Link(member.link)).count(), 0);
            member.vip &= resume && member.link;
            if !member.vip {
                self.forget(host, at);
            }
            self.tell(host, at, if resume { Event::Resume } else { Event::Startup });
        }
        self.feed(host, Event::Verdict(self.hosts[host].verdict));
    }

    pub(crate) fn kill(&mut self, host: usize) {
        self.hosts[host].process = Process::Killed;
    }

    pub(crate) fn power_off(&mut self, host: usize) {
        self.hosts[host].process = Process::Off;
        self.drop_vips(host);
    }

    fn drop_vips(&mut self, host: usize) {
        for member in 0..self.members() {
            self.hosts[host].members[member].vip = false;
            self.forget(host, member);
        }
    }

    pub(crate) fn sleep(&mut self, host: usize, time: u64) {
        self.hosts[host].process = Process::Asleep { until: self.now + time };
    }

    /// As the daemon does: first what holds on this host, then what was heard, then what is due.
    pub(crate) fn wake(&mut self, host: usize) {
        self.hosts[host].process = Process::Running;
        self.hosts[host].verdict_since = self.now;
        for member in 0..self.members() {
            self.tell(host, member, Event::Link(self.hosts[host].members[member].link));
            self.tell(host, member, Event::Verdict(self.hosts[host].verdict));
        }
        for (member, heard) in std::mem::take(&mut self.hosts[host].queue) {
            self.tell(host, member, Event::Advert(heard));
        }
        self.feed(host, Event::Deadline);
    }

    pub(crate) fn set_verdict(&mut self, host: usize, verdict: Verdict) {
        if self.hosts[host].verdict != verdict {
            self.hosts[host].verdict = verdict;
            self.hosts[host].verdict_since = self.now;
        }
        self.feed(host, Event::Verdict(verdict));
    }

    pub(crate) fn set_link(&mut self, host: usize, member: usize, up: bool) {
        self.hosts[host].members[member].link = up;
        self.tell(host, member, Event::Link(up));
        self.settle(host);
    }

    /// Hands an event to all routers of a host that is awake.
    pub(crate) fn feed(&mut self, host: usize, event: Event) {
        for member in 0..self.members() {
            self.tell(host, member, event);
        }
        self.settle(host);
    }

    /// Hands an event to one router and carries out what it answers.
    fn tell(&mut self, host: usize, member: usize, event: Event) {
        if self.hosts[host].process != Process::Running {
            return;
        }
        let now = self.clock(host);
        if let Event::Verdict(verdict) = event {
            self.hosts[host].told = verdict;
        }
        for action in self.hosts[host].members[member].router.on(now, event) {
            match action {
                Action::InstallVips => {
                    let told = self.hosts[host].told;
                    let it = &mut self.hosts[host].members[member];
                    let live = matches!(told, Verdict::Serving | Verdict::Degraded);
                    assert!(it.vip || live, "host {host}: took the VIP while {told}");
                    self.takeovers += usize::from(!it.vip);
                    it.vip = true;
                }
                Action::RemoveVips => {
                    self.hosts[host].members[member].vip = false;
                    // Its last advert may be lost, and then only the next announcement puts that right; a client on the other side
                    // has had no answer from it.
                    let it = &self.hosts[host];
                    let gives_way = it.members[member].router.cause() == Cause::HigherPriority;
                    if !gives_way || self.loss > 0 || (it.side, it.members[member].side) != (0, 0) {
                        self.forget(host, member);
                    }
                }
                Action::SendAdvert(priority) => self.send(host, member, priority),
                Action::Announce => {
                    let (it, own) = (&self.hosts[host], &self.hosts[host].members[member]);
                    if (it.side, own.side, own.link) == (0, 0, true) {
                        self.client[member] = Some(host);
                    }
                }
                Action::ResetConnections => {}
            }
        }
    }

    /// Nobody answers there any more: the client will ask again.
    fn forget(&mut self, host: usize, member: usize) {
        self.client[member] = self.client[member].filter(|known| *known != host);
    }

    /// A client that knows no better asks for a VIP, and of all who answer this host is the last.
    pub(crate) fn client_hears(&mut self, host: usize, member: usize) {
        assert!(
            self.hosts[host].members[member].vip,
            "host {host} has nothing to answer for: {}",
            self.describe()
        );
        self.client[member] = Some(host);
    }

    /// A client on the first side looks for each VIP at its master, or asks first.
    pub(crate) fn assert_found(&self) {
        if let Some((member, known)) = self.misled() {
            panic!("the client looks for VIP {member} at host {known}: {}", self.describe());
        }
    }

    /// A VIP that has a master on the first side, and a host that has not got it, where the client looks for it.
    pub(crate) fn misled(&self) -> Option<(usize, usize)> {
        let known = self.client.iter().enumerate().filter_map(|(member, known)| Some((member, (*known)?)));
        let mut runs = known.filter(|(_, known)| self.hosts[*known].process == Process::Running);
        runs.find(|(member, known)| {
            let is_owner = |host: &Host| {
                let it = &host.members[*member];
                it.vip && it.link && (host.side, it.side) == (0, 0)
            };
            self.hosts.iter().any(is_owner) && !self.hosts[*known].members[*member].vip
        })
    }

    /// Ends a round of a host's loop: its group comes to rest, and what it is then is checked.
    fn settle(&mut self, host: usize) {
        if self.hosts[host].process != Process::Running {
            return;
        }
        if self.members() > 1 {
            let now = self.clock(host);
            let orders = |world: &World| {
                group::orders(now, &world.hosts[host].members.iter().map(|it| &it.router).collect::<Vec<_>>())
            };
            for _ in 0..ROUNDS {
                orders(self).into_iter().for_each(|(member, event)| self.tell(host, member, event));
            }
            assert_eq!(orders(self), [], "host {host}: no rest: {}", self.describe());
        }
        self.check(host);
    }

    fn send(&mut self, from: usize, member: usize, priority: Priority) {
        let gone = !self.hosts[from].members[member].vip;
        assert!(priority != Priority::RELEASE || gone, "host {from}: resigns with the VIP in place");
        self.hosts[from].members[member].last_advert = self.now;
        let (interval, source) =
            (self.hosts[from].members[member].router.advert_interval(), self.hosts[from].setup.address);
        let heard = Heard { priority, interval, source };
        for host in 0..self.hosts.len() {
            if host != from && self.hears(from, host, member) && !self.random.percent(self.loss) {
                let arrival = self.now + 50 + self.random.below(self.max_delay);
                let same =
                    |it: &&Flight| (it.host, it.member, it.heard.source) == (host, member, heard.source);
                let last = self.wire.iter().filter(same).map(|it| it.arrival + 1).max();
                let arrival = arrival.max(last.unwrap_or(0));
                self.wire.push(Flight { arrival, host, member, heard });
            }
        }
    }

    pub(crate) fn hears(&self, from: usize, to: usize, member: usize) -> bool {
        let (from, to) = (&self.hosts[from], &self.hosts[to]);
        let (a, b) = (&from.members[member], &to.members[member]);
        (from.side, a.side) == (to.side, b.side) && a.link && b.link
    }

    fn check(&self, index: usize) {
        let host = &self.hosts[index];
        let with = host.members.iter().filter(|it| it.vip).count();
        assert!(with == 0 || with == self.members(), "host {index}: a part of a group: {}", self.describe());
        for member in host.members.iter().filter(|it| it.vip) {
            assert!(matches!(member.router.state(), State::Active(_)), "host {index}: a VIP outside Active");
            assert!(member.link, "host {index}: a VIP without a link");
        }
        if with == 0 {
            return;
        }
        match host.verdict {
            Verdict::Serving | Verdict::Degraded => {}
            Verdict::Restarting => {
                let limit = micros(GRACE) + 10_000;
                let resumed = host.members.iter().all(|it| it.router.next_deadline().is_some());
                assert!(resumed, "host {index}: nothing would end the grace");
                let since = self.now - host.verdict_since;
                assert!(since <= 2 * limit, "host {index}: a VIP {since} us into Restarting");
            }
            Verdict::Down | Verdict::Draining => {
                let since = self.now - host.verdict_since;
                assert_eq!(since, 0, "host {index}: a VIP without a live proxy");
            }
        }
    }

    /// Lets the world run up to `end`.
    pub(crate) fn run_until(&mut self, end: u64) {
        while self.step(end) {}
        self.now = end;
    }

    pub(crate) fn run_for(&mut self, time: u64) {
        self.run_until(self.now + time);
    }

    /// The next thing that happens before `end`; false if there is none.
    pub(crate) fn step(&mut self, end: u64) -> bool {
        let wake = (0..self.hosts.len()).filter_map(|host| Some((self.wakes_at(host)?, host))).min();
        let arrival = self.wire.iter().enumerate().map(|(at, it)| (it.arrival, at)).min();
        match (wake, arrival) {
            (wake, Some((time, at))) if time <= end && wake.is_none_or(|(other, _)| time <= other) => {
                let Flight { host, member, heard, .. } = self.wire.swap_remove(at);
                self.now = self.now.max(time);
                match self.hosts[host].process {
                    Process::Running => {
                        self.tell(host, member, Event::Advert(heard));
                        self.settle(host);
                    }
                    Process::Asleep { .. } => self.hosts[host].queue.push((member, heard)),
                    Process::Killed | Process::Off => {}
                }
                true
            }
            (Some((time, host)), _) if time <= end => {
                self.now = self.now.max(time);
                match self.hosts[host].process {
                    Process::Asleep { .. } => self.wake(host),
                    Process::Killed => self.drop_vips(host),
                    Process::Running | Process::Off => self.feed(host, Event::Deadline),
                }
                true
            }
            _ => false,
        }
    }

    /// Runs until `done`, and says for how long that was; panics after `limit`.
    pub(crate) fn time_until(&mut self, limit: u64, done: impl Fn(&World) -> bool) -> u64 {
        let began = self.now;
        while !done(self) {
            assert!(self.step(began + limit), "not within {limit} us: {}", self.describe());
        }
        self.now - began
    }

    /// Whether `host` could serve clients at the VIPs.
    pub(crate) fn eligible(&self, host: usize) -> bool {
        let it = &self.hosts[host];
        let live = matches!(it.verdict, Verdict::Serving | Verdict::Degraded);
        it.process == Process::Running && it.members.iter().all(|member| member.link) && live
    }

    /// The hosts that have the VIPs, or some of them.
    pub(crate) fn holders(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.has_vip(*host)).collect()
    }

    pub(crate) fn has_vip(&self, host: usize) -> bool {
        self.hosts[host].members.iter().any(|it| it.vip)
    }

    /// Two hosts that run and hear each other have VIPs.
    pub(crate) fn is_split(&self) -> bool {
        let alive = |host: &usize| self.hosts[*host].process == Process::Running;
        let sides = self.holders().into_iter().filter(alive).map(|host| self.hosts[host].side);
        let mut seen = [0; 2];
        sides.for_each(|side| seen[usize::from(side)] += 1);
        seen.iter().any(|holders| *holders > 1)
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = format!("t={} us;", self.now);
        for (index, host) in self.hosts.iter().enumerate() {
            text += &format!(" [{index} {:?} {} side={}", host.process, host.verdict, host.side);
            for it in &host.members {
                text += &format!(" ({} vip={} link={} side={})", it.router.word(), it.vip, it.link, it.side);
            }
            text += "]";
        }
        text
    }
}
