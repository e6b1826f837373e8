//! The angel's one thread: waits for signals, proxyd's end, clients and its own tick; does what the pure tables of this
//! crate say, and tells the verdict to whoever listens.
//!
//! The way from proxyd's end to the next exec: `poll` returns → [`Supervisor::on_ended`] → `waitpid` → restart policy →
//! fork and exec. Everything else (feed, store, pid file) comes after it.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use health::feed::{self, Report};
use health::hang::{Hang, HangDetector, PERIOD};
use health::heartbeat::{Segment, State};
use health::restart::{Decision, Ending, RestartPolicy};
use health::verdict::{Input, Tracker, Verdict};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use crate::clients::{Clients, Request};
use crate::legacy;
use crate::log;
use crate::process::{Launcher, Proxy};
use crate::status;
use crate::systemd::Manager;

/// A proxyd that is not ready after this long will not be.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// Between SIGABRT (a core to look at) and SIGKILL (an end to it).
const ABORT_TIME: Duration = Duration::from_millis(50);
/// On top of proxyd's own drain time, before it is killed.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Files in the run directory.
pub(crate) struct Files {
    pub(crate) proxy_pid: PathBuf,
    /// Exists while an operator has drained this host, so that it stays drained over the angel's restart.
    pub(crate) drained: PathBuf,
    pub(crate) socket: PathBuf,
}

/// One life of proxyd.
pub(crate) struct Life {
    pub(crate) proxy: Proxy,
    pub(crate) started: Instant,
    pub(crate) ready: Option<Instant>,
    /// We are ending it: why, and when it gets SIGKILL.
    doomed: Option<(Ending, Instant)>,
    hang: HangDetector,
}

pub(crate) struct Supervisor {
    pub(crate) host: String,
    pub(crate) limits: configs::Angel,
    pub(crate) heartbeat: Segment,
    pub(crate) launcher: Launcher,
    /// proxyd's oom_score_adj, as it was before the angel lowered its own.
    pub(crate) oom_score: String,
    pub(crate) manager: Manager,
    pub(crate) files: Files,
    pub(crate) tracker: Tracker,
    pub(crate) policy: RestartPolicy,
    pub(crate) life: Option<Life>,
    /// When there is no life: when the next one begins.
    pub(crate) start_at: Instant,
    pub(crate) restarts: u32,
    pub(crate) last_ending: Option<Ending>,
    pub(crate) stopping: bool,
    pub(crate) told_ready: bool,
    next_publish: Instant,
    next_ping: Instant,
}

/// The parts that `main` puts together.
pub(crate) struct Parts {
    pub(crate) host: String,
    pub(crate) limits: configs::Angel,
    pub(crate) heartbeat: Segment,
    pub(crate) launcher: Launcher,
    /// proxyd's oom_score_adj, as it was before the angel lowered its own.
    pub(crate) oom_score: String,
    pub(crate) manager: Manager,
    pub(crate) files: Files,
    pub(crate) tracker: Tracker,
    pub(crate) policy: RestartPolicy,
}

impl Supervisor {
    pub(crate) fn new(parts: Parts, now: Instant) -> Supervisor {
        let Parts { host, limits, heartbeat, launcher, oom_score, manager, files, tracker, policy } = parts;
        let mut supervisor = Supervisor {
            host,
            limits,
            heartbeat,
            launcher,
            oom_score,
            manager,
            files,
            tracker,
            policy,
            life: None,
            start_at: now,
            restarts: 0,
            last_ending: None,
            stopping: false,
            told_ready: false,
            next_publish: now,
            next_ping: now,
        };
        if supervisor.files.drained.exists() {
            supervisor.tracker.on(Input::Drain { cause: "operator" }, now);
        }
        supervisor
    }

    /// Goes on with a proxyd that an earlier angel started.
    pub(crate) fn adopt(&mut self, proxy: Proxy, now: Instant) {
        log::info(format_args!("event=proxy-adopted pid={}", proxy.pid()));
        self.begin_life(proxy, now);
        self.look(now);
        if let Some(life) = &mut self.life
            && life.ready.is_some()
        {
            // It may have been ready for days; the angel that knew is gone. It is taken for proven.
            life.ready = now.checked_sub(health::restart::PROVEN).or(Some(now));
        }
    }

    /// After a stop that was meant.
    pub(crate) fn leave_nothing(&mut self) {
        self.manager.empty_store();
        for file in [&self.files.proxy_pid, &self.files.socket] {
            let _ = fs::remove_file(file);
        }
        log::info(format_args!("event=stopped"));
    }

    /// Until told to stop.
    pub(crate) fn run(&mut self, signals: &SignalFd, clients: &mut Clients) -> io::Result<()> {
        let mut next_tick = Instant::now();
        loop {
            let now = Instant::now();
            if now >= next_tick {
                // Not `+=` alone: after a pause there is one look, not a burst of them.
                next_tick = (next_tick + PERIOD).max(now + PERIOD / 2);
                self.tick(now, clients);
            }
            if self.stopping && self.life.is_none() {
                return Ok(());
            }
            let woken = self.wait(signals, clients, next_tick)?;
            let now = Instant::now();
            if woken.proxy {
                self.on_ended(now);
            }
            if woken.signals {
                while let Some(info) = signals.read_signal()? {
                    self.on_signal(info.ssi_signo as i32, now);
                }
            }
            if woken.clients {
                clients.serve(|request| self.answer(request, now));
            }
            self.tell_changes(clients, now);
        }
    }

    /// Looks at everything that nobody wakes the angel for.
    fn tick(&mut self, now: Instant, clients: &mut Clients) {
        if self.life.is_none() && !self.stopping && now >= self.start_at {
            self.start(now);
        }
        self.look(now);
        self.kill_overdue(now);
        self.input(Input::Tick, now);
        self.tell_changes(clients, now);
        if let Some(pause) = self.manager.watchdog()
            && now >= self.next_ping
        {
            self.next_ping = now + pause;
            self.manager.tell("WATCHDOG=1");
        }
    }

    /// Reads the heartbeat segment and draws the conclusions.
    fn look(&mut self, now: Instant) {
        let Some(life) = &mut self.life else { return };
        if life.doomed.is_some() || self.stopping {
            return;
        }
        if life.ready.is_none() {
            if self.heartbeat.all_ready() {
                life.ready = Some(now);
                let ms = now.saturating_duration_since(life.started).as_millis();
                log::info(format_args!("event=proxy-ready pid={} after_ms={ms}", life.proxy.pid()));
                self.input(Input::Ready, now);
            } else if now.saturating_duration_since(life.started) >= READY_TIMEOUT {
                self.doom(Ending::NotReady, now, now);
            }
            return;
        }
        let beats = self.heartbeat.slots().iter().map(|slot| slot.beats());
        let threads = &self.heartbeat;
        let thread = |worker| life.proxy.thread(threads.get(worker)?.thread());
        if let Some(Hang { worker, since }) = life.hang.look(beats, thread, now) {
            let silent = now.saturating_duration_since(since).as_millis();
            log::error(format_args!(
                "event=proxy-hung pid={} worker={worker} silent_ms={silent}",
                life.proxy.pid()
            ));
            self.doom(Ending::Hung, since, now);
            return;
        }
        if self.heartbeat.slots().iter().any(|slot| slot.state() == State::Draining) {
            self.let_end(Ending::Clean, now);
        }
        self.input(Input::Backends(self.heartbeat.backends()), now);
    }

    /// Ends a life that is of no use: a core if that can be had quickly, and an end in any case.
    fn doom(&mut self, ending: Ending, since: Instant, now: Instant) {
        let Some(life) = &mut self.life else { return };
        if life.proxy.is_stopped() {
            life.proxy.signal(Signal::SIGKILL);
        } else {
            life.proxy.signal(Signal::SIGABRT);
        }
        life.doomed = Some((ending, now + ABORT_TIME));
        self.input(Input::Gone { since, crash_loop: false, cause: ending.cause() }, now);
    }

    fn kill_overdue(&mut self, now: Instant) {
        if let Some(life) = &mut self.life
            && let Some((_, kill_at)) = &mut life.doomed
            && now >= *kill_at
        {
            *kill_at = now + Duration::from_secs(1);
            life.proxy.signal(Signal::SIGKILL);
        }
    }

    /// proxyd has ended. The next one starts here, before anybody is told.
    fn on_ended(&mut self, now: Instant) {
        let Some(life) = self.life.take() else { return };
        let seen = life.proxy.ending();
        let ending = life.doomed.map_or(seen, |(why, _)| why);
        if self.stopping {
            log::info(format_args!("event=proxy-stopped pid={} how={seen:?}", life.proxy.pid()));
            return;
        }
        let ready_for = life.ready.map(|ready| now.saturating_duration_since(ready));
        self.schedule(ending, ready_for, now);
        if self.start_at <= now {
            self.start(now);
        }
        let pid = life.proxy.pid();
        let ready_ms = ready_for.map_or(0, |time| time.as_millis());
        log::error(format_args!(
            "event=proxy-ended pid={pid} why={ending:?} how={seen:?} ready_ms={ready_ms}"
        ));
    }

    /// Asks the policy when to start again, and lets the verdict follow.
    fn schedule(&mut self, ending: Ending, ready_for: Option<Duration>, now: Instant) {
        let Decision { start_at, crash_loop } = self.policy.on_ended(ending, ready_for, now);
        self.start_at = start_at;
        self.last_ending = Some(ending);
        self.input(Input::Gone { since: now, crash_loop, cause: ending.cause() }, now);
    }

    fn start(&mut self, now: Instant) {
        self.heartbeat.reset();
        match self.launcher.start() {
            Ok(proxy) => {
                proxy.set_oom_score(&self.oom_score);
                if self.last_ending.is_some() {
                    self.restarts = self.restarts.saturating_add(1);
                }
                log::info(format_args!("event=proxy-started pid={} restarts={}", proxy.pid(), self.restarts));
                self.begin_life(proxy, now);
            }
            Err(error) => {
                let program = self.launcher.program().display();
                log::error(format_args!("event=proxy-not-started program={program} error={error:?}"));
                self.schedule(Ending::NotStarted, None, now);
            }
        }
    }

    fn begin_life(&mut self, proxy: Proxy, now: Instant) {
        self.manager.store(legacy::PROXYD, proxy.as_fd());
        if let Err(error) = fs::write(&self.files.proxy_pid, format!("{}\n", proxy.pid())) {
            log::warning(format_args!("event=pid-file-failed error={error:?}"));
        }
        let hang = HangDetector::new(self.limits.hang_timeout);
        self.life = Some(Life { proxy, started: now, ready: None, doomed: None, hang });
    }

    fn on_signal(&mut self, signal: i32, now: Instant) {
        match Signal::try_from(signal) {
            Ok(Signal::SIGTERM | Signal::SIGINT) => self.stop(now),
            Ok(Signal::SIGHUP) => self.restart_proxy(now),
            // SIGCHLD: the pidfd tells.
            _ => {}
        }
    }

    /// Verdict first, so that vrrpd moves the VIP while proxyd finishes what runs. Asked twice, it ends at once.
    fn stop(&mut self, now: Instant) {
        let again = std::mem::replace(&mut self.stopping, true);
        log::info(format_args!("event=stopping again={again}"));
        self.manager.tell("STOPPING=1");
        self.input(Input::Drain { cause: "stopping" }, now);
        if let Some(life) = &mut self.life {
            life.proxy.signal(if again { Signal::SIGKILL } else { Signal::SIGTERM });
            life.doomed = Some((Ending::Asked, now + self.limits.drain + DRAIN_MARGIN));
        }
    }

    fn restart_proxy(&mut self, now: Instant) {
        let Some(life) = &self.life else { return };
        if life.doomed.is_some() {
            return;
        }
        log::info(format_args!("event=proxy-restart-asked pid={}", life.proxy.pid()));
        life.proxy.signal(Signal::SIGTERM);
        self.let_end(Ending::Asked, now);
    }

    /// A proxy that drains - by our order, or because somebody sent it SIGTERM - takes no more connections. It gets half
    /// the grace to finish, so that the whole restart stays inside it.
    fn let_end(&mut self, ending: Ending, now: Instant) {
        if let Some(life) = &mut self.life {
            life.doomed = Some((ending, now + self.limits.drain.min(self.limits.grace / 2)));
        }
        self.input(Input::Gone { since: now, crash_loop: false, cause: ending.cause() }, now);
    }

    fn answer(&mut self, request: Request, now: Instant) -> String {
        match request {
            Request::Subscribe => return self.feed_line(now),
            Request::Status => {}
            Request::Drain => self.set_drained(true, now),
            Request::Undrain => self.set_drained(false, now),
            Request::RestartProxy => self.restart_proxy(now),
        }
        status::json(self, now)
    }

    fn set_drained(&mut self, drained: bool, now: Instant) {
        if self.stopping {
            return;
        }
        let done =
            if drained { fs::write(&self.files.drained, "") } else { fs::remove_file(&self.files.drained) };
        if let Err(error) = done
            && error.kind() != io::ErrorKind::NotFound
        {
            log::warning(format_args!("event=drain-mark-failed error={error:?}"));
        }
        self.input(if drained { Input::Drain { cause: "operator" } } else { Input::Undrain }, now);
    }

    fn input(&mut self, input: Input, now: Instant) {
        if let Some(change) = self.tracker.on(input, now) {
            log::info(format_args!(
                "event=verdict from={} to={} cause={}",
                change.from, change.to, change.cause
            ));
            self.next_publish = now;
        }
    }

    /// The feed at once after a change, and in its interval; the service manager's status line after a change.
    fn tell_changes(&mut self, clients: &mut Clients, now: Instant) {
        if now < self.next_publish {
            return;
        }
        self.next_publish = now + feed::INTERVAL;
        clients.publish(&self.feed_line(now));
        if !self.told_ready && self.tracker.verdict() != Verdict::Restarting {
            self.told_ready = true;
            self.manager.tell("READY=1");
        }
        self.manager.status(self.tracker.verdict().word(), self.tracker.cause());
    }

    fn feed_line(&self, now: Instant) -> String {
        feed::encode(&Report {
            verdict: self.tracker.verdict(),
            cause: self.tracker.cause().to_owned(),
            since: now.saturating_duration_since(self.tracker.since()),
            restarts: self.restarts,
            sessions: self.heartbeat.sessions(),
            backends: self.heartbeat.backends(),
            warm: self.heartbeat.is_warm(),
        })
    }

    fn wait(&self, signals: &SignalFd, clients: &Clients, until: Instant) -> io::Result<Woken> {
        let mut fds = vec![PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        fds.extend(self.life.as_ref().map(|life| PollFd::new(life.proxy.as_fd(), PollFlags::POLLIN)));
        let first_client = fds.len();
        fds.extend(clients.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        let mut until = until;
        if self.life.is_none() {
            until = until.min(self.start_at);
        }
        // Rounded up: waking a moment early would only spin.
        let wait = until.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
        match poll(&mut fds, PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let ready = |fds: &[PollFd<'_>]| fds.iter().any(|fd| fd.any().unwrap_or(false));
        let (ours, theirs) = fds.split_at(first_client);
        let (signal, proxy) = ours.split_at(1);
        Ok(Woken { signals: ready(signal), proxy: ready(proxy), clients: ready(theirs) })
    }
}

struct Woken {
    signals: bool,
    proxy: bool,
    clients: bool,
}
