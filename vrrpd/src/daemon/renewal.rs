//! Becoming another vrrpd without stopping: a new program (SIGUSR2) or a new configuration (SIGHUP).
//!
//! **A new program** is first asked whether it accepts the configuration, while this one goes on. If it does, every
//! MASTER sends one more advert, and the process turns into the new program (execve, so the service manager sees
//! the same pid). It finds the record of that advert and resumes, as after a crash, but sooner.
//!
//! **A new configuration** is compared router by router. One that says nothing new sees nothing. One that a MASTER can take
//! over in place keeps its addresses; any other is stopped and started.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use configs::Appliance;
use serde_json::json;
use vrrpd::fsm::Event;

use crate::child::Running;
use crate::cli::Arguments;
use crate::log::log;
use crate::record::{self, Record};

use super::Daemon;
use super::station::Station;

/// A new program that does not answer by then is not what it should be.
const PATIENCE: Duration = Duration::from_secs(5);

/// The program at the place this one was started from: after an upgrade, another one.
pub(crate) fn program() -> PathBuf {
    let started_as = std::env::args_os().next().map(PathBuf::from).filter(|path| path.has_root());
    started_as.or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| PathBuf::from("standfast-vrrpd"))
}

/// The question to the new program.
#[derive(Default)]
pub(crate) struct Candidate(Option<Running>);

impl Candidate {
    /// Begins to ask; a question that is under way is enough.
    pub(crate) fn ask(&mut self, arguments: &Arguments) {
        if self.0.is_some() {
            return;
        }
        match Running::start(Command::new(program()).args(arguments.again("--check"))) {
            Ok(running) => self.0 = Some(running),
            Err(error) => log!("error", "not-renewed", "error=\"{error}\""),
        }
    }

    /// Whether it has accepted.
    pub(crate) fn accepts(&mut self, now: Instant) -> bool {
        let Some(running) = &mut self.0 else { return false };
        match running.ended() {
            None if now < running.since + PATIENCE => return false,
            Some(Some(0)) => {
                self.0 = None;
                return true;
            }
            None => log!("error", "not-renewed", "error=\"the new program does not answer\""),
            Some(code) => {
                let code = code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
                log!(
                    "error",
                    "not-renewed",
                    "error=\"the new program refuses the configuration\" status={code}"
                );
            }
        }
        self.0 = None;
        false
    }

    pub(crate) fn fd(&self) -> Option<i32> {
        self.0.as_ref().map(Running::fd)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.0.as_ref().map(|running| running.since + PATIENCE)
    }
}

impl Daemon {
    /// Turns into the new program. Returns only if that failed, and then nothing has changed.
    pub(super) fn renew(&mut self) {
        for station in &mut self.stations {
            station.advertise_now(&mut self.kernel);
        }
        log!("info", "renewing", "host={}", self.appliance.host.name);
        let words: Vec<OsString> = self.arguments.words();
        let error = Command::new(program()).args(words).exec();
        log!("error", "not-renewed", "error=\"{error}\"");
    }

    /// Reads the configuration again and lives by it, or says why not and goes on with the old one.
    pub(super) fn reload(&mut self) {
        let loaded = self.arguments.load();
        let refusal = match &loaded {
            Err(problems) => Some(problems.clone()),
            Ok(new) if new.paths != self.appliance.paths => {
                Some("[paths] has changed; that takes a restart".to_owned())
            }
            Ok(new) if new.host != self.appliance.host => {
                Some("this host has changed; that takes a restart".to_owned())
            }
            Ok(_) => None,
        };
        let told = match (loaded, refusal) {
            (Ok(new), None) => match self.adopt(new) {
                Ok(changed) => json!({ "event": "reload", "ok": true, "changed": changed }),
                Err(error) => json!({ "event": "reload", "ok": false, "error": error.to_string() }),
            },
            (_, refusal) => json!({ "event": "reload", "ok": false, "error": refusal }),
        };
        match told.get("error").and_then(|error| error.as_str()) {
            Some(error) => log!("error", "not-reloaded", "error=\"{}\"", error.replace('\n', "; ")),
            None => log!("info", "reloaded", "changed={}", told["changed"]),
        }
        self.kernel.events.push(told);
    }

    /// Returns the names of the routers that were touched.
    fn adopt(&mut self, new: Appliance) -> io::Result<Vec<String>> {
        record::accept(&new.paths.run_dir, &self.arguments.config);
        let interfaces = self.kernel.rtnl.interfaces()?;
        let now = Instant::now();
        let same_grace = new.angel.grace == self.appliance.angel.grace;
        let was_multicast = self.stations.iter().any(Station::is_multicast);
        let mut changed = Vec::new();
        let mut old = std::mem::take(&mut self.stations);
        self.appliance = new;
        self.acceptance.adopt(now, &self.appliance);
        for (place, router) in self.appliance.routers.iter().enumerate() {
            let former = old.iter().position(|station| station.config.name == router.name);
            let former = former.map(|at| old.swap_remove(at));
            if let Some(mut station) = former {
                if station.config == *router && same_grace {
                    station.stay(place, &self.appliance);
                    self.stations.push(station);
                    continue;
                }
                changed.push(router.name.clone());
                let mut next = Station::new(place, router, &self.appliance, now);
                if station.config.balanced && !router.balanced {
                    station.remove_loopback(&self.appliance, &mut self.kernel);
                }
                next.inherit(station, &interfaces, &mut self.kernel, now);
                self.stations.push(next);
                continue;
            }
            changed.push(router.name.clone());
            self.stations.push(Station::new(place, router, &self.appliance, now));
        }
        for mut gone in old {
            changed.push(gone.config.name.clone());
            gone.handle(now, Event::Shutdown, &mut self.kernel);
            gone.remove_mac(&mut self.kernel);
            gone.remove_loopback(&self.appliance, &mut self.kernel);
        }
        self.kernel.record = Record::create(&self.appliance.paths.run_dir)?;
        if was_multicast != self.stations.iter().any(Station::is_multicast) {
            self.kernel.wires.clear();
        }
        for at in 0..self.stations.len() {
            self.join(at, now);
        }
        self.checks.adopt(&self.appliance.checks, now);
        self.apply_checks();
        self.survey();
        let interfaces = self.kernel.rtnl.interfaces()?;
        self.restore_arp(&interfaces);
        Ok(changed)
    }

    /// A station that is new takes part from now on; one that is not is written into the new record.
    fn join(&mut self, at: usize, now: Instant) {
        let interfaces = self.interfaces().unwrap_or_default();
        let fresh = self.stations.get(at).is_some_and(|station| station.router.word() == "INIT");
        if !fresh {
            if let Some(station) = self.stations.get_mut(at) {
                station.note(&mut self.kernel);
            }
            return;
        }
        let link = self.connect(at, &interfaces);
        let (verdict, warm) = (self.verdict, self.warm);
        let Some(station) = self.stations.get_mut(at) else { return };
        let resume = link && station.inherits;
        if !resume {
            let present = station.vips.present(&interfaces);
            station.remove_strays(&present, &mut self.kernel);
            station.remove_routes(&mut self.kernel);
        }
        station.handle(now, Event::Link(link), &mut self.kernel);
        station.handle(now, Event::Warm(warm), &mut self.kernel);
        station.handle(now, Event::Verdict(verdict), &mut self.kernel);
        station.handle(now, if resume { Event::Resume } else { Event::Startup }, &mut self.kernel);
    }
}
