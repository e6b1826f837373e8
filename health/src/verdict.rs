//! The verdict: one word for the proxy of this host, which vrrpd turns into "keep the VIP" or "give it up". Pure: what
//! happened and the time in, changes of the verdict out. When to start a proxy again is decided in [`crate::restart`].

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::heartbeat::Backends;

/// What the rest of the host may expect of the proxy now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Answers on its listeners.
    Serving,
    /// Gone for less than the grace; the angel is bringing it back. A master keeps its VIP, a backup does not compete.
    Restarting,
    /// Gone for longer than the grace, or in a crash loop.
    Down,
    /// An operator is taking the host out of service.
    Draining,
    /// Answers, but has no backend that is ONLINE.
    Degraded,
}

impl Verdict {
    pub const ALL: [Verdict; 5] =
        [Verdict::Serving, Verdict::Restarting, Verdict::Down, Verdict::Draining, Verdict::Degraded];

    /// The word of the feed and of the JSON answers.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Serving => "serving",
            Verdict::Restarting => "restarting",
            Verdict::Down => "down",
            Verdict::Draining => "draining",
            Verdict::Degraded => "degraded",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The text is none of the five words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a verdict")]
pub struct UnknownVerdict;

impl FromStr for Verdict {
    type Err = UnknownVerdict;

    fn from_str(text: &str) -> Result<Self, UnknownVerdict> {
        Verdict::ALL.into_iter().find(|verdict| verdict.word() == text).ok_or(UnknownVerdict)
    }
}

/// Something that bears on the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// Every worker of the proxy is ready.
    Ready,
    /// The proxy does not serve since `since`: it exited, or hangs and is being killed. `crash_loop` as the restart
    /// policy sees it.
    Gone {
        since: Instant,
        crash_loop: bool,
        cause: &'static str,
    },
    /// What the proxy's monitor says of its backends.
    Backends(Backends),
    /// Out of service until `Undrain`. `cause` tells an operator's order from the angel's own end.
    Drain {
        cause: &'static str,
    },
    Undrain,
    /// Time passed.
    Tick,
}

/// The verdict is now `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub from: Verdict,
    pub to: Verdict,
    pub cause: &'static str,
}

/// How long the verdict waits before it changes by time alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// `Restarting` turns to `Down`, and "no backend ONLINE" to `Degraded`, after this long.
    pub grace: Duration,
    /// After a crash loop, `Serving` again only after the proxy was ready for so long.
    pub recovery: Duration,
}

/// Follows one proxy through its lives.
///
/// The first row that applies is the verdict:
///
/// | condition | verdict | cause |
/// |---|---|---|
/// | drained | Draining | who asked |
/// | proxy gone, crash loop | Down | `crash-loop` |
/// | proxy gone for the grace | Down | why it went |
/// | proxy gone | Restarting | why it went |
/// | ready, but after a crash loop not yet for `recovery` | Down | `recovering` |
/// | ready, backends known, for the grace none ONLINE | Degraded | `no-backend` |
/// | ready | Serving | `ready` |
///
/// A proxy that has not been started yet counts as gone, cause `starting`.
#[derive(Debug, Clone)]
pub struct Tracker {
    patience: Patience,
    proxy: Proxy,
    /// A crash loop was seen, and no life since then was long enough to forget it.
    must_recover: bool,
    drained: Option<&'static str>,
    /// Since when no backend is ONLINE although some are known.
    without_backend: Option<Instant>,
    verdict: Verdict,
    cause: &'static str,
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Proxy {
    Gone { since: Instant, cause: &'static str },
    Ready { since: Instant },
}

impl Tracker {
    pub fn new(patience: Patience, now: Instant) -> Tracker {
        Tracker {
            patience,
            proxy: Proxy::Gone { since: now, cause: "starting" },
            must_recover: false,
            drained: None,
            without_backend: None,
            verdict: Verdict::Restarting,
            cause: "starting",
            since: now,
        }
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// One word for why.
    pub fn cause(&self) -> &'static str {
        self.cause
    }

    /// Since when this is the verdict; a new cause alone does not count.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Takes an input; answers with the change of verdict or of its cause, if there is one.
    pub fn on(&mut self, input: Input, now: Instant) -> Option<Change> {
        self.take(input, now);
        if let Proxy::Ready { since } = self.proxy
            && now.saturating_duration_since(since) >= self.patience.recovery
        {
            self.must_recover = false;
        }
        let (verdict, cause) = self.judge(now);
        if (verdict, cause) == (self.verdict, self.cause) {
            return None;
        }
        let change = Change { from: self.verdict, to: verdict, cause };
        if verdict != self.verdict {
            self.since = now;
        }
        (self.verdict, self.cause) = (verdict, cause);
        Some(change)
    }

    fn take(&mut self, input: Input, now: Instant) {
        match input {
            Input::Ready => {
                if let Proxy::Gone { .. } = self.proxy {
                    self.proxy = Proxy::Ready { since: now };
                    self.without_backend = None;
                }
            }
            Input::Gone { since, crash_loop, cause } => {
                self.must_recover |= crash_loop;
                // A proxy that dies again before it was ready is one outage, counted from its beginning.
                let since = match self.proxy {
                    Proxy::Gone { since: first, .. } => first,
                    Proxy::Ready { .. } => since,
                };
                self.proxy = Proxy::Gone { since, cause };
            }
            Input::Backends(Backends { online, known }) => {
                let without = online == 0 && known > 0;
                self.without_backend = without.then(|| self.without_backend.unwrap_or(now));
            }
            Input::Drain { cause } => self.drained = Some(cause),
            Input::Undrain => self.drained = None,
            Input::Tick => {}
        }
    }

    fn judge(&self, now: Instant) -> (Verdict, &'static str) {
        let lasted = |since: Instant| now.saturating_duration_since(since) >= self.patience.grace;
        if let Some(cause) = self.drained {
            return (Verdict::Draining, cause);
        }
        match self.proxy {
            Proxy::Gone { .. } if self.must_recover => (Verdict::Down, "crash-loop"),
            Proxy::Gone { since, cause } if lasted(since) => (Verdict::Down, cause),
            Proxy::Gone { cause, .. } => (Verdict::Restarting, cause),
            Proxy::Ready { .. } if self.must_recover => (Verdict::Down, "recovering"),
            Proxy::Ready { .. } if self.without_backend.is_some_and(lasted) => {
                (Verdict::Degraded, "no-backend")
            }
            Proxy::Ready { .. } => (Verdict::Serving, "ready"),
        }
    }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
mod tests;
