//! When a proxy that ended is started again, and whether that is still a restart or already a crash loop. Pure.
//!
//! | how it ended | ready before | crashes in the window, this one included | start again | crash loop |
//! |---|---|---|---|---|
//! | asked for (`restart-proxy`) | any | not counted | at once | no |
//! | exit 0 | for a second or more | not counted | at once | no |
//! | anything else | for any time | below the limit | at once | no |
//! | anything else | never | below the limit | after [`FIRST_PAUSE`] | no |
//! | anything else | any | the limit or more | after a back-off, 250 ms doubling up to `max_backoff` | yes |
//!
//! "Anything else" is an exit code, a signal, a hang, no readiness in time, a program that cannot be run - and exit 0 of
//! a proxy that had not been ready for a second, or else such a program would spin. It never gives up. The back-off
//! begins anew after a life of `recovery`.
//!
//! A first hang is treated like a first crash: it was noticed after the hang timeout, and a restart in place takes less
//! time than moving the VIP and costs only this host's sessions. A second one inside the window is a crash loop.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A proxy that was ready for so long had started well.
pub const PROVEN: Duration = Duration::from_secs(1);
/// The pause after a proxy that never became ready: long enough not to spin, short enough for the grace.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
const FIRST_BACKOFF: Duration = Duration::from_millis(250);

/// How a proxy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The angel asked it to, in order to start another.
    Asked,
    /// Exit code 0 that nobody asked for.
    Clean,
    Code(i32),
    Signal(i32),
    /// Ended, but not as our child: it was adopted, so its exit status went to another process.
    Unknown,
    /// A worker made no progress; the angel killed it.
    Hung,
    /// Not ready in time; the angel killed it.
    NotReady,
    /// Could not be run at all.
    NotStarted,
}

impl Ending {
    /// One word for the feed.
    pub fn cause(self) -> &'static str {
        match self {
            Ending::Asked => "restart-asked",
            Ending::Clean => "exited",
            Ending::Code(_) => "exit-code",
            Ending::Signal(_) => "signal",
            Ending::Unknown => "died",
            Ending::Hung => "hung",
            Ending::NotReady => "not-ready",
            Ending::NotStarted => "not-started",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// So many crashes ...
    pub crash_limit: u32,
    /// ... inside this window are a crash loop.
    pub crash_window: Duration,
    pub max_backoff: Duration,
    /// After a life of this length the back-off begins anew.
    pub recovery: Duration,
}

/// What to do about an ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Start again then; `now` or earlier means at once.
    pub start_at: Instant,
    pub crash_loop: bool,
}

/// Remembers the crashes that are inside the window.
#[derive(Debug, Clone)]
pub struct RestartPolicy {
    limits: Limits,
    /// Oldest first; never more than `crash_limit`.
    crashes: VecDeque<Instant>,
    /// The next pause of a crash loop.
    backoff: Duration,
}

impl RestartPolicy {
    pub fn new(limits: Limits) -> RestartPolicy {
        RestartPolicy { limits, crashes: VecDeque::new(), backoff: FIRST_BACKOFF.min(limits.max_backoff) }
    }

    /// A proxy ended that had been ready for `ready_for` (`None` = never was).
    pub fn on_ended(&mut self, ending: Ending, ready_for: Option<Duration>, now: Instant) -> Decision {
        let proven = ready_for.is_some_and(|time| time >= PROVEN);
        if ready_for.is_some_and(|time| time >= self.limits.recovery) {
            self.backoff = FIRST_BACKOFF.min(self.limits.max_backoff);
        }
        let counted = match ending {
            Ending::Asked => false,
            Ending::Clean => !proven,
            _ => true,
        };
        if !counted {
            return Decision { start_at: now, crash_loop: false };
        }
        if self.record_crash(now) >= self.limits.crash_limit.max(1) {
            let start_at = now + self.backoff;
            self.backoff = (self.backoff * 2).min(self.limits.max_backoff);
            return Decision { start_at, crash_loop: true };
        }
        let pause = if ready_for.is_some() { Duration::ZERO } else { FIRST_PAUSE };
        Decision { start_at: now + pause, crash_loop: false }
    }

    /// The number of crashes inside the window, this one included; exact up to the limit.
    fn record_crash(&mut self, now: Instant) -> u32 {
        let window = self.limits.crash_window;
        self.crashes.retain(|crash| now.saturating_duration_since(*crash) < window);
        if self.crashes.len() >= self.limits.crash_limit.max(1) as usize {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        u32::try_from(self.crashes.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        crash_limit: 2,
        crash_window: Duration::from_secs(30),
        max_backoff: Duration::from_secs(5),
        recovery: Duration::from_secs(10),
    };

    /// (ms of the ending, how, ready for how many ms before) and (pause in ms, crash loop).
    type Step = (u64, Ending, Option<u64>, (u64, bool));

    fn run(steps: &[Step]) {
        let start = Instant::now();
        let mut policy = RestartPolicy::new(LIMITS);
        for (at, ending, ready_for, expected) in steps {
            let now = start + Duration::from_millis(*at);
            let decision = policy.on_ended(*ending, ready_for.map(Duration::from_millis), now);
            let pause = decision.start_at.duration_since(now).as_millis() as u64;
            assert_eq!((pause, decision.crash_loop), *expected, "{ending:?} at {at} ms");
        }
    }

    #[test]
    fn the_first_crash() {
        for ending in [Ending::Code(1), Ending::Signal(9), Ending::Hung, Ending::Unknown] {
            run(&[(5000, ending, Some(1000), (0, false))]);
            run(&[(5000, ending, Some(1), (0, false))]);
            run(&[(5000, ending, None, (100, false))]);
        }
        run(&[(5000, Ending::NotReady, None, (100, false))]);
        run(&[(5000, Ending::NotStarted, None, (100, false))]);
    }

    #[test]
    fn two_crashes_inside_the_window_are_a_loop() {
        run(&[
            (0, Ending::Signal(9), Some(60_000), (0, false)),
            (29_999, Ending::Hung, Some(29_000), (250, true)),
        ]);
        run(&[
            (0, Ending::Signal(9), Some(60_000), (0, false)),
            (30_000, Ending::Hung, Some(29_000), (0, false)),
        ]);
    }

    #[test]
    fn the_back_off_doubles_up_to_its_limit_for_ever() {
        run(&[
            (0, Ending::Code(1), None, (100, false)),
            (150, Ending::Code(1), None, (250, true)),
            (450, Ending::Code(1), None, (500, true)),
            (1000, Ending::Code(1), None, (1000, true)),
            (2050, Ending::Code(1), None, (2000, true)),
            (4100, Ending::Code(1), None, (4000, true)),
            (8150, Ending::Code(1), None, (5000, true)),
            (13_200, Ending::Code(1), None, (5000, true)),
            (18_250, Ending::Code(1), None, (5000, true)),
            // 10 s healthy: the back-off begins anew, the window still counts.
            (34_000, Ending::Code(1), Some(10_500), (250, true)),
        ]);
    }

    #[test]
    fn what_was_asked_for_is_no_crash() {
        run(&[
            (0, Ending::Asked, Some(5000), (0, false)),
            (100, Ending::Asked, None, (0, false)),
            (2000, Ending::Clean, Some(1000), (0, false)),
            (4000, Ending::Clean, Some(1000), (0, false)),
            (6000, Ending::Signal(9), Some(1900), (0, false)),
        ]);
    }

    #[test]
    fn exit_zero_of_an_unproven_proxy_counts() {
        run(&[(0, Ending::Clean, None, (100, false)), (200, Ending::Clean, Some(50), (250, true))]);
    }
}
