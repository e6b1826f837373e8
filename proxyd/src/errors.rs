//! The worker's part of `stats_mysql_errors`: which errors which server gave to whom, and when last.

use std::collections::HashMap;

use crate::stats::ServerKey;

/// More kinds of error than this in one worker make the oldest ones room for the new.
const MAX_ENTRIES: usize = 1_000;
/// A message is kept up to this length.
const MAX_TEXT: usize = 512;

/// What one row is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorKey {
    pub server: ServerKey,
    pub user: Box<str>,
    pub client: Box<str>,
    pub schema: Box<str>,
    pub code: u16,
}

/// The rest of a row of `stats_mysql_errors`. Moments are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorStats {
    pub count: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    pub last_error: Box<str>,
}

/// One worker's errors.
#[derive(Debug, Default)]
pub struct Errors {
    rows: HashMap<ErrorKey, ErrorStats>,
}

impl Errors {
    pub fn record(&mut self, key: ErrorKey, text: &str, now: u64) {
        if self.rows.len() >= MAX_ENTRIES && !self.rows.contains_key(&key) {
            let oldest =
                self.rows.iter().min_by_key(|(_, stats)| stats.last_seen).map(|(key, _)| key.clone());
            oldest.and_then(|oldest| self.rows.remove(&oldest));
        }
        let row = self.rows.entry(key).or_insert(ErrorStats {
            count: 0,
            first_seen: now,
            last_seen: now,
            last_error: "".into(),
        });
        row.count += 1;
        row.last_seen = now;
        row.last_error = text.chars().take(MAX_TEXT).collect();
    }

    pub fn report(&mut self, reset: bool) -> HashMap<ErrorKey, ErrorStats> {
        if reset { std::mem::take(&mut self.rows) } else { self.rows.clone() }
    }
}

/// The rows of all workers, one for each key.
pub fn merge(reports: Vec<HashMap<ErrorKey, ErrorStats>>) -> HashMap<ErrorKey, ErrorStats> {
    let mut sum: HashMap<ErrorKey, ErrorStats> = HashMap::new();
    for (key, theirs) in reports.into_iter().flatten() {
        match sum.get_mut(&key) {
            None => {
                sum.insert(key, theirs);
            }
            Some(ours) => {
                ours.count += theirs.count;
                ours.first_seen = ours.first_seen.min(theirs.first_seen);
                if theirs.last_seen >= ours.last_seen {
                    ours.last_seen = theirs.last_seen;
                    ours.last_error = theirs.last_error;
                }
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: u16) -> ErrorKey {
        let server = ServerKey { hostgroup: 1, hostname: "db1".into(), port: 3306 };
        ErrorKey { server, user: "app".into(), client: "10.0.0.1".into(), schema: "shop".into(), code }
    }

    #[test]
    fn errors_are_summed_over_workers_and_the_last_text_wins() {
        let (mut one, mut two) = (Errors::default(), Errors::default());
        one.record(key(1064), "near a", 10);
        one.record(key(1064), "near b", 30);
        two.record(key(1064), "near c", 20);
        let sum = merge(vec![one.report(true), two.report(false)]);
        let expected = ErrorStats { count: 3, first_seen: 10, last_seen: 30, last_error: "near b".into() };
        assert_eq!(sum[&key(1064)], expected);
        assert!(one.report(false).is_empty() && two.report(false).len() == 1);
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut errors = Errors::default();
        (0..2_000_u16).for_each(|code| errors.record(key(code), &"x".repeat(9_999), code.into()));
        let rows = errors.report(false);
        assert_eq!(
            (rows.len(), rows.contains_key(&key(1_999)), rows.contains_key(&key(0))),
            (1_000, true, false)
        );
        assert_eq!(rows[&key(1_999)].last_error.len(), MAX_TEXT);
    }
}
