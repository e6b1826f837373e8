//! When each check of one server is due. Pure: the time is an argument.
//!
//! Intervals may change at any `LOAD … TO RUNTIME`, so what is kept is when a check last began, not when the next one
//! begins. Each wait is shortened by up to a tenth, at random, so that servers and proxies do not fall into step.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The checks, in the order of their urgency after a start: roles first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    ReadOnly,
    Galera,
    GroupReplication,
    Aurora,
    Lag,
    Ping,
    Connect,
}

/// The least time between two checks that were asked for.
const SOON: Duration = Duration::from_millis(100);

const KINDS: [Kind; 7] = [
    Kind::ReadOnly,
    Kind::Galera,
    Kind::GroupReplication,
    Kind::Aurora,
    Kind::Lag,
    Kind::Ping,
    Kind::Connect,
];

/// How often; `None` for a check that is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    pub read_only: Option<Duration>,
    pub galera: Option<Duration>,
    pub group_replication: Option<Duration>,
    pub aurora: Option<Duration>,
    pub lag: Option<Duration>,
    pub ping: Option<Duration>,
    pub connect: Option<Duration>,
}

impl Intervals {
    fn of(self, kind: Kind) -> Option<Duration> {
        match kind {
            Kind::ReadOnly => self.read_only,
            Kind::Galera => self.galera,
            Kind::GroupReplication => self.group_replication,
            Kind::Aurora => self.aurora,
            Kind::Lag => self.lag,
            Kind::Ping => self.ping,
            Kind::Connect => self.connect,
        }
    }
}

/// When the checks of one server last began.
#[derive(Debug, Default)]
pub struct Schedule {
    last: HashMap<Kind, Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    began: Instant,
    /// How much of the interval to wait this time, in 1/256: 230 to 256.
    share: u32,
    hurried: bool,
}

impl Last {
    fn due(self, interval: Duration) -> Instant {
        let wait = interval * self.share / 256;
        self.began + if self.hurried { wait.min(SOON) } else { wait }
    }
}

impl Schedule {
    /// The check that is due first, and when (perhaps in the past); `None` when none is wanted.
    pub fn next(&self, now: Instant, intervals: Intervals) -> Option<(Kind, Instant)> {
        let due = |kind| {
            let interval = intervals.of(kind)?;
            Some((kind, self.last.get(&kind).map_or(now, |last| last.due(interval))))
        };
        KINDS.into_iter().filter_map(due).min_by_key(|(_, at)| *at)
    }

    /// A check begins; `random` is any number.
    pub fn began(&mut self, kind: Kind, now: Instant, random: u64) {
        let share = 230 + u32::try_from(random % 27).unwrap_or(0);
        self.last.insert(kind, Last { began: now, share, hurried: false });
    }

    /// Makes a check due at once, or [`SOON`] after it last began: whoever asks may ask a thousand times a second.
    pub fn hurry(&mut self, kind: Kind) {
        if let Some(last) = self.last.get_mut(&kind) {
            last.hurried = true;
        }
    }
}
