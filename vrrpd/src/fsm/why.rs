//! The answer to `why`: who has a VIP, because of what, and what would have to happen for it to move. Operators' words for
//! what the tables of [`super`] say about the present state. Pure.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use configs::Failback;
use health::verdict::Verdict;

use crate::priority::silence;

use super::{Backup, Cause, Router, State};

/// One router, explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Who has its VIPs, as far as this host knows.
    pub owner: Option<IpAddr>,
    /// For how long, as far as this host knows.
    pub owner_for: Option<Duration>,
    /// Why this host is in its state.
    pub because: String,
    /// What would move the VIPs.
    pub moves: Vec<String>,
}

impl Router {
    /// Explains the present state, in which this router has been for `in_state`; `name` knows hosts by their addresses.
    #[must_use]
    pub fn why(&self, now: Instant, in_state: Duration, name: &dyn Fn(IpAddr) -> String) -> Why {
        let (owner_for, moves) = match self.state {
            State::Active(_) => (Some(in_state), self.what_takes_it_away(now)),
            State::Backup(backup) => {
                let heard = backup.master.map(|_| now.saturating_duration_since(backup.heard_since));
                (heard, self.what_brings_it_here(now, &backup, name))
            }
            State::Initialize => (None, vec![self.what_ends_the_fault(now)]),
        };
        Why { owner: self.master(), owner_for, because: self.because(), moves }
    }

    fn because(&self) -> String {
        let text = match self.cause {
            Cause::Startup => "it has started and listens for a master",
            Cause::Resume => "this vrrpd was restarted in time and took up what its predecessor had",
            Cause::Owner => "the address is this host's own (priority 255)",
            Cause::MasterDown => "no master was heard in time",
            Cause::MasterResigned => "the former master resigned",
            Cause::Preempt => "the former master had a lower priority",
            Cause::HigherPriority => {
                "a better master was heard: higher priority, or equal and a greater address"
            }
            Cause::Overslept => "this host stood still for longer than its peers wait",
            Cause::ProxyDown => "the proxy of this host is down",
            Cause::GraceOver => "the proxy of this host was not back in time",
            Cause::Draining => "this host is drained",
            Cause::LinkDown => "an interface is missing or down, or has lost this host's address",
            Cause::CheckFailed => "a check of the operator's own is bad",
            Cause::PartnerFault => "another VIP of its sync group cannot be here",
            Cause::GroupLeft => "another VIP of its sync group left, and they move together",
            Cause::Shutdown => "vrrpd was stopped",
            Cause::Moved => "an operator moved it",
        };
        text.to_owned()
    }

    fn what_takes_it_away(&self, now: Instant) -> Vec<String> {
        let (own, grace) = (self.priority().0, self.setup.grace);
        let restart = match self.grace_end() {
            Some(end) if self.verdict == Verdict::Restarting => {
                let left = ms(end.saturating_duration_since(now));
                format!("the proxy is restarting and not back in {left}")
            }
            _ => format!("the proxy is gone for longer than {}", ms(grace)),
        };
        let silence = ms(silence(self.interval()));
        vec![
            restart,
            "the proxy is found beyond repair, this host is drained, or vrrpd is stopped".to_owned(),
            "an interface goes down or loses this host's address".to_owned(),
            format!(
                "an advert says more than priority {own}, or {own} from a greater address than {}",
                self.setup.address
            ),
            format!("this host falls silent: the others wait {silence} and their skew"),
        ]
    }

    fn what_brings_it_here(
        &self,
        now: Instant,
        backup: &Backup,
        name: &dyn Fn(IpAddr) -> String,
    ) -> Vec<String> {
        let own = self.priority();
        let left = backup.down_at.saturating_duration_since(now);
        let mut moves = Vec::new();
        if !self.competes(now) {
            moves.push("nothing, until the proxy of this host is back".to_owned());
        }
        if backup.due {
            moves.push(
                "the other VIPs of its sync group have no master either: they come together".to_owned(),
            );
        }
        match backup.master {
            None => moves.push(format!("no master is heard for another {}", ms(left))),
            Some(master) => {
                let resigned = backup.wait_after_release(now, &self.setup, own);
                let silent = backup.wait_in_silence(&self.setup, own);
                let who = name(master.source);
                moves.push(format!("{who} is silent for {}", ms(silent)));
                moves.push(format!("{who} resigns: it comes {} later", ms(resigned)));
                let (theirs, ours) = (master.priority.0, own.0);
                moves.push(if master.priority >= own {
                    format!("not by preemption: its priority is {theirs}, ours {ours}")
                } else {
                    self.when_it_preempts(now, backup)
                });
            }
        }
        moves
    }

    fn when_it_preempts(&self, now: Instant, backup: &Backup) -> String {
        match self.setup.failback {
            _ if self.preempts(now, backup) => {
                let left = ms(backup.down_at.saturating_duration_since(now));
                format!("this host takes it back in {left}: its priority is higher")
            }
            Failback::AtOnce | Failback::AfterHealthy(_) if !self.warm => {
                "this host takes it back once its proxy has seen its backends".to_owned()
            }
            Failback::AfterHealthy(pause) => {
                let healthy =
                    backup.lower_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
                format!(
                    "this host takes it back after another {} of health",
                    ms(pause.saturating_sub(healthy))
                )
            }
            Failback::AtOnce | Failback::Never | Failback::Manual => {
                "not by itself, though its priority is higher: fail-back is off; an operator may ask for it"
                    .to_owned()
            }
        }
    }

    fn what_ends_the_fault(&self, now: Instant) -> String {
        let text = match self.unfit(now) {
            _ if !self.started => "vrrpd starts this router",
            Some(Cause::LinkDown) => "nothing, until every interface is up and has this host's address",
            Some(Cause::CheckFailed) => "nothing, until every check is good",
            Some(Cause::PartnerFault) => "nothing, until every VIP of its sync group can be here",
            Some(Cause::Draining) => "nothing, until this host is undrained",
            Some(_) => "nothing, until the proxy of this host serves again",
            None => "this host competes from its next event on",
        };
        text.to_owned()
    }
}

fn ms(time: Duration) -> String {
    if time >= Duration::from_secs(10) {
        format!("{} s", time.as_secs())
    } else {
        format!("{} ms", time.as_millis())
    }
}
