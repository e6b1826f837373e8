//! Hosts on a virtual clock, on a network that loses, delays and splits, but as a link does: in order. One virtual router, as many hosts as asked.
//!
//! Every step is checked: a VIP is only ever on a host whose router is Active and whose proxy may serve.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use health::verdict::Verdict;
use vrrpd::fsm::{Action, Event, Heard, Router, Setup, State};
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
    /// Killed: the address stays until a restart, or until the clean-up of the last advert's Active_Down_Interval.
    Killed,
    /// The whole host is off.
    Off,
}

pub(crate) struct Host {
    pub(crate) router: Router,
    pub(crate) process: Process,
    pub(crate) vip: bool,
    pub(crate) verdict: Verdict,
    pub(crate) verdict_since: u64,
    /// What the router has been told; it knows nothing while it sleeps.
    told: Verdict,
    pub(crate) group: u8,
    pub(crate) link: bool,
    setup: Setup,
    queue: Vec<Heard>,
    last_advert: u64,
    /// Parts per million by which this host's clock is fast.
    drift: i64,
    offset: u64,
}

pub(crate) struct World {
    /// Microseconds.
    pub(crate) now: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) loss: u64,
    /// How often a host that had no VIP took it.
    pub(crate) takeovers: usize,
    pub(crate) max_delay: u64,
    pub(crate) random: Random,
    origin: Instant,
    wire: Vec<(u64, usize, Heard)>,
}

pub(crate) const GRACE: Duration = Duration::from_secs(1);

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}

pub(crate) fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

impl World {
    pub(crate) fn new(setups: Vec<Setup>, mut random: Random) -> World {
        let origin = Instant::now();
        let hosts = setups
            .into_iter()
            .map(|setup| Host {
                router: Router::new(setup.clone(), origin),
                process: Process::Off,
                vip: false,
                verdict: Verdict::Serving,
                verdict_since: 0,
                told: Verdict::Restarting,
                group: 0,
                link: true,
                setup,
                queue: Vec::new(),
                last_advert: 0,
                drift: i64::try_from(random.below(1_000)).unwrap() - 500,
                offset: random.below(1_000_000_000),
            })
            .collect();
        World { now: 0, hosts, loss: 0, takeovers: 0, max_delay: 1_000, random, origin, wire: Vec::new() }
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
                let deadline = host.router.next_deadline()?;
                let nanos = (deadline - self.origin).as_nanos().saturating_sub(u128::from(host.offset));
                let scale = u128::try_from(1_000_000 + host.drift).unwrap();
                Some(u64::try_from(nanos * 1_000 / scale).unwrap() + 1)
            }
            Process::Asleep { until } => Some(until),
            Process::Killed if host.vip => Some(host.last_advert + self.down_interval(index)),
            Process::Killed | Process::Off => None,
        }
    }

    fn down_interval(&self, host: usize) -> u64 {
        let setup = &self.hosts[host].setup;
        micros(silence(setup.interval.duration()))
    }

    pub(crate) fn start(&mut self, host: usize) {
        let (now, fresh) =
            (self.clock(host), self.now < self.hosts[host].last_advert + self.down_interval(host));
        let it = &mut self.hosts[host];
        it.router = Router::new(it.setup.clone(), now);
        it.queue.clear();
        it.process = Process::Running;
        it.verdict_since = self.now;
        it.told = Verdict::Restarting;
        let resume = it.vip && fresh;
        it.vip &= resume;
        let link = it.link;
        assert_eq!(it.router.on(now, Event::Link(link)).count(), 0);
        it.vip &= link;
        self.feed(host, if resume { Event::Resume } else { Event::Startup });
        self.feed(host, Event::Verdict(self.hosts[host].verdict));
    }

    pub(crate) fn kill(&mut self, host: usize) {
        self.hosts[host].process = Process::Killed;
    }

    pub(crate) fn power_off(&mut self, host: usize) {
        self.hosts[host].process = Process::Off;
        self.hosts[host].vip = false;
    }

    pub(crate) fn sleep(&mut self, host: usize, time: u64) {
        self.hosts[host].process = Process::Asleep { until: self.now + time };
    }

    pub(crate) fn wake(&mut self, host: usize) {
        self.hosts[host].process = Process::Running;
        self.hosts[host].verdict_since = self.now;
        // As the daemon does: first what holds on this host, then what was heard.
        self.feed(host, Event::Link(self.hosts[host].link));
        self.feed(host, Event::Verdict(self.hosts[host].verdict));
        for heard in std::mem::take(&mut self.hosts[host].queue) {
            self.feed(host, Event::Advert(heard));
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

    pub(crate) fn set_link(&mut self, host: usize, up: bool) {
        self.hosts[host].link = up;
        self.feed(host, Event::Link(up));
    }

    /// Hands an event to a host that is awake and carries out what it answers.
    pub(crate) fn feed(&mut self, host: usize, event: Event) {
        if self.hosts[host].process != Process::Running {
            return;
        }
        let now = self.clock(host);
        if let Event::Verdict(verdict) = event {
            self.hosts[host].told = verdict;
        }
        for action in self.hosts[host].router.on(now, event) {
            match action {
                Action::InstallVips => {
                    let it = &mut self.hosts[host];
                    let live = matches!(it.told, Verdict::Serving | Verdict::Degraded);
                    assert!(it.vip || live, "host {host}: took the VIP while {}", it.told);
                    self.takeovers += usize::from(!it.vip);
                    it.vip = true;
                }
                Action::RemoveVips => self.hosts[host].vip = false,
                Action::SendAdvert(priority) => self.send(host, priority),
                Action::Announce | Action::ResetConnections => {}
            }
        }
        self.check(host);
    }

    fn send(&mut self, from: usize, priority: Priority) {
        self.hosts[from].last_advert = self.now;
        let setup = &self.hosts[from].setup;
        let heard = Heard { priority, interval: setup.interval, source: setup.address };
        for to in 0..self.hosts.len() {
            if to != from && self.hears(from, to) && !self.random.percent(self.loss) {
                let arrival = self.now + 50 + self.random.below(self.max_delay);
                let last =
                    self.wire.iter().filter(|(_, host, other)| *host == to && other.source == heard.source);
                let in_order = last.map(|(time, _, _)| time + 1).max().unwrap_or(0);
                self.wire.push((arrival.max(in_order), to, heard));
            }
        }
    }

    pub(crate) fn hears(&self, from: usize, to: usize) -> bool {
        let (from, to) = (&self.hosts[from], &self.hosts[to]);
        from.group == to.group && from.link && to.link
    }

    fn check(&self, index: usize) {
        let host = &self.hosts[index];
        if !host.vip {
            return;
        }
        assert!(matches!(host.router.state(), State::Active(_)), "host {index}: a VIP outside Active");
        assert!(host.link, "host {index}: a VIP without a link");
        match host.verdict {
            Verdict::Serving | Verdict::Degraded => {}
            Verdict::Restarting => {
                let limit = micros(GRACE) + 10_000;
                let resumed = host.router.next_deadline().is_some();
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
        let arrival = self.wire.iter().enumerate().map(|(at, (time, _, _))| (*time, at)).min();
        match (wake, arrival) {
            (wake, Some((time, at))) if time <= end && wake.is_none_or(|(other, _)| time <= other) => {
                let (_, host, heard) = self.wire.swap_remove(at);
                self.now = self.now.max(time);
                match self.hosts[host].process {
                    Process::Running => self.feed(host, Event::Advert(heard)),
                    Process::Asleep { .. } => self.hosts[host].queue.push(heard),
                    Process::Killed | Process::Off => {}
                }
                true
            }
            (Some((time, host)), _) if time <= end => {
                self.now = self.now.max(time);
                match self.hosts[host].process {
                    Process::Asleep { .. } => self.wake(host),
                    Process::Killed => self.hosts[host].vip = false,
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

    /// Whether `host` could serve clients at the VIP.
    pub(crate) fn eligible(&self, host: usize) -> bool {
        let it = &self.hosts[host];
        let live = matches!(it.verdict, Verdict::Serving | Verdict::Degraded);
        it.process == Process::Running && it.link && live
    }

    pub(crate) fn holders(&self) -> Vec<usize> {
        (0..self.hosts.len()).filter(|host| self.hosts[*host].vip).collect()
    }

    pub(crate) fn describe(&self) -> String {
        let mut text = format!("t={} us;", self.now);
        for (index, host) in self.hosts.iter().enumerate() {
            text += &format!(
                " [{index} {} vip={} {:?} {} group={} link={}]",
                host.router.word(),
                host.vip,
                host.process,
                host.verdict,
                host.group,
                host.link
            );
        }
        text
    }
}
