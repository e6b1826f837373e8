//! How often the log said what: counted by place in the source, for `stats_proxysql_message_metrics`.
//!
//! A layer beside the one that writes the log; it keeps numbers and no texts. There are as many entries as the source has
//! places that log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// One place that logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: &'static str,
    pub line: u32,
    pub module: &'static str,
    pub level: &'static str,
}

/// Times are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub count: u64,
    pub first: u64,
    pub last: u64,
}

static COUNTS: Mutex<BTreeMap<Place, Seen>> = Mutex::new(BTreeMap::new());

/// Counts every message that the filter lets through.
#[derive(Debug)]
pub struct CountMessages;

impl<S: Subscriber> Layer<S> for CountMessages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let place = Place {
            file: about.file().unwrap_or_default(),
            line: about.line().unwrap_or(0),
            module: about.module_path().unwrap_or_default(),
            level: about.level().as_str(),
        };
        count(place);
    }
}

fn count(place: Place) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut counts = counts();
    let seen = counts.entry(place).or_insert(Seen { count: 0, first: now, last: now });
    seen.count += 1;
    seen.last = now;
}

/// What was counted; with `reset`, from zero on afterwards.
pub fn report(reset: bool) -> Vec<(Place, Seen)> {
    let mut counts = counts();
    let rows = counts.iter().map(|(place, seen)| (*place, *seen)).collect();
    if reset {
        counts.clear();
    }
    rows
}

/// Plain counters: what a panicking holder left behind is still usable.
fn counts() -> MutexGuard<'static, BTreeMap<Place, Seen>> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn each_place_has_its_count() {
        let subscriber = tracing_subscriber::registry().with(CountMessages);
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..3 {
                tracing::warn!("three times");
            }
        });
        let here = report(false).into_iter().filter(|(place, _)| place.file.ends_with("messages.rs"));
        let counts: Vec<_> = here.map(|(place, seen)| (place.level, seen.count)).collect();
        assert_eq!(counts, [("WARN", 3)]);
    }
}
