//! Causal reads: a read goes to a server only if that has what the session has written (`gtid_from_hostgroup`), or the
//! transaction that a comment names (`min_gtid`). Else it goes where the writing was done; it never waits, unless
//! `gtid_wait_ms` of the hostgroup says how long.
//!
//! The writes of different hostgroups are kept apart. A commit that its server has not named is one that no replica can be
//! known to have.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_gtid::Wanted;
use proxyd_sql::{Flags, Kind, Statement};
use proxyd_wire::response::Outcome;

use super::Session;
use super::forward::Attached;
use super::gtids::{LastCommit, LastGtids};
use super::local::Route;
use crate::backend::{Backend, FitError};
use crate::executed::Knowledge;
use crate::route::Decision;
use crate::snapshot::{Hostgroup, HostgroupId, Member, Server, Status};
use crate::worker::Worker;

/// A server that was asked to wait answers by then, or is given up.
const LATE: Duration = Duration::from_secs(1);

/// What a server of a hostgroup must have executed, and where the statement goes when none has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Causal {
    wanted: Wanted,
    fallback: HostgroupId,
}

/// Where a statement is to run.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    pub hostgroup: HostgroupId,
    /// Only on a server that has this.
    pub causal: Option<&'a Causal>,
}

impl From<HostgroupId> for Destination<'_> {
    fn from(hostgroup: HostgroupId) -> Self {
        Destination { hostgroup, causal: None }
    }
}

impl Destination<'_> {
    /// Where it runs when no server of the hostgroup may have it.
    pub fn fallback(self) -> Self {
        self.causal.map_or(self, |causal| causal.fallback.into())
    }
}

/// What the rules and comments ask of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    None,
    /// Nobody can say what a server must have: only this hostgroup will do.
    Only(HostgroupId),
    Of(Causal),
}

impl Demand {
    /// What a statement for `hostgroup` demands, after these commits.
    pub fn of(
        decision: &Decision<'_>,
        hostgroup: HostgroupId,
        default_hostgroup: HostgroupId,
        commits: &LastGtids,
    ) -> Demand {
        let named = decision.min_gtid.as_deref().and_then(|text| text.parse().ok());
        let fallback = decision.gtid_from_hostgroup.unwrap_or(default_hostgroup);
        if fallback == hostgroup {
            return Demand::None;
        }
        if let Some(wanted) = named {
            return Demand::Of(Causal { wanted, fallback });
        }
        match decision.gtid_from_hostgroup.map(|from| commits.of(from)) {
            None | Some(LastCommit::Nothing) => Demand::None,
            Some(LastCommit::Unnamed) => Demand::Only(fallback),
            Some(LastCommit::Named(text)) => {
                text.parse().map_or(Demand::Only(fallback), |wanted| Demand::Of(Causal { wanted, fallback }))
            }
        }
    }
}

/// The connection's server suits the read, or how long it may be waited for.
fn suits(worker: &Worker, causal: &Causal, server: &Server, wait: Duration) -> bool {
    match worker.executed.borrow().knows(server, &causal.wanted) {
        Knowledge::Has => true,
        Knowledge::Behind => false,
        Knowledge::Unknown => !wait.is_zero(),
    }
}

/// `gtid_wait_ms` of a hostgroup.
fn wait_of(hostgroup: &Hostgroup) -> Duration {
    Duration::from_millis(hostgroup.attributes.settings.gtid_wait_ms.unwrap_or(0).into())
}

/// A server that has what is wanted; without one, one that may be asked.
pub(super) fn choose<'s>(
    worker: &Worker,
    hostgroup: &'s Hostgroup,
    avoid: &[Arc<Server>],
    causal: &Causal,
) -> Option<&'s Member> {
    let pool = &worker.pool;
    let known = |server: &Server| suits(worker, causal, server, Duration::ZERO);
    let wait = wait_of(hostgroup);
    pool.choose_where(hostgroup, avoid, known)
        .or_else(|| pool.choose_where(hostgroup, avoid, |server| suits(worker, causal, server, wait)))
}

impl Session {
    /// Settles early where a causal read goes, when that can be told: what it counts as depends on it.
    pub(super) fn heed_commits(&self, route: &mut Route, tied: bool) {
        let demand = std::mem::replace(&mut route.demand, Demand::None);
        if tied || demand == Demand::None {
            return;
        }
        // An answer from the cache may be older than what was written.
        route.cache = None;
        match demand {
            Demand::None => {}
            Demand::Only(hostgroup) => route.hostgroup = hostgroup,
            Demand::Of(causal) => {
                let snapshot = self.snapshot();
                let hostgroup = snapshot.hostgroups.get(&route.hostgroup);
                let possible = hostgroup.is_some_and(|hostgroup| {
                    let wait = wait_of(hostgroup);
                    hostgroup.members.iter().any(|member| {
                        member.status == Status::Online && suits(&self.worker, &causal, &member.server, wait)
                    })
                });
                if possible {
                    route.demand = Demand::Of(causal);
                } else {
                    route.hostgroup = causal.fallback;
                }
            }
        }
    }

    /// Whether a connection that the session has already will do.
    pub(super) fn is_caught_up(&self, to: Destination<'_>, backend: &Backend) -> bool {
        to.causal.is_none_or(|causal| suits(&self.worker, causal, backend.server(), Duration::ZERO))
    }

    /// The connection, if its server has what is wanted; if nobody says so, the server itself is asked, and given the
    /// hostgroup's time. Else it goes back to the pool.
    pub(super) async fn once_caught_up(&self, to: Destination<'_>, mut held: Attached) -> Option<Attached> {
        match self.catches_up(to, &mut held.backend).await {
            Ok(true) => Some(held),
            Ok(false) => {
                self.worker.pool.give(held.backend, &self.snapshot(), self.worker.workers, Instant::now());
                None
            }
            Err(error) => {
                tracing::info!(session = self.record.id, %error, "lost while it was asked for a GTID");
                None
            }
        }
    }

    async fn catches_up(&self, to: Destination<'_>, backend: &mut Backend) -> io::Result<bool> {
        let Some(causal) = to.causal.filter(|_| !self.is_caught_up(to, backend)) else { return Ok(true) };
        let wait = self.snapshot().hostgroups.get(&to.hostgroup).map_or(Duration::ZERO, wait_of);
        if !suits(&self.worker, causal, backend.server(), wait) {
            return Ok(false);
        }
        let Some(question) = question(&causal.wanted, backend.is_mariadb(), wait) else { return Ok(false) };
        let answer = backend.query(&question, &self.worker.buffers);
        match tokio::time::timeout(wait + LATE, answer).await? {
            Ok(rows) => {
                let cell = rows.first().and_then(|row| row.first());
                Ok(cell.is_some_and(|cell| cell.as_deref() == Some("0")))
            }
            Err(FitError::Refused(error)) => {
                tracing::warn!(server = %backend.server().hostname, %error, "cannot ask for a GTID");
                Ok(false)
            }
            Err(FitError::Lost(error)) => Err(error),
        }
    }

    /// A read is about to run on a server because that has what the session has written.
    pub(super) fn count_causal(&self, to: Destination<'_>, backend: &Backend) {
        if to.causal.is_some() {
            self.worker.counters.global.borrow_mut().gtid_consistent_queries += 1;
            backend.counters.stats.borrow_mut().queries_gtid_sync += 1;
        }
    }

    /// What an answer says of commits: their name, or that there may have been one without.
    pub(super) fn note_commit(
        &self,
        gtid: Option<&[u8]>,
        statement: &Statement<'_>,
        outcome: &Outcome,
        backend: &Backend,
    ) {
        let told = gtid.is_some() || may_have_committed(statement, outcome, backend.names_commits());
        if !told || !self.snapshot().variables.client_session_track_gtid {
            return;
        }
        let hostgroup = backend.server().hostgroup;
        match gtid {
            Some(gtid) => {
                self.worker.counters.global.borrow_mut().gtid_session_collected += 1;
                self.record.gtids.borrow_mut().learn(hostgroup, gtid);
            }
            None => self.record.gtids.borrow_mut().doubt(hostgroup),
        }
    }

    /// A connection was lost before the answer to a statement.
    pub(super) fn note_lost_answer(&self, statement: &Statement<'_>, server: &Server) {
        if !statement.is_read() {
            self.record.gtids.borrow_mut().doubt(server.hostgroup);
        }
    }
}

/// Whether a statement whose answer names no transaction may have committed one.
fn may_have_committed(statement: &Statement<'_>, outcome: &Outcome, names_commits: bool) -> bool {
    if statement.is_read() {
        return false;
    }
    if !names_commits || outcome.tail_lost {
        return true;
    }
    // An error comes without names. One row too many commits nothing; a procedure may have committed before it failed, and
    // most other statements commit the transaction before them even if they fail.
    let only_rows = matches!(
        statement.kind,
        Kind::Insert
            | Kind::Replace
            | Kind::Update
            | Kind::Delete
            | Kind::SelectForUpdate
            | Kind::Set
            | Kind::Use
            | Kind::Show
            | Kind::Prepare
            | Kind::Savepoint
            | Kind::RollbackSavepoint
            | Kind::ReleaseSavepoint
    );
    outcome.is_err() && (!only_rows || statement.flags.has(Flags::MULTI_STATEMENT))
}

/// How a server is asked to wait for a transaction: it answers 0 when it has it. `None` if it cannot have it.
fn question(wanted: &Wanted, is_mariadb: bool, wait: Duration) -> Option<String> {
    let function = match (wanted, is_mariadb) {
        (Wanted::MySql(_) | Wanted::MySqlSet(_), false) => "WAIT_FOR_EXECUTED_GTID_SET",
        (Wanted::MariaDb(_), true) => "MASTER_GTID_WAIT",
        _ => return None,
    };
    Some(format!("SELECT {function}('{wanted}', {:.3})", wait.as_secs_f64()))
}

#[cfg(test)]
#[path = "causal_tests.rs"]
mod tests;
