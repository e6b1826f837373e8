//! When an Active router repeats where its VIPs are. Announcements get lost, and a rival's may come after ours.

use std::time::{Duration, Instant};

/// After a takeover. The first one is an action of the transition itself.
const TAKEOVER: [Duration; 4] = [millis(50), millis(200), millis(1_000), millis(5_000)];
/// After a rival was heard: it may announce itself once more before it lets go.
const RIVAL: [Duration; 4] = [millis(50), millis(200), millis(500), millis(1_000)];
/// And from then on.
const REFRESH: Duration = millis(10_000);

const fn millis(value: u64) -> Duration {
    Duration::from_millis(value)
}

/// A schedule that has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announcements {
    began: Instant,
    schedule: [Duration; 4],
    next: Instant,
}

impl Announcements {
    pub(super) fn after_takeover(now: Instant) -> Announcements {
        Announcements::begin(now, TAKEOVER)
    }

    pub(super) fn after_rival(now: Instant) -> Announcements {
        Announcements::begin(now, RIVAL)
    }

    fn begin(began: Instant, schedule: [Duration; 4]) -> Announcements {
        let [first, ..] = schedule;
        Announcements { began, schedule, next: began + first }
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether one is due; if so, the next one is planned. Those missed meanwhile are not made up for.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        let planned = self.schedule.iter().map(|offset| self.began + *offset).find(|at| *at > now);
        self.next = planned.unwrap_or(now + REFRESH);
        true
    }
}
