//! Adverts as fast as this host can keep them up. One whose timers fire late would be taken for dead, and by version 3 a
//! master says itself how often it advertises: a host that is late again and again says "less often" until it is calm. Pure.

use std::time::{Duration, Instant};

use crate::interval::AdvertInterval;

/// Two that are late within this time are no accident.
const AGAIN: Duration = Duration::from_secs(10);
/// So long on time, and the interval is as configured again.
const CALM: Duration = Duration::from_secs(60);
/// Never slower than that: a takeover must not take minutes.
const SLOWEST: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    configured: AdvertInterval,
    current: AdvertInterval,
    /// When a timer was late for the last time, and by how much at worst since the first of these.
    late_at: Option<Instant>,
    worst: Duration,
}

impl Pace {
    #[must_use]
    pub fn new(configured: AdvertInterval) -> Pace {
        Pace { configured, current: configured, late_at: None, worst: Duration::ZERO }
    }

    /// A timer fired so late. Returns another interval if it is time for one.
    pub fn fired(&mut self, now: Instant, late: Duration) -> Option<AdvertInterval> {
        if self.configured.duration() >= SLOWEST {
            return None;
        }
        if late <= self.current.duration() {
            let calm = self.late_at.is_none_or(|at| now >= at + CALM);
            let back = calm && self.current != self.configured;
            if back {
                *self = Pace::new(self.configured);
            }
            return back.then_some(self.configured);
        }
        let again = self.late_at.is_some_and(|at| now < at + AGAIN);
        self.worst = if again { self.worst.max(late) } else { late };
        self.late_at = Some(now);
        if !again {
            return None;
        }
        let wider = AdvertInterval::nearest((2 * self.worst).min(SLOWEST));
        (wider > self.current).then(|| {
            self.current = wider;
            wider
        })
    }

    /// Whether adverts are further apart than configured.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        self.current != self.configured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_host_that_is_late_again_and_again_slows_down_until_it_is_calm() {
        let of = |value| AdvertInterval::nearest(ms(value));
        let (mut pace, now) = (Pace::new(of(10)), Instant::now());
        assert_eq!(pace.fired(now, ms(10)), None, "peers wait for three intervals");
        assert_eq!(pace.fired(now, ms(40)), None, "once is an accident");
        assert_eq!(pace.fired(now + ms(11_000), ms(40)), None, "and so is once more, much later");
        assert_eq!(pace.fired(now + ms(12_000), ms(11)), Some(of(80)), "by the worst of them");
        assert!(pace.is_wide());
        assert_eq!(pace.fired(now + ms(13_000), ms(80)), None, "an interval as it is now");
        assert_eq!(pace.fired(now + ms(14_000), ms(900)), Some(of(1_000)), "no slower than that");
        assert_eq!(pace.fired(now + ms(15_000), ms(5_000)), None);
        assert_eq!(pace.fired(now + ms(74_000), ms(0)), None);
        assert_eq!(pace.fired(now + ms(75_000), ms(0)), Some(of(10)), "calm for a minute");
        assert_eq!(Pace::new(of(1_000)).fired(now, ms(9_000)), None);
    }
}
