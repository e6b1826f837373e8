//! The process: one thread that waits, hears, and lets the state machines decide.
//!
//! Owns every socket and the clock. Stopped by SIGTERM or SIGINT, which resigns every router first; SIGHUP and SIGUSR2 are
//! [`renewal`]'s.

pub(crate) mod acceptance;
pub(crate) mod arp_settings;
pub(crate) mod balance;
mod checks;
mod control;
mod counters;
mod dial;
mod feed;
mod groups;
mod history;
mod kernel;
pub(crate) mod neighbours;
mod notifier;
mod orders;
mod renewal;
mod rivals;
pub(crate) mod routing;
mod station;
mod status;
pub(crate) mod vips;
pub(crate) mod virtual_mac;

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use configs::Appliance;
use health::verdict::Verdict;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use vrrpd::arp::Mac;
use vrrpd::fsm::Event;
use vrrpd::packet::{Advert, Checksum, Discard, MAX_LENGTH};
use vrrpd::suspension::Suspension;

use crate::cli::Arguments;
use crate::log::log;
use crate::net::{Announcer, Claims, ConnectionReset, Interface, Monitor, Packet, Poller, Rtnl};
use crate::notify::Notify;
use crate::realtime::Realtime;
use crate::record::{self, LastAdverts, Lock, Record, awake_time, boot_time};

use acceptance::Acceptance;
use balance::Balance;
use checks::Checks;
use control::{Answer, Control};
use counters::Counters;
use feed::Feed;
use kernel::Kernel;
use neighbours::Neighbours;
use notifier::Notifier;
use renewal::Candidate;
use station::Station;

/// Nothing is waited for longer than this: a change that no socket told about is found then.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// On a stop the programs that are told of it may take so long.
const LAST_NEWS: Duration = Duration::from_secs(5);
/// After a survey that failed.
const SURVEY_AGAIN: Duration = Duration::from_millis(100);
/// A guard that removes addresses holds the lock for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// Adverts read from one socket in a row, so that a flood does not keep timers waiting.
const BATCH: usize = 256;
/// After a full batch: a real-time process that never sleeps is one that the kernel ends (RLIMIT_RTTIME).
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
/// More than the longest advert and an IPv4 header with options; what is longer is cut, and then refused.
const PACKET: usize = MAX_LENGTH + 64;

/// Runs until a signal ends it.
pub(crate) fn run(appliance: Appliance, arguments: Arguments) -> io::Result<()> {
    fs::create_dir_all(&appliance.paths.run_dir)?;
    let _lock = take_lock(&appliance)?;
    let mut daemon = Daemon::new(appliance, arguments)?;
    daemon.start();
    // Locking memory takes its time, and whoever turned into this process is waited for; its scheduling class has stayed.
    daemon.realtime.request();
    while !daemon.round()? {}
    daemon.stop();
    Ok(())
}

fn take_lock(appliance: &Appliance) -> io::Result<Lock> {
    let patience = Instant::now() + LOCK_PATIENCE;
    loop {
        match Lock::try_take(&appliance.paths.run_dir)? {
            Some(lock) => return Ok(lock),
            None if Instant::now() < patience => sleep(Duration::from_millis(2)),
            None => return Err(io::Error::other("another standfast-vrrpd runs here")),
        }
    }
}

struct Daemon {
    arguments: Arguments,
    appliance: Appliance,
    candidate: Candidate,
    checks: Checks,
    acceptance: Acceptance,
    balance: Balance,
    suspension: Suspension,
    /// `None` when this kernel has no packet sockets.
    claims: Option<Claims>,
    own_macs: Vec<Mac>,
    stations: Vec<Station>,
    kernel: Kernel,
    neighbours: Neighbours,
    monitor: Monitor,
    feed: Feed,
    verdict: Verdict,
    /// The proxy knows its backends.
    warm: bool,
    control: Control,
    signals: SignalFd,
    notify: Notify,
    watchdog_at: Option<Instant>,
    /// When to look around even if nobody says that something has changed.
    survey_at: Instant,
    /// Of the vrrpd before this one.
    last_adverts: LastAdverts,
    poller: Poller,
    realtime: Realtime,
    packet: [u8; PACKET],
}

impl Daemon {
    fn new(appliance: Appliance, arguments: Arguments) -> io::Result<Daemon> {
        let now = Instant::now();
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGHUP);
        signals.add(Signal::SIGUSR2);
        signals.thread_block()?;
        let run_dir = &appliance.paths.run_dir;
        record::accept(run_dir, &arguments.config);
        let last_adverts = LastAdverts::read(run_dir);
        let listener = health::control::bind(&appliance.paths.vrrpd_socket()).map_err(io::Error::other)?;
        let notify = Notify::from_env();
        let stations = appliance.routers.iter().enumerate();
        Ok(Daemon {
            stations: stations.map(|(place, router)| Station::new(place, router, &appliance, now)).collect(),
            arguments,
            candidate: Candidate::default(),
            checks: Checks::default(),
            acceptance: Acceptance::default(),
            balance: Balance::default(),
            suspension: Suspension::new(boot_time(), awake_time()),
            claims: Claims::open().ok(),
            own_macs: Vec::new(),
            kernel: Kernel {
                wires: Vec::new(),
                rtnl: Rtnl::open()?,
                announcer: Announcer::open()?,
                resets: ConnectionReset::open().ok(),
                record: Record::create(run_dir)?,
                counters: Counters::default(),
                events: Vec::new(),
                notifier: Notifier::default(),
                run_dir: run_dir.clone(),
            },
            neighbours: Neighbours::default(),
            monitor: Monitor::open()?,
            feed: Feed::new(appliance.paths.angel_socket(), appliance.angel.grace, now),
            verdict: Verdict::Restarting,
            warm: true,
            control: Control::new(listener),
            signals: SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
            watchdog_at: notify.watchdog.map(|_| now),
            notify,
            survey_at: now + LONGEST_WAIT,
            last_adverts,
            poller: Poller::default(),
            realtime: Realtime::new(now),
            packet: [0; PACKET],
            appliance,
        })
    }

    /// Takes up what a vrrpd killed a moment ago left, removes what an older one left, and begins.
    fn start(&mut self) {
        let interfaces = self.interfaces().unwrap_or_default();
        let now = Instant::now();
        self.acceptance.adopt(now, &self.appliance);
        let links: Vec<bool> = (0..self.stations.len()).map(|at| self.connect(at, &interfaces)).collect();
        let resumed = self.who_resumes(&links, &interfaces);
        for (station, (link, resume)) in self.stations.iter_mut().zip(links.into_iter().zip(resumed)) {
            if !resume {
                let present = station.vips.present(&interfaces);
                station.remove_strays(&present, &mut self.kernel);
                station.remove_routes(&mut self.kernel);
                balance::remove_services(&station.config, &self.appliance);
            }
            station.handle(now, Event::Link(link), &mut self.kernel);
            station.handle(now, if resume { Event::Resume } else { Event::Startup }, &mut self.kernel);
        }
        self.restore_arp(&interfaces);
        self.look_for_links(now, &interfaces);
        self.hear_feed();
        self.settle_groups();
        self.checks.adopt(&self.appliance.checks, now);
        self.notify.send(&format!("READY=1\nSTATUS={}", self.status_line()));
        let (host, routers) = (&self.appliance.host.name, self.stations.len());
        log!("info", "started", "host={host} routers={routers}");
    }

    /// Waits for something, and does it. True when a signal says to stop.
    fn round(&mut self) -> io::Result<bool> {
        self.poller.clear();
        self.kernel.wires.iter().for_each(|wire| self.poller.watch(wire.socket.fd()));
        self.control.watch(&mut self.poller);
        self.feed.fd().into_iter().for_each(|fd| self.poller.watch(fd));
        self.candidate.fd().into_iter().for_each(|fd| self.poller.watch(fd));
        self.checks.fds().for_each(|fd| self.poller.watch(fd));
        self.acceptance.fd().into_iter().for_each(|fd| self.poller.watch(fd));
        self.balance.fds().for_each(|fd| self.poller.watch_output(fd));
        self.kernel.notifier.fd().into_iter().for_each(|fd| self.poller.watch(fd));
        self.poller.watch(self.monitor.fd());
        self.claims.iter().for_each(|claims| self.poller.watch(claims.fd()));
        self.poller.watch(self.signals.as_raw_fd());
        let began = Instant::now();
        self.poller.wait(self.next_deadline().saturating_duration_since(began))?;
        self.realtime.waited(began, Instant::now());

        if self.poller.is_ready(self.signals.as_raw_fd()) && self.obey_signals() {
            return Ok(true);
        }
        self.realtime.poll(Instant::now());
        self.notice_suspension();
        self.hear_feed();
        if self.poller.is_ready(self.monitor.fd()) || Instant::now() >= self.survey_at {
            self.monitor.drain();
            self.survey();
        }
        // The last look before timers: an advert that waits here may be the one that a timer is about to miss.
        self.hear_adverts();
        self.fire_deadlines();
        self.ask_for_neighbours();
        self.hear_claims();
        if self.control.is_ready(&self.poller) {
            self.answer();
        }
        if self.checks.poll(Instant::now()) {
            self.apply_checks();
        }
        self.settle_groups();
        self.acceptance.settle(Instant::now(), &self.poller);
        self.balance.settle(Instant::now(), &self.appliance, &self.stations, &self.poller);
        self.kernel.notifier.poll(Instant::now());
        self.publish();
        self.pet_watchdog();
        if self.candidate.accepts(Instant::now()) {
            self.renew();
        }
        Ok(false)
    }

    /// True when one of them says to stop.
    fn obey_signals(&mut self) -> bool {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            match Signal::try_from(signal.ssi_signo.cast_signed()) {
                Ok(Signal::SIGHUP) => self.reload(),
                Ok(Signal::SIGUSR2) => self.candidate.ask(&self.arguments),
                _ => return true,
            }
        }
        false
    }

    fn next_deadline(&self) -> Instant {
        let routers = self.stations.iter().filter_map(|station| station.router.next_deadline());
        let others = [
            self.feed.next_deadline(),
            self.watchdog_at,
            Some(self.survey_at),
            self.candidate.deadline(),
            self.checks.next_deadline(),
            self.kernel.notifier.deadline(),
            self.realtime.deadline(),
            self.acceptance.next_deadline(),
            self.balance.next_deadline(),
            self.neighbours.deadline(),
        ];
        routers.chain(others.into_iter().flatten()).min().unwrap_or(self.survey_at)
    }

    fn hear_feed(&mut self) {
        let now = Instant::now();
        let verdict = self.feed.poll(now);
        if self.warm != self.feed.is_warm() {
            self.warm = self.feed.is_warm();
            for station in &mut self.stations {
                station.handle(now, Event::Warm(self.warm), &mut self.kernel);
            }
        }
        if verdict == self.verdict {
            return;
        }
        log!("info", "verdict", "prev={} next={verdict} cause={}", self.verdict, self.feed.cause());
        self.verdict = verdict;
        for station in &mut self.stations {
            station.handle(now, Event::Verdict(verdict), &mut self.kernel);
        }
    }

    /// Before anything else: what a machine that slept has heard and planned is of another time.
    fn notice_suspension(&mut self) {
        let Some(slept) = self.suspension.look(boot_time(), awake_time()) else { return };
        log!("warn", "suspended", "for_ms={}", slept.as_millis());
        let now = Instant::now();
        for station in &mut self.stations {
            station.handle(now, Event::Suspended(slept), &mut self.kernel);
        }
    }

    fn hear_claims(&mut self) {
        let Some(claims) = self.claims.as_ref().filter(|claims| self.poller.is_ready(claims.fd())) else {
            return;
        };
        let (stations, kernel, own) = (&mut self.stations, &mut self.kernel, &self.own_macs);
        let now = Instant::now();
        claims.hear(|mac, address| {
            if !own.contains(&mac) {
                stations.iter_mut().for_each(|station| station.notice_claim(now, mac, address, kernel));
            }
        });
    }

    /// A check has turned, or a router has other checks than before.
    fn apply_checks(&mut self) {
        let now = Instant::now();
        for station in &mut self.stations {
            let (good, weight) = self.checks.verdict(&station.config.checks);
            station.handle(now, Event::Checks { good, weight }, &mut self.kernel);
        }
    }

    fn hear_adverts(&mut self) {
        let mut flooded = false;
        for wire in 0..self.kernel.wires.len() {
            for count in 1..=BATCH {
                flooded |= count == BATCH;
                let Some(it) = self.kernel.wires.get(wire) else { return };
                match it.socket.receive(&mut self.packet) {
                    Ok(Some(Ok(packet))) => hear(&packet, wire, &mut self.stations, &mut self.kernel),
                    Ok(Some(Err(reason))) => self.kernel.discard(reason, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
                    Ok(None) | Err(_) => break,
                }
            }
        }
        if flooded {
            sleep(FLOOD_PAUSE);
        }
    }

    fn fire_deadlines(&mut self) {
        for station in &mut self.stations {
            let now = Instant::now();
            if let Some(at) = station.router.next_deadline().filter(|at| *at <= now) {
                station.notice_lateness(now, now - at, &mut self.kernel);
                station.handle(now, Event::Deadline, &mut self.kernel);
            }
        }
    }

    fn interfaces(&mut self) -> Option<Vec<Interface>> {
        let listed = self.kernel.rtnl.interfaces();
        let listed = listed.inspect_err(|error| log!("error", "no-interfaces", "error=\"{error}\"")).ok();
        if let Some(interfaces) = &listed {
            self.own_macs = interfaces.iter().filter_map(|it| it.mac).collect();
        }
        listed
    }

    /// Something about links or addresses has changed, or may have. A kernel that will not say is asked again soon:
    /// not knowing is no reason to let go.
    fn survey(&mut self) {
        let interfaces = self.interfaces();
        let now = Instant::now();
        self.survey_at = now + if interfaces.is_some() { LONGEST_WAIT } else { SURVEY_AGAIN };
        let Some(interfaces) = interfaces else { return };
        for at in 0..self.stations.len() {
            let link = self.connect(at, &interfaces);
            let Some(station) = self.stations.get_mut(at) else { return };
            let was_active = station.is_active();
            station.handle(now, Event::Link(link), &mut self.kernel);
            // A station that has just let go has moved its addresses since they were listed.
            if station.is_active() == was_active {
                station.put_right(now, &interfaces, &mut self.kernel);
            }
        }
        let stations = &self.stations;
        self.kernel.wires.retain(|wire| stations.iter().any(|it| it.wire.as_ref() == Some(&wire.id)));
        self.look_for_links(now, &interfaces);
    }

    /// Sees to it that a station has a socket on its interface. Returns whether it can take part.
    fn connect(&mut self, at: usize, interfaces: &[Interface]) -> bool {
        let Some(station) = self.stations.get_mut(at) else { return false };
        station.provide_mac(interfaces, &mut self.kernel);
        station.provide_loopback(interfaces, &mut self.kernel);
        let up = station.look_around(interfaces);
        let Some(wire) = station.wire.clone() else { return false };
        let multicast = self.stations.iter().any(Station::is_multicast);
        self.kernel.open(&wire, multicast) && up
    }

    fn answer(&mut self) {
        let (stations, kernel) = (&mut self.stations, &mut self.kernel);
        let beside = (&self.checks, &self.balance, &self.acceptance);
        let (appliance, verdict, cause) = (&self.appliance, self.verdict, self.feed.cause());
        self.control.poll(|request| match request.split_once(' ') {
            None if request == "status" => {
                Answer::Line(status::json(appliance, stations, &kernel.counters, beside, (verdict, cause)))
            }
            None if request == "events" => {
                Answer::Follow(status::json(appliance, stations, &kernel.counters, beside, (verdict, cause)))
            }
            Some(("why", wanted)) => Answer::Line(status::why(appliance, stations, wanted)),
            Some((word @ ("failback" | "seize" | "yield"), rest)) => {
                Answer::Line(orders::answer(stations, word, rest, kernel))
            }
            _ => Answer::Line(orders::UNKNOWN.to_owned()),
        });
    }

    /// Tells those who follow what has happened since the last round.
    fn publish(&mut self) {
        if self.control.has_followers() {
            for event in &self.kernel.events {
                self.control.publish(&event.to_string());
            }
        }
        self.kernel.events.clear();
    }

    fn pet_watchdog(&mut self) {
        if let (Some(at), Some(pause)) = (self.watchdog_at, self.notify.watchdog)
            && Instant::now() >= at
        {
            self.notify.send(&format!("WATCHDOG=1\nSTATUS={}", self.status_line()));
            self.watchdog_at = Some(Instant::now() + pause);
        }
    }

    fn status_line(&self) -> String {
        let states = self.stations.iter().map(|it| format!("{} {}", it.config.name, it.router.word()));
        states.collect::<Vec<_>>().join(", ")
    }

    fn stop(&mut self) {
        self.notify.send("STOPPING=1");
        let now = Instant::now();
        for station in &mut self.stations {
            station.handle(now, Event::Shutdown, &mut self.kernel);
        }
        for station in &self.stations {
            station.remove_mac(&mut self.kernel);
            station.remove_loopback(&self.appliance, &mut self.kernel);
        }
        acceptance::remove(&self.appliance.paths.run_dir);
        let interfaces = self.interfaces().unwrap_or_default();
        arp_settings::restore(&mut self.kernel.rtnl, &self.appliance.paths.run_dir, &interfaces, &[]);
        let patience = Instant::now() + LAST_NEWS;
        while !self.kernel.notifier.is_idle() && Instant::now() < patience {
            self.kernel.notifier.poll(Instant::now());
            sleep(FLOOD_PAUSE);
        }
        let _ = fs::remove_file(self.appliance.paths.vrrpd_socket());
        log!("info", "stopped", "host={}", self.appliance.host.name);
    }
}

/// One packet from the `wire`-th socket, up to the station it is for.
fn hear(packet: &Packet<'_>, wire: usize, stations: &mut [Station], kernel: &mut Kernel) {
    let source = packet.source;
    let Some(wire) = kernel.wires.get(wire).map(|wire| wire.id.clone()) else { return };
    if wire.source == source {
        return;
    }
    let (advert, checksum) = match Advert::parse(packet.payload, packet.ttl, source, packet.destination) {
        Ok(parsed) => parsed,
        Err(reason) => return kernel.discard(reason, source),
    };
    kernel.counters.checksum_without_pseudo_header += u64::from(checksum == Checksum::WithoutPseudoHeader);
    let on_this_link = |it: &&mut Station| {
        let index = it.wire.as_ref().map(|wire| wire.index);
        it.config.vrid == advert.vrid && index == Some(wire.index) && it.vips.is_ipv6() == source.is_ipv6()
    };
    match stations.iter_mut().find(on_this_link) {
        // A link with two sockets hears everything twice: each is for its own routers.
        Some(station) if station.wire.as_ref() != Some(&wire) => {}
        Some(station) => station.hear(Instant::now(), &advert, source, kernel),
        None => kernel.discard(Discard::UnknownVrid, source),
    }
}
