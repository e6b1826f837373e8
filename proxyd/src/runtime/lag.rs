//! Shunning by replication lag: `mysql_servers.max_replication_lag`, for every place a server has. Pure.
//!
//! A place is shunned after `mysql-monitor_replication_lag_count` checks in a row above its limit, and comes back with the
//! first one that is a quarter below it: a replica that hovers at its limit does not flap. A check without an answer is
//! not an observation, so the last one holds.

use std::collections::HashMap;

use super::servers::{Address, ServerRow};
use crate::snapshot::HostgroupId;

/// What a server says of its replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lag {
    Seconds(u32),
    /// It is a replica and does not know: its threads do not run.
    Null,
    /// It replicates from nobody, so it is behind nobody.
    NoReplica,
}

impl Lag {
    /// In seconds; a replica that does not know counts as `when_null` behind.
    pub fn seconds(self, when_null: u32) -> Option<u32> {
        match self {
            Lag::Seconds(seconds) => Some(seconds),
            Lag::Null => Some(when_null),
            Lag::NoReplica => None,
        }
    }
}

/// The places that were above their limit in the last check, or are shunned for it.
#[derive(Debug, Default)]
pub struct LagBook {
    places: HashMap<(HostgroupId, Address), Entry>,
}

#[derive(Debug, Default)]
struct Entry {
    /// Checks in a row above the limit.
    above: u32,
    shunned: Option<String>,
}

impl LagBook {
    /// Takes a check of the server of this row, `None` for a server that is behind nobody; true when the row is now
    /// shunned and was not, or the other way round.
    pub fn observe(&mut self, row: &ServerRow, seconds: Option<u32>, count: u32) -> bool {
        let place = (row.hostgroup_id, row.address.clone());
        let (limit, seconds) = (row.max_replication_lag, seconds.unwrap_or(0));
        if limit > 0 && seconds > limit {
            let entry = self.places.entry(place).or_default();
            entry.above = entry.above.saturating_add(1);
            if entry.shunned.is_some() || entry.above < count.max(1) {
                return false;
            }
            entry.shunned = Some(format!("replication lag {seconds} s, max_replication_lag is {limit} s"));
            return true;
        }
        if limit > 0 && seconds > limit - limit / 4 {
            if let Some(entry) = self.places.get_mut(&place) {
                entry.above = 0;
            }
            return false;
        }
        self.places.remove(&place).is_some_and(|entry| entry.shunned.is_some())
    }

    /// Why the row is shunned, if it is.
    pub fn reason(&self, row: &ServerRow) -> Option<&str> {
        if row.max_replication_lag == 0 {
            return None;
        }
        self.places.get(&(row.hostgroup_id, row.address.clone()))?.shunned.as_deref()
    }

    /// Keeps what is known of the servers that are still configured.
    pub fn retain(&mut self, is_known: impl Fn(&Address) -> bool) {
        self.places.retain(|(_, address), _| is_known(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(limit: u32) -> ServerRow {
        ServerRow { max_replication_lag: limit, ..ServerRow::sample(20, "a") }
    }

    #[test]
    fn shunned_above_the_limit_and_back_a_quarter_below_it() {
        let (mut book, row) = (LagBook::default(), row(10));
        for (seconds, changed, shunned) in [
            (10, false, false),
            (11, true, true),
            (40, false, true),
            (10, false, true),
            (9, false, true),
            (8, true, false),
            (10, false, false),
        ] {
            assert_eq!(book.observe(&row, Some(seconds), 1), changed, "at {seconds} s");
            assert_eq!(book.reason(&row).is_some(), shunned, "at {seconds} s");
        }
    }

    #[test]
    fn the_count_is_of_checks_in_a_row() {
        let (mut book, row) = (LagBook::default(), row(4));
        for seconds in [5, 5, 4, 5, 5] {
            assert!(!book.observe(&row, Some(seconds), 3), "{seconds}");
        }
        assert!(book.observe(&row, Some(5), 3));
        assert_eq!(book.reason(&row), Some("replication lag 5 s, max_replication_lag is 4 s"));
    }

    #[test]
    fn a_limit_of_one_second_works_and_none_is_no_limit() {
        let mut book = LagBook::default();
        assert!(book.observe(&row(1), Some(2), 1));
        assert!(book.observe(&row(1), Some(1), 1));
        assert!(!book.observe(&row(0), Some(1000), 1));
        assert!(book.observe(&row(1), Some(2), 1));
        assert_eq!(book.reason(&row(0)), None, "the limit was taken away");
        assert!(book.observe(&row(1), None, 1), "promoted: behind nobody");
    }

    #[test]
    fn null_counts_as_the_variable_says() {
        assert_eq!(Lag::Null.seconds(60), Some(60));
        assert_eq!(Lag::Seconds(0).seconds(60), Some(0));
        assert_eq!(Lag::NoReplica.seconds(60), None);
    }
}
