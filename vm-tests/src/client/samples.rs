//! What a run of attempts says: the outage, and the failures by name. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::mysql::Failure;

/// One attempt: a new connection with one query, or one turn of the article's loop.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub start: Instant,
    pub end: Instant,
    pub result: Result<(), Failure>,
}

/// The longest time between the ends of two successes that follow each other, as far as it lies behind `from`.
///
/// The first success that counts is the last one before `from`; an outage that lasts until `to` counts up to there.
pub(crate) fn outage(samples: &[Sample], from: Instant, to: Instant) -> Duration {
    let mut ends: Vec<Instant> =
        samples.iter().filter(|s| s.result.is_ok() && s.end <= to).map(|s| s.end).collect();
    ends.sort_unstable();
    let first = ends.partition_point(|end| *end < from).saturating_sub(1);
    let mut longest = Duration::ZERO;
    let mut last = ends.get(first).copied().unwrap_or(from);
    for end in ends.iter().skip(first).copied().chain([to]) {
        longest = longest.max(end.saturating_duration_since(last));
        last = end;
    }
    longest
}

/// Whether the last `span` before `now` saw successes without a pause longer than `pause`, and no failure.
pub(crate) fn calm(samples: &[Sample], now: Instant, span: Duration, pause: Duration) -> bool {
    let Some(from) = now.checked_sub(span) else { return false };
    let recent = samples.iter().rev().take_while(|s| s.start >= from);
    recent.clone().all(|s| s.result.is_ok()) && recent.count() > 0 && outage(samples, from, now) <= pause
}

/// Failures of attempts that ended behind `from`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    pub refused: usize,
    pub errors: usize,
    /// How often each sentence was heard.
    pub by_text: BTreeMap<String, usize>,
}

impl Failures {
    pub(crate) fn count(samples: &[Sample], from: Instant) -> Self {
        let mut failures = Self::default();
        for failure in samples.iter().filter(|s| s.end >= from).filter_map(|s| s.result.as_ref().err()) {
            match failure {
                Failure::Refused => failures.refused += 1,
                _ => failures.errors += 1,
            }
            *failures.by_text.entry(failure.to_string()).or_default() += 1;
        }
        failures
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.refused += other.refused;
        self.errors += other.errors;
        for (text, count) in &other.by_text {
            *self.by_text.entry(text.clone()).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Clock(Instant);

    impl Clock {
        fn at(&self, ms: u64) -> Instant {
            self.0 + Duration::from_millis(ms)
        }

        fn ok(&self, start: u64, end: u64) -> Sample {
            Sample { start: self.at(start), end: self.at(end), result: Ok(()) }
        }
    }

    #[test]
    fn the_outage_is_the_longest_pause_between_successes() {
        let clock = Clock(Instant::now());
        let mut samples = vec![clock.ok(0, 2), clock.ok(5, 7), clock.ok(10, 92), clock.ok(90, 95)];
        samples.push(Sample { start: clock.at(20), end: clock.at(21), result: Err(Failure::Refused) });
        assert_eq!(outage(&samples, clock.at(9), clock.at(96)), Duration::from_millis(85));
        assert_eq!(outage(&samples, clock.at(93), clock.at(195)), Duration::from_millis(100));
        assert_eq!(outage(&[], clock.at(0), clock.at(30)), Duration::from_millis(30));
        assert_eq!(Failures::count(&samples, clock.at(9)).refused, 1);
        assert_eq!(Failures::count(&samples, clock.at(22)).refused, 0);
    }

    #[test]
    fn calm_means_no_failure_and_no_pause() {
        let clock = Clock(Instant::now());
        let mut samples: Vec<Sample> = (0..100).map(|i| clock.ok(i * 5, i * 5 + 2)).collect();
        let (span, pause) = (Duration::from_millis(200), Duration::from_millis(50));
        assert!(calm(&samples, clock.at(500), span, pause));
        assert!(!calm(&samples, clock.at(600), span, pause));
        samples.push(Sample {
            start: clock.at(490),
            end: clock.at(499),
            result: Err(Failure::Lost("query")),
        });
        assert!(!calm(&samples, clock.at(500), span, pause));
    }
}
