//! When a virtual router is Active: RFC 9568 §6.4 as one table, and beside it the rows of this appliance.
//!
//! Owns the state of one virtual router on one host. Never reads a clock, never does I/O: an event and the time go
//! in, actions come out, in the order in which they must take effect. A wake-up that is early or repeated changes
//! nothing, so a stale timer cannot exist.
//!
//! | state | event | actions, in order | next |
//! |---|---|---|---|
//! | Initialize 6.4.1 | Startup, owner and live | SendAdvert(255), InstallVips, Announce | Active, advert_at = now + interval |
//! | | Startup, else | - | Backup, down_at = now + Active_Down_Interval + back-off |
//! | | Shutdown, Deadline, Advert | - | Initialize |
//! | Backup 6.4.2 | Shutdown | - | Initialize |
//! | | Deadline, competing, now >= down_at | SendAdvert(p), InstallVips, Announce | Active |
//! | | Advert, priority 0, of the master heard last | - | Backup, down_at = now + Skew_Time + back-off, or now: see *first in line* |
//! | | Advert, priority 0, of another one | - | same |
//! | | Advert, no preempt or priority >= own | - | Backup, interval adopted, down_at recomputed |
//! | | Advert, lower and preempt | - | Backup, down_at untouched |
//! | Active 6.4.3 | Shutdown | Reset, RemoveVips, SendAdvert(0), Reset | Initialize |
//! | | Deadline, now >= advert_at | SendAdvert(p) | Active, advert_at = now + interval |
//! | | Advert, priority 0 | SendAdvert(p) | Active, advert_at = now + interval |
//! | | Advert, higher, or equal and sender's address greater | Reset, RemoveVips, SendAdvert(p), Reset | Backup, interval adopted |
//! | | Advert, otherwise | SendAdvert(p), Announce, again at +50, +200, +500 ms, +1 s | Active, advert_at untouched |
//! | Backup, Active | Startup; Deadline before its time | - | same |
//!
//! Appliance rows (ours, not the RFC's). *Fit* means link up, checks good, and verdict not Down or Draining, and not Restarting
//! for longer than the grace; *competing* means fit and not Restarting.
//!
//! | state | event | actions, in order | next |
//! |---|---|---|---|
//! | Initialize | becomes fit, after Startup | as Startup | |
//! | Initialize | Resume: this process was Active less than three intervals ago, and fit | SendAdvert(p), InstallVips, Announce | Active |
//! | Backup, Active | no longer fit (verdict, link, or the grace ends) | as Shutdown | Initialize |
//! | Backup | begins to compete | as Deadline | |
//! | Backup | Takeover (operator) | - | Backup, preempts a lower master, or gives up on hearing one that is not |
//! | Backup | Seize (operator), competing | SendAdvert(254), InstallVips, Announce | Active, adverts say 254 for three intervals |
//! | Active | Yield (operator) | as Shutdown | Backup, takes it back if nobody else does |
//! | Backup | anything, overslept by an Active_Down_Interval | - | Backup, listens for another one, but only once |
//! | Active | anything, no advert sent for three intervals | RemoveVips, Reset | Backup, then the event |
//! | Backup, Active | Suspended | - | as if that time had passed: overslept, or the same |
//! | Active | Deadline, announcement due (0, 50, 200 ms, 1, 5 s, then every 10 s) | Announce | Active |
//! | Active | VipsLost (somebody removed them) | InstallVips, Announce | Active |
//!
//! Members of a group that moves together have a few rows more: [`group`].
//!
//! Who gives way to a higher one says so with a last advert of its own (the RFC's would be silent): after a partition the other may
//! not have heard of it, and would leave everybody with the wrong hardware address until its next announcement.
//!
//! **Two at once.** Who resigns has no VIP any more when it says so, so there is a gap and never a double. Who preempts or seizes is Active
//! before the other one hears of it: for a packet's flight both have the VIPs, which is the RFC's way (the other way round is a gap).
//! A client's packets go to one of them all the while; one that asks in between and is answered by the loser is put right by the
//! announcement that answers the loser's last advert.
//!
//! Connections are reset before the address goes because afterwards the kernel has no source address left to send
//! the reset from; the reset that follows the resignation sweeps up what came in between.
//!
//! **Tie trap.** Priority says how much a host wants the VIP; fitness says whether it may have it. With the
//! article's arithmetic a dead 101 equals a healthy 99 + 2: the dead host is not fit, so it does not take part.
//!
//! **Back-off.** Skew_Time alone separates neighbours by fractions of a millisecond at short intervals, and then two
//! become Active together. Hosts know their order, so the n-th in line waits n further slots; the first waits none.
//!
//! **First in line.** Skew_Time lets a better placed router go first. Where there is none, and the router that resigns has
//! been the only Active one for an Active_Down_Interval, waiting serves nobody: the first in line takes over at once, and
//! the others hear it long before their own time comes. Of a router that fell silent it waits three intervals and a tenth,
//! for an advert that is late. So nobody takes over within three intervals, and that is the time in which a
//! router that was away may resume, and after which one that slept lets go.

mod announce;
mod backup;
pub mod group;
mod input;
mod output;
mod why;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use configs::Failback;
use health::verdict::Verdict;

use crate::interval::AdvertInterval;
use crate::priority::{Priority, silence};

use announce::Announcements;
pub use backup::Backup;
use input::Rfc;
pub use input::{Event, Heard, Setup};
pub use output::{Action, Actions, Cause};
pub use why::Why;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Initialize,
    Backup(Backup),
    Active(Active),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    /// When the next advert goes out.
    pub advert_at: Instant,
    announcements: Announcements,
}

/// One virtual router on this host.
#[derive(Debug, Clone)]
pub struct Router {
    setup: Setup,
    /// Its adverts, as a MASTER, are so far apart now.
    interval: AdvertInterval,
    state: State,
    started: bool,
    link: bool,
    checks_good: bool,
    checks_weight: i16,
    partners_sound: bool,
    verdict: Verdict,
    warm: bool,
    /// Since when the verdict has been `Restarting`.
    restarting_since: Option<Instant>,
    /// Why the state is what it is.
    cause: Cause,
    /// Until then adverts say more than any other router's, so that a better placed one lets go.
    seizing_until: Option<Instant>,
}

/// What a router's adverts say while it seizes a VIP: more than any but the address owner's.
const SEIZING: Priority = Priority(254);

impl Router {
    /// A router that takes no part yet. `now` begins the grace in which the first verdict must come.
    #[must_use]
    pub fn new(setup: Setup, now: Instant) -> Router {
        Router {
            interval: setup.interval,
            setup,
            state: State::Initialize,
            started: false,
            link: false,
            checks_good: true,
            checks_weight: 0,
            partners_sound: true,
            verdict: Verdict::Restarting,
            warm: true,
            restarting_since: Some(now),
            cause: Cause::Startup,
            seizing_until: None,
        }
    }

    /// What to do about `event`, in the order of effect.
    pub fn on(&mut self, now: Instant, event: Event) -> impl Iterator<Item = Action> + use<> {
        let mut out = Actions::default();
        self.seizing_until = self.seizing_until.filter(|until| now < *until);
        let slept = if let Event::Suspended(time) = event { time } else { Duration::ZERO };
        self.guard_against_oversleeping(now, slept, &mut out);
        match event {
            Event::Startup | Event::Resume | Event::Verdict(_) | Event::Warm(_) => {
                self.learn(now, event, &mut out)
            }
            Event::Link(_) | Event::Checks { .. } | Event::Partners(_) => self.learn(now, event, &mut out),
            Event::Together => self.join_others(now, &mut out),
            Event::LetGo => self.follow_others(now, &mut out),
            Event::Shutdown => {
                self.started = false;
                self.rfc(now, Rfc::Shutdown(Cause::Shutdown), &mut out);
            }
            Event::Deadline => {
                self.appliance(now, &mut out);
                self.rfc(now, Rfc::Deadline, &mut out);
                self.announce_if_due(now, &mut out);
            }
            Event::Advert(heard) => self.rfc(now, Rfc::Advert(heard), &mut out),
            Event::VipsLost => self.reinstall(now, &mut out),
            Event::Takeover => {
                if let State::Backup(backup) = &mut self.state {
                    backup.takeover = true;
                }
            }
            Event::Suspended(_) => {}
            Event::Interval(interval) => self.interval = interval,
            Event::Seize => self.seize(now, &mut out),
            Event::Yield => self.give_way(now, &mut out),
        }
        out.into_iter()
    }

    fn seize(&mut self, now: Instant, out: &mut Actions) {
        if matches!(self.state, State::Backup(_)) && self.competes(now) {
            self.seizing_until = Some(now + 3 * self.interval());
            self.become_active(now, Cause::Moved, out);
        }
    }

    fn give_way(&mut self, now: Instant, out: &mut Actions) {
        if matches!(self.state, State::Active(_)) {
            self.rfc(now, Rfc::Shutdown(Cause::Moved), out);
            self.become_backup(now, None, Cause::Moved);
        }
    }

    /// The address that adverts are sent from, once it is known: it decides between equal priorities.
    pub fn set_address(&mut self, address: IpAddr) {
        self.setup.address = address;
    }

    /// The RFC's table. Rows in its order; every cell is written.
    fn rfc(&mut self, now: Instant, event: Rfc, out: &mut Actions) {
        let own = self.priority();
        match (self.state, event) {
            (State::Initialize, Rfc::Startup) if own == Priority::OWNER && self.competes(now) => {
                self.become_active(now, Cause::Owner, out);
            }
            (State::Initialize, Rfc::Startup) => self.become_backup(now, None, Cause::Startup),
            (State::Initialize, Rfc::Shutdown(_) | Rfc::Deadline | Rfc::Advert(_)) => {}

            (State::Backup(_), Rfc::Shutdown(cause)) => self.initialize(cause),
            (State::Backup(backup), Rfc::Deadline) if self.competes(now) && now >= backup.down_at => {
                self.take_over(now, backup.expiry, out);
            }
            (State::Backup(mut backup), Rfc::Advert(heard)) if heard.priority == Priority::RELEASE => {
                backup.heard_release(now, heard.source, &self.setup, own);
                self.state = State::Backup(backup);
            }
            (State::Backup(mut backup), Rfc::Advert(heard))
                if heard.priority >= own || !self.preempts(now, &backup) =>
            {
                backup.heard_master(now, &heard, &self.setup, own, self.competes(now) && self.warm);
                self.state = State::Backup(backup);
            }
            (State::Backup(mut backup), Rfc::Advert(heard)) => {
                backup.heard_lower(now, &heard);
                self.state = State::Backup(backup);
            }

            (State::Active(_), Rfc::Shutdown(cause)) => {
                out.push_all([Action::ResetConnections, Action::RemoveVips]);
                out.push_all([Action::SendAdvert(Priority::RELEASE), Action::ResetConnections]);
                self.initialize(cause);
            }
            (State::Active(active), Rfc::Deadline) if now >= active.advert_at => {
                out.push(Action::SendAdvert(own));
                self.state = State::Active(Active { advert_at: now + self.interval(), ..active });
            }
            (State::Active(active), Rfc::Advert(heard)) if heard.priority == Priority::RELEASE => {
                out.push(Action::SendAdvert(own));
                self.state = State::Active(Active { advert_at: now + self.interval(), ..active });
            }
            (State::Active(_), Rfc::Advert(heard)) if self.outranked_by(&heard) => {
                out.push_all([Action::ResetConnections, Action::RemoveVips]);
                out.push_all([Action::SendAdvert(own), Action::ResetConnections]);
                self.become_backup(now, Some(&heard), Cause::HigherPriority);
            }
            (State::Active(active), Rfc::Advert(_)) => {
                out.push_all([Action::SendAdvert(own), Action::Announce]);
                let announcements = Announcements::after_rival(now);
                self.state = State::Active(Active { announcements, ..active });
            }

            (State::Backup(_) | State::Active(_), Rfc::Startup | Rfc::Deadline) => {}
        }
    }

    /// The appliance's table, as far as it turns facts into the RFC's events.
    fn appliance(&mut self, now: Instant, out: &mut Actions) {
        match (self.state, self.unfit(now)) {
            (State::Initialize, None) if self.started => self.rfc(now, Rfc::Startup, out),
            (State::Backup(_) | State::Active(_), Some(cause)) => self.rfc(now, Rfc::Shutdown(cause), out),
            (State::Initialize, Some(cause)) if self.started => self.cause = cause,
            (State::Initialize, None | Some(_)) | (State::Backup(_) | State::Active(_), None) => {}
        }
    }

    fn learn(&mut self, now: Instant, event: Event, out: &mut Actions) {
        match event {
            Event::Verdict(verdict) => {
                let restarting = verdict == Verdict::Restarting;
                self.restarting_since =
                    if restarting { Some(self.restarting_since.unwrap_or(now)) } else { None };
                self.verdict = verdict;
            }
            Event::Warm(warm) => self.warm = warm,
            Event::Link(up) => self.link = up,
            Event::Checks { good, weight } => (self.checks_good, self.checks_weight) = (good, weight),
            Event::Partners(sound) => self.partners_sound = sound,
            Event::Startup => self.started = true,
            Event::Resume => {
                self.started = true;
                if self.unfit(now).is_none() {
                    return self.become_active(now, Cause::Resume, out);
                }
            }
            Event::Shutdown | Event::Deadline | Event::Advert(_) => {}
            Event::VipsLost | Event::Takeover | Event::Seize | Event::Yield => {}
            Event::Suspended(_) | Event::Interval(_) | Event::Together | Event::LetGo => {}
        }
        self.appliance(now, out);
        if let State::Backup(backup) = &mut self.state
            && !matches!(self.verdict, Verdict::Serving | Verdict::Degraded)
        {
            backup.lower_since = None;
        }
        if matches!(self.state, State::Backup(_)) {
            self.rfc(now, Rfc::Deadline, out);
        }
    }

    /// Why this host must not take part, if it must not.
    fn unfit(&self, now: Instant) -> Option<Cause> {
        match self.verdict {
            _ if !self.link => Some(Cause::LinkDown),
            _ if !self.checks_good => Some(Cause::CheckFailed),
            _ if !self.partners_sound => Some(Cause::PartnerFault),
            Verdict::Down => Some(Cause::ProxyDown),
            Verdict::Draining => Some(Cause::Draining),
            Verdict::Restarting if self.grace_end().is_some_and(|end| now >= end) => Some(Cause::GraceOver),
            Verdict::Serving | Verdict::Degraded | Verdict::Restarting => None,
        }
    }

    /// A host whose proxy is on its way back keeps what it has, but takes nothing.
    fn competes(&self, now: Instant) -> bool {
        self.unfit(now).is_none() && self.verdict != Verdict::Restarting
    }

    fn grace_end(&self) -> Option<Instant> {
        self.restarting_since.map(|since| since + self.setup.grace)
    }

    fn outranked_by(&self, heard: &Heard) -> bool {
        (heard.priority, heard.source) > (self.priority(), self.setup.address)
    }

    fn preempts(&self, now: Instant, backup: &Backup) -> bool {
        match self.setup.failback {
            Failback::AtOnce => self.warm || backup.takeover,
            Failback::AfterHealthy(pause) => {
                backup.takeover || backup.lower_since.is_some_and(|since| now >= since + pause)
            }
            Failback::Never | Failback::Manual => backup.takeover,
        }
    }

    fn become_active(&mut self, now: Instant, cause: Cause, out: &mut Actions) {
        out.push_all([Action::SendAdvert(self.priority()), Action::InstallVips, Action::Announce]);
        let announcements = Announcements::after_takeover(now);
        self.state = State::Active(Active { advert_at: now + self.interval(), announcements });
        self.cause = cause;
    }

    fn become_backup(&mut self, now: Instant, master: Option<&Heard>, cause: Cause) {
        self.seizing_until = None;
        self.state = State::Backup(Backup::new(now, master, self.interval, &self.setup, self.priority()));
        self.cause = cause;
    }

    fn initialize(&mut self, cause: Cause) {
        self.seizing_until = None;
        self.state = State::Initialize;
        self.cause = cause;
    }

    /// A stalled virtual machine wakes up with its old timers expired, and another host is Active by now.
    fn guard_against_oversleeping(&mut self, now: Instant, slept: Duration, out: &mut Actions) {
        match self.state {
            State::Active(active) => {
                let silent_for = slept + (now + self.interval()).saturating_duration_since(active.advert_at);
                if silent_for > silence(self.interval()) {
                    out.push_all([Action::RemoveVips, Action::ResetConnections]);
                    self.become_backup(now, None, Cause::Overslept);
                }
            }
            State::Backup(mut backup) if self.competes(now) && !backup.second_look => {
                let own = self.priority();
                let overslept =
                    !backup.due && now > backup.down_at + own.active_down_interval(backup.interval);
                if overslept || slept > silence(backup.interval) {
                    backup.look_again(now, &self.setup, own);
                    self.state = State::Backup(backup);
                }
            }
            State::Backup(_) | State::Initialize => {}
        }
    }

    fn announce_if_due(&mut self, now: Instant, out: &mut Actions) {
        if let State::Active(active) = &mut self.state
            && active.announcements.take_due(now)
        {
            out.push(Action::Announce);
        }
    }

    fn reinstall(&mut self, now: Instant, out: &mut Actions) {
        if let State::Active(active) = &mut self.state {
            active.announcements = Announcements::after_takeover(now);
            out.push_all([Action::InstallVips, Action::Announce]);
        }
    }

    /// When to send [`Event::Deadline`], unless something else comes first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let grace_end = if self.verdict == Verdict::Restarting { self.grace_end() } else { None };
        match self.state {
            State::Initialize => None,
            State::Backup(backup) => grace_end.or_else(|| (!backup.due).then_some(backup.down_at)),
            State::Active(active) => [Some(active.advert_at), Some(active.announcements.next()), grace_end]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    /// What this host's adverts say: base and weight while the proxy is live or coming back, else base alone.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self.verdict {
            _ if self.seizing_until.is_some() => SEIZING.max(self.setup.priority),
            Verdict::Serving | Verdict::Degraded | Verdict::Restarting => {
                self.setup.priority.plus(self.setup.weight).adjusted(self.checks_weight)
            }
            Verdict::Down | Verdict::Draining => self.setup.priority.adjusted(self.checks_weight),
        }
    }

    /// Whether a MASTER would let go on hearing this.
    #[must_use]
    pub fn yields_to(&self, heard: &Heard) -> bool {
        self.outranked_by(heard)
    }

    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    #[must_use]
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// The state in operators' words: MASTER, BACKUP, FAULT (should take part and cannot), INIT (not started).
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.state {
            State::Active(_) => "MASTER",
            State::Backup(_) => "BACKUP",
            State::Initialize if self.started => "FAULT",
            State::Initialize => "INIT",
        }
    }

    /// The router that is Active as far as this one knows.
    #[must_use]
    pub fn master(&self) -> Option<IpAddr> {
        match self.state {
            State::Active(_) => Some(self.setup.address),
            State::Backup(backup) => backup.master.map(|heard| heard.source),
            State::Initialize => None,
        }
    }

    /// How far apart its adverts are as a MASTER: as configured, or as far as this host can keep up.
    #[must_use]
    pub fn advert_interval(&self) -> AdvertInterval {
        self.interval
    }

    fn interval(&self) -> Duration {
        self.interval.duration()
    }
}

#[cfg(test)]
mod tests;
