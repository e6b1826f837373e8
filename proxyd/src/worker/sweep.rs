//! What a worker looks over now and then: sessions whose time is up, sessions on servers that are lost, idle connections and
//! expired answers.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Worker;
use crate::session;
use crate::session::record::{Interrupt, Record};
use crate::snapshot::Member;
use crate::stats::ServerKey;

/// How often sessions and idle connections are looked over.
const SWEEP: Duration = Duration::from_millis(100);
/// After so long without a command a session gives up what it needs for one: an idle client should be small.
const LONG_REST: Duration = Duration::from_secs(1);
/// Sessions that have rested for `mysql-wait_timeout` are found so late at most.
const LAZY_SWEEP: Duration = Duration::from_secs(10);
/// So many places of the query cache are looked at in one such round: expired answers leave within seconds.
const PURGED_AT_ONCE: usize = 2_000;

pub(super) async fn run(worker: Rc<Worker>) {
    let mut tick = tokio::time::interval(SWEEP);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let now = Instant::now();
        worker.end_overdue(now);
        worker.end_work(now);
        worker.cache.borrow_mut().purge(PURGED_AT_ONCE, now);
        let interval = worker.snapshot().variables.ping_interval_server;
        for backend in worker.pool.take_stale(interval, now) {
            tokio::task::spawn_local(session::ping_idle(worker.clone(), backend));
        }
    }
}

impl Worker {
    /// Gives a session's statement until then, if it has a limit.
    pub fn limit(&self, record: &Record, timeout: Option<Duration>) {
        let deadline = timeout.map(|timeout| self.clock.now() + timeout);
        record.deadline.set(deadline);
        if let Some(deadline) = deadline.filter(|deadline| *deadline < self.next_look.get()) {
            self.next_look.set(deadline);
        }
    }

    /// Lets the sessions that have rested for long know; those that have ended are forgotten.
    fn end_work(&self, now: Instant) {
        let Some(since) = now.checked_sub(LONG_REST) else { return };
        self.at_work.borrow_mut().retain(|record| Rc::strong_count(record) > 1 && !record.tell_rested(since));
    }

    /// Interrupts the sessions whose time is up. There may be very many, most of them at rest for long: they are looked at
    /// only when somebody's time may be up, and for those that rest not too often.
    fn end_overdue(&self, now: Instant) {
        if now < self.next_look.get() {
            return;
        }
        let snapshot = self.snapshot();
        let variables = &snapshot.variables;
        let shortest = variables
            .wait_timeout
            .min(variables.max_transaction_idle_time)
            .min(variables.max_transaction_time);
        // Who rests, or begins a transaction, from now on has that long at least.
        let (mut next_rest, mut next_statement) = (now + shortest, None::<Instant>);
        for record in self.sessions.borrow().values() {
            match record.stays_until(variables) {
                Some(ends) if now > ends => {
                    record.interrupt(Interrupt::IdleTimeout);
                    continue;
                }
                Some(ends) => next_rest = next_rest.min(ends),
                None => {}
            }
            match record.deadline.get() {
                Some(deadline) if now >= deadline => {
                    // Once is enough: it is given some time to stop.
                    record.deadline.set(None);
                    record.interrupt(Interrupt::QueryTimeout);
                }
                Some(deadline) => {
                    next_statement = Some(next_statement.map_or(deadline, |next| next.min(deadline)));
                }
                None => {}
            }
        }
        let next_rest = next_rest.max(now + (shortest / 1000).clamp(SWEEP, LAZY_SWEEP));
        self.next_look.set(next_statement.map_or(next_rest, |next| next.min(next_rest)));
    }

    /// Sessions on a server that is lost now let go of it.
    pub(super) fn drop_lost_backends(&self) {
        let snapshot = self.snapshot();
        let lost = |key: &ServerKey| {
            snapshot.hostgroups.get(&key.hostgroup).is_none_or(|hostgroup| {
                let member = hostgroup
                    .members
                    .iter()
                    .find(|m| m.server.hostname == key.hostname && m.server.port == key.port);
                member.is_none_or(Member::is_lost)
            })
        };
        for record in self.sessions.borrow().values() {
            if record.backend.borrow().as_ref().is_some_and(|place| lost(&place.server)) {
                record.interrupt(Interrupt::BackendGone);
            }
        }
    }
}
