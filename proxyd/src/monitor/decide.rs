//! What the answer to a check, or its absence, changes. Pure: observations in, changes out.
//!
//! - A server is SHUNNED after `mysql-monitor_ping_max_failures` pings in a row without any answer, and back with the
//!   first answer to any check. An answer that is an error (a wrong monitor password, too many connections) proves that
//!   the server lives: shunning it would turn a monitor's trouble into the clients'.
//! - `read_only` is what the server answers. No answer is no verdict: the last one keeps holding, however many time-outs
//!   follow, so that a slow check never takes the only writer away.

use std::collections::HashMap;
use std::time::Duration;

use crate::runtime::{Address, ServerChange};
use crate::snapshot::{HostgroupId, Status};

/// Why a check has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("no answer in {} ms", .0.as_millis())]
    Timeout(Duration),
    /// Nobody listens there, or the server is shutting down.
    #[error("{0}")]
    Refused(String),
    /// No connection, or a broken one.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered that it belongs to no cluster.
    #[error("{0}")]
    NoMember(String),
    /// The server answered, but not what was asked for.
    #[error("{0}")]
    Answered(String),
}

/// What follows from an observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Change(ServerChange),
    /// For the operator's log, at the moment it becomes true.
    Warn(String),
}

/// The limits that the judge goes by: `mysql-monitor_ping_max_failures`, `…_read_only_max_timeout_count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub ping_max_failures: u32,
    pub read_only_max_timeout_count: u32,
}

/// What is remembered of one server.
#[derive(Debug)]
pub struct Judge {
    address: Address,
    missed_pings: u32,
    shunned: bool,
    /// Checks without a result in a row, by writer hostgroup.
    unanswered: HashMap<HostgroupId, u32>,
}

impl Fault {
    /// The server said something, if not what was asked for.
    pub fn is_answer(&self) -> bool {
        matches!(self, Fault::NoMember(_) | Fault::Answered(_))
    }
}

impl Judge {
    pub fn new(address: Address) -> Judge {
        Judge { address, missed_pings: 0, shunned: false, unanswered: HashMap::new() }
    }

    /// True while the last word was SHUNNED.
    pub fn is_shunned(&self) -> bool {
        self.shunned
    }

    /// A ping was answered after this long, or was not.
    pub fn on_ping(&mut self, outcome: &Result<Duration, Fault>, limits: Limits) -> Vec<Finding> {
        match outcome {
            Ok(round_trip) => {
                let micros = u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX);
                let latency = ServerChange::Latency { address: self.address.clone(), micros };
                let mut findings = vec![Finding::Change(latency)];
                findings.extend(self.alive());
                findings
            }
            Err(Fault::Answered(_) | Fault::NoMember(_)) => self.alive().into_iter().collect(),
            Err(fault @ (Fault::Timeout(_) | Fault::Refused(_) | Fault::Unreachable(_))) => {
                self.missed(fault, limits)
            }
        }
    }

    /// What a server said of `read_only` for the pair of this writer hostgroup, or why it said nothing.
    pub fn on_read_only(
        &mut self,
        writer_hostgroup: HostgroupId,
        outcome: &Result<bool, Fault>,
        limits: Limits,
    ) -> Vec<Finding> {
        let address = self.address.clone();
        match outcome {
            Ok(read_only) => {
                self.unanswered.remove(&writer_hostgroup);
                let read_only = *read_only;
                vec![Finding::Change(ServerChange::ReadOnly { writer_hostgroup, address, read_only })]
            }
            Err(fault) => {
                let count = self.unanswered.entry(writer_hostgroup).or_insert(0);
                *count = count.saturating_add(1);
                let limit = limits.read_only_max_timeout_count.max(1);
                let warning = (*count == limit).then(|| {
                    format!(
                        "{count} checks of read_only at {address} without a result ({fault}); what it said last holds"
                    )
                });
                let is_unheard = match fault {
                    Fault::Refused(_) => true,
                    Fault::Timeout(_) | Fault::Unreachable(_) => *count >= limit,
                    Fault::NoMember(_) | Fault::Answered(_) => false,
                };
                let unheard = is_unheard.then_some(ServerChange::Unheard { writer_hostgroup, address });
                unheard.map(Finding::Change).into_iter().chain(warning.map(Finding::Warn)).collect()
            }
        }
    }

    /// The monitors stop looking at this server: their word on it is taken back.
    pub fn retire(&mut self) -> Option<ServerChange> {
        self.missed_pings = 0;
        std::mem::take(&mut self.shunned).then(|| self.status(Status::Online, String::new()))
    }

    /// Any answer to any check: pings that were lost before it do not count.
    pub fn alive(&mut self) -> Option<Finding> {
        self.retire().map(Finding::Change)
    }

    fn missed(&mut self, fault: &Fault, limits: Limits) -> Vec<Finding> {
        self.missed_pings = self.missed_pings.saturating_add(1);
        if self.shunned || self.missed_pings < limits.ping_max_failures.max(1) {
            return Vec::new();
        }
        self.shunned = true;
        let reason = format!("{} pings missed, the last: {fault}", self.missed_pings);
        vec![Finding::Change(self.status(Status::Shunned, reason))]
    }

    fn status(&self, status: Status, reason: String) -> ServerChange {
        ServerChange::Status { address: self.address.clone(), status, reason }
    }
}

/// The statement for a `check_type` of `mysql_replication_hostgroups`; `None` for a word that is no check.
pub fn read_only_query(check_type: &str) -> Option<&'static str> {
    Some(match check_type {
        "read_only" => "SELECT @@global.read_only read_only",
        "innodb_read_only" => "SELECT @@global.innodb_read_only read_only",
        "super_read_only" => "SELECT @@global.super_read_only read_only",
        "read_only|innodb_read_only" => "SELECT @@global.read_only|@@global.innodb_read_only read_only",
        "read_only&innodb_read_only" => "SELECT @@global.read_only&@@global.innodb_read_only read_only",
        _ => return None,
    })
}

/// Reads the value that such a statement gave: a number, or a word (MariaDB 12 knows more than two states).
pub fn read_only_value(value: &str) -> Option<bool> {
    match value {
        "0" => Some(false),
        number if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => Some(true),
        word if word.eq_ignore_ascii_case("OFF") => Some(false),
        word if word.eq_ignore_ascii_case("ON") => Some(true),
        word if word.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("NO_LOCK")) => Some(true),
        _ => None,
    }
}
