//! The query cache on a statement's way: which statements ask it, under which key, and which answers it keeps.
//!
//! A rule's `cache_ttl` is not enough. An answer that may depend on what only this session has (an open transaction, a
//! temporary table, a user variable) neither comes from the cache nor goes into it. The key holds what else an answer
//! depends on: the user, the schema, the text, the session's settings, and how the client wants answers written.

use std::rc::Rc;
use std::time::{Duration, Instant};

use proxyd_sql::{Flags, Kind, Statement};
use proxyd_wire::response::{First, Outcome, clear_warnings};
use proxyd_wire::{Capabilities, Status};

use super::local::Route;
use super::querylog::Logged;
use super::{Session, SessionEnd};
use crate::budget::{Budget, Hold};
use crate::cache::{Answer, Freshness};
use crate::digests::FROM_CACHE;
use crate::route::Decision;
use crate::variables::Variables;

/// What the rules want of the cache for one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePlan {
    pub freshness: Freshness,
    pub keep_empty: bool,
    /// `mysql-query_cache_handle_warnings`: an answer with warnings is kept, without their count.
    pub keep_warned: bool,
}

/// An answer on its way to the client, copied for the cache.
#[derive(Debug)]
pub struct Tee {
    frames: Vec<u8>,
    limit: usize,
    too_long: bool,
    hold: Hold,
}

impl CachePlan {
    /// `None` without a `cache_ttl`, or where it is 0.
    pub fn of(decision: &Decision<'_>, variables: &Variables) -> Option<CachePlan> {
        let ttl = decision.cache_ttl.filter(|&ms| ms > 0)?;
        Some(CachePlan {
            freshness: Freshness {
                ttl: Duration::from_millis(ttl.into()),
                soft_pct: variables.query_cache_soft_ttl_pct,
            },
            keep_empty: decision.cache_empty_result.unwrap_or(variables.query_cache_stores_empty_result),
            keep_warned: variables.query_cache_handle_warnings,
        })
    }

    /// Whether the answer, a result set or not, is one to keep.
    fn keeps(&self, outcome: &Outcome) -> bool {
        let apart = Status::IN_TRANS | Status::MORE_RESULTS_EXISTS | Status::CURSOR_EXISTS;
        outcome.first == Some(First::ResultSet)
            && outcome.results == 1
            && outcome.error.is_none()
            && outcome.status.is_some_and(|status| !status.intersects(apart))
            && (self.keep_empty || outcome.rows > 0)
            && (self.keep_warned || outcome.warnings == 0)
    }
}

impl Tee {
    pub fn new(limit: usize, budget: &Rc<Budget>) -> Tee {
        Tee { frames: Vec::new(), limit, too_long: false, hold: Hold::new(budget) }
    }

    /// Takes in the next bytes that the client is sent; gives up where there is no memory for them.
    pub fn copy(&mut self, bytes: &[u8]) {
        let length = self.frames.len() + bytes.len();
        if self.too_long || length > self.limit || !self.hold.try_grow(length) {
            self.too_long = true;
            self.frames = Vec::new();
            self.hold.set(0);
        } else {
            self.frames.extend_from_slice(bytes);
        }
    }

    fn whole(self) -> Option<Vec<u8>> {
        (!self.too_long && !self.frames.is_empty()).then_some(self.frames)
    }
}

/// Whether the answer depends on nothing but the key.
pub fn may_be_cached(statement: &Statement<'_>) -> bool {
    statement.is_read() && !statement.flags.any(Flags::USER_VARIABLE)
}

impl Session {
    /// What the cache has for this statement.
    pub(super) fn look_up(&self, route: &Route, text: &[u8]) -> Option<Answer> {
        let plan = route.cache?;
        let key = self.cache_key(route.rewritten.as_deref().unwrap_or(text));
        self.worker.cache.borrow_mut().get(&key, plan.freshness, Instant::now())
    }

    /// A place for the copy of an answer that may be kept.
    pub(super) fn tee(&self, route: &Route) -> Option<Box<Tee>> {
        route.cache?;
        let threshold = self.snapshot().variables.threshold_resultset_size;
        let limit = self.worker.cache.borrow().largest().min(threshold);
        Some(Box::new(Tee::new(limit, &self.worker.budget)))
    }

    /// Sends an answer from the cache; it counts in hostgroup -1.
    pub(super) async fn answer_from_cache(
        &mut self,
        answer: Answer,
        route: &Route,
        text: &[u8],
        kind: Kind,
        started: Instant,
    ) -> Result<(), SessionEnd> {
        let digest = self.enter_digest(FROM_CACHE);
        self.send(&answer.frames).await?;
        let outcome = Outcome { rows: answer.rows, ..Outcome::default() };
        if self.wants_log(route.log) {
            let outcome = Some(&outcome);
            self.log_statement(&Logged {
                command: "COM_QUERY",
                kind,
                text,
                outcome,
                from_cache: true,
                started,
            });
        }
        self.count_statement(kind, digest, Some(&outcome), started.elapsed());
        Ok(())
    }

    /// Keeps the answer that has just gone to the client, if it is one to keep.
    pub(super) fn keep_answer(&mut self, route: &Route, text: &[u8], outcome: &Outcome) {
        let Some(tee) = self.tee.take() else { return };
        let Some(plan) = route.cache.filter(|plan| plan.keeps(outcome)) else { return };
        let Some(mut frames) = tee.whole() else { return };
        if outcome.warnings > 0 && !clear_warnings(&mut frames, self.capabilities) {
            return;
        }
        let key = self.cache_key(route.rewritten.as_deref().unwrap_or(text));
        let answer = Answer { frames: frames.into(), rows: outcome.rows };
        self.worker.cache.borrow_mut().put(&key, answer, plan.freshness.ttl, Instant::now());
    }

    fn cache_key(&self, text: &[u8]) -> Vec<u8> {
        let mut key = Vec::with_capacity(text.len() + 96);
        key.extend_from_slice(self.user().as_bytes());
        key.push(0);
        let shape = self.capabilities & ANSWER_SHAPE;
        key.extend_from_slice(&shape.bits().to_le_bytes());
        self.settings.write_key(&mut key);
        key.extend_from_slice(text);
        key
    }
}

/// Capabilities that change how an answer is written.
const ANSWER_SHAPE: Capabilities = Capabilities::DEPRECATE_EOF
    .union(Capabilities::SESSION_TRACK)
    .union(Capabilities::PROTOCOL_41)
    .union(Capabilities::OPTIONAL_RESULTSET_METADATA)
    .union(Capabilities::MARIADB_EXTENDED_METADATA);

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(decision: &Decision<'_>) -> Option<CachePlan> {
        CachePlan::of(decision, &Variables::default())
    }

    #[test]
    fn a_plan_needs_a_ttl() {
        assert_eq!(plan(&Decision::default()), None);
        assert_eq!(plan(&Decision { cache_ttl: Some(0), ..Decision::default() }), None);
        let found = plan(&Decision { cache_ttl: Some(5), ..Decision::default() }).unwrap();
        assert_eq!((found.freshness.ttl, found.keep_empty), (Duration::from_millis(5), true));
        let no_empty =
            Decision { cache_ttl: Some(5), cache_empty_result: Some(false), ..Decision::default() };
        assert!(!plan(&no_empty).unwrap().keep_empty);
    }

    #[test]
    fn which_answers_are_kept() {
        let plan = CachePlan {
            freshness: Freshness { ttl: Duration::from_secs(1), soft_pct: 0 },
            keep_empty: false,
            keep_warned: false,
        };
        let good = Outcome {
            first: Some(First::ResultSet),
            results: 1,
            rows: 1,
            status: Some(Status::AUTOCOMMIT),
            ..Outcome::default()
        };
        assert!(plan.keeps(&good));
        assert!(!plan.keeps(&Outcome { rows: 0, ..good.clone() }));
        assert!(CachePlan { keep_empty: true, ..plan }.keeps(&Outcome { rows: 0, ..good.clone() }));
        assert!(!plan.keeps(&Outcome { warnings: 1, ..good.clone() }));
        assert!(CachePlan { keep_warned: true, ..plan }.keeps(&Outcome { warnings: 1, ..good.clone() }));
        assert!(!plan.keeps(&Outcome { status: Some(Status::IN_TRANS), ..good.clone() }));
        assert!(!plan.keeps(&Outcome { results: 2, ..good.clone() }));
        assert!(!plan.keeps(&Outcome { first: Some(First::Ok), ..good }));
    }

    #[test]
    fn a_copy_is_whole_or_none() {
        let budget = Budget::new(10);
        let mut tee = Tee::new(4, &budget);
        tee.copy(b"abc");
        tee.copy(b"d");
        assert_eq!(budget.held(), 4);
        assert_eq!(tee.whole().unwrap(), b"abcd");
        for (limit, memory) in [(4, 10), (10, 4)] {
            let budget = Budget::new(memory);
            let mut tee = Tee::new(limit, &budget);
            tee.copy(b"abc");
            tee.copy(b"de");
            tee.copy(b"f");
            assert_eq!((tee.whole(), budget.held()), (None, 0));
        }
    }

    #[test]
    fn what_depends_on_the_session_is_not_cached() {
        let may = |sql: &str| may_be_cached(&proxyd_sql::classify(sql.as_bytes()));
        assert!(may("SELECT a FROM t") && may("SHOW TABLES"));
        for sql in
            ["SELECT @a", "SELECT a FROM t FOR UPDATE", "SELECT FOUND_ROWS()", "INSERT INTO t VALUES (1)"]
        {
            assert!(!may(sql), "{sql}");
        }
    }
}
