//! One command to one hostgroup: borrow a backend, relay, retry what may be retried, settle.

use std::time::{Duration, Instant};

use proxyd_sql::{Flags, Kind, Statement};
use proxyd_wire::response::{Dialect, Expect, Outcome, ResponseTracker, SchemaDebt, SchemaNews};
use proxyd_wire::{Capabilities, Status};

use super::causal::Destination;
use super::checkout::Attach;
use super::elsewhere::Why;
use super::pins::{Pins, Reply};
use super::prepared::{Execution, Unready, cache};
use super::record::Interrupt;
use super::relay::{Relay, Reported, Trouble, is_about_the_server, lost_statement, why_refused};
use super::tries::Tries;
use super::{Cause, Phase, Session, SessionEnd};
use crate::backend::Backend;
use crate::control::WorkerEvent;
use crate::counters::InUse;
use crate::pool::why_lost;
use crate::reply::{self, Refusal};
use crate::snapshot::{HostgroupId, Snapshot};

/// A backend connection that a session holds, and why.
#[derive(Debug)]
pub struct Attached {
    /// Boxed: it changes hands several times a query.
    pub backend: Box<Backend>,
    pub pins: Pins,
    _in_use: InUse,
}

impl Attached {
    pub(super) fn new(backend: Box<Backend>) -> Attached {
        let in_use = InUse::new(backend.counters.clone());
        Attached::counted(backend, in_use)
    }

    /// One that counts as used already.
    pub(super) fn counted(backend: Box<Backend>, in_use: InUse) -> Attached {
        Attached { backend, pins: Pins::default(), _in_use: in_use }
    }

    pub fn hostgroup(&self) -> HostgroupId {
        self.backend.server().hostgroup
    }

    /// Something on the connection is what this statement is about; all others may go elsewhere.
    pub(super) fn is_needed_for(&self, statement: &Statement<'_>) -> bool {
        self.pins.cursor || self.pins.wants(statement)
    }
}

/// What is to be forwarded, and how often it may be tried.
pub struct Job<'a, 'f> {
    /// Whole frames, as the client sent them.
    pub frames: &'a [u8],
    pub expect: Expect,
    pub statement: &'a Statement<'a>,
    pub to: Destination<'a>,
    pub retries: u32,
    pub timeout: Option<Duration>,
    /// COM_STMT_EXECUTE: its frames depend on the connection; `frames` is empty.
    pub execution: Option<&'a mut Execution<'f>>,
}

/// What a connection is to a job.
enum Ready {
    Yes(Attached),
    /// Another one is needed.
    Again,
    /// The client was given an error.
    Told,
}

/// How a job goes on after trouble.
#[derive(PartialEq, Eq)]
enum Recovery {
    Again,
    /// The client was given an error.
    Told,
}

impl Session {
    /// Forwards a command. `Some` is the response's outcome; `None` means that the client was given an error instead.
    /// The connection used is in `self.attached`, last, until [`Session::settle`].
    pub(super) async fn forward(&mut self, mut job: Job<'_, '_>) -> Result<Option<Outcome>, SessionEnd> {
        if !self.attached.is_empty() {
            self.leave_retired_backends(job.statement).await;
        }
        let mut tries = self.tries(job.retries);
        let mut to = job.to;
        loop {
            let held = match self.attach(&mut to, tries.deadline(), tries.avoid()).await {
                Ok(held) => held,
                Err(Attach::Refused(refusal)) => return self.refuse(&refusal).await.map(|()| None),
                Err(Attach::End(end)) => return Err(end),
            };
            let may_repeat = tries.has_more() && held.pins.is_free() && is_repeatable(job.statement);
            let may_leave = !held.is_needed_for(job.statement);
            let reported = Reported {
                not_here: may_leave && tries.has_more(),
                shutdown: may_leave && tries.may_move() && has_not_run(job.statement),
                lost_statement: job.execution.as_ref().is_some_and(|execution| !execution.again),
            };
            self.worker.limit(&self.record, job.timeout);
            let mut held = match self.make_fit(held, &mut job, &mut tries).await? {
                Ready::Yes(held) => held,
                Ready::Again => continue,
                Ready::Told => return Ok(None),
            };
            let trouble = match self.relay(&mut held, &job, reported).await {
                Ok(outcome) => {
                    self.note_error(&held, &outcome);
                    self.count_causal(to, &held.backend);
                    self.attached.push(held);
                    return Ok(Some(outcome));
                }
                Err(trouble) => trouble,
            };
            // In a box: it is rare, and every session would have the room.
            let recovery = Box::pin(self.recover(trouble, held, &mut job, &mut tries, may_repeat));
            if recovery.await? == Recovery::Told {
                return Ok(None);
            }
        }
    }

    /// Brings to a connection what this very job needs there.
    async fn make_fit(
        &mut self,
        mut held: Attached,
        job: &mut Job<'_, '_>,
        tries: &mut Tries,
    ) -> Result<Ready, SessionEnd> {
        if let Some(execution) = job.execution.as_deref_mut() {
            held = match self.make_ready(execution, held).await {
                Ok(held) => held,
                Err(Unready::Elsewhere(failure)) => {
                    return match Box::pin(self.try_elsewhere(failure, tries)).await {
                        Ok(()) => Ok(Ready::Again),
                        Err(refusal) => self.refuse(&refusal).await.map(|()| Ready::Told),
                    };
                }
                Err(Unready::Told) => return Ok(Ready::Told),
                Err(Unready::End(end)) => return Err(end),
            };
        }
        if let Err(error) = self.bring_along(&mut held, job.statement).await {
            tracing::info!(session = self.record.id, %error, "a connection broke before it was used");
            if held.pins.is_free() {
                return Ok(Ready::Again);
            }
            let server = held.backend.server();
            let refusal = Refusal::lost(server, &error.to_string(), held.pins.transaction);
            return self.refuse(&refusal).await.map(|()| Ready::Told);
        }
        Ok(Ready::Yes(held))
    }

    /// Sends the command, and passes the response on.
    async fn relay(
        &mut self,
        held: &mut Attached,
        job: &Job<'_, '_>,
        reported: Reported,
    ) -> Result<Outcome, Trouble> {
        let before = (held.backend.connection.bytes_out, held.backend.connection.bytes_in);
        let dialect =
            Dialect::new(held.backend.capabilities, self.capabilities, self.status(), held.pins.own_tracking);
        let dialect = dialect.map(|dialect| dialect.with_schema(self.schema_news(held, job.statement)));
        let tracker = ResponseTracker::new(job.expect, held.backend.capabilities);
        let mut tracker = tracker.with_dialect(dialect);
        let bare = self.bare(&held.backend, job.frames);
        let mut relay = Relay {
            client: &mut self.client,
            backend: &mut held.backend,
            record: &self.record,
            worker: &self.worker,
            user: &self.account.name,
            tee: self.tee.as_deref_mut(),
            reported,
        };
        let text = bare.as_deref().unwrap_or(job.frames);
        let frames = job.execution.as_deref().map_or(text, Execution::frames);
        let relayed = relay.run(frames, &mut tracker).await;
        self.count_traffic(&held.backend, before);
        relayed
    }

    /// After a relay that did not end as it should: tries again, or tells the client.
    async fn recover(
        &mut self,
        trouble: Trouble,
        mut held: Attached,
        job: &mut Job<'_, '_>,
        tries: &mut Tries,
        may_repeat: bool,
    ) -> Result<Recovery, SessionEnd> {
        let server = held.backend.server().clone();
        match trouble {
            Trouble::Refused { code, .. } if lost_statement(code) => {
                if let Some(execution) = job.execution.as_deref_mut() {
                    held.backend.statements.forget(execution.server_id);
                    execution.again = true;
                }
                self.attached.push(held);
                Ok(Recovery::Again)
            }
            Trouble::Refused { code, message } => {
                self.note_refusal(&server, code, &message);
                let why = why_refused(code);
                match why {
                    // What is tied to the connection ends with the server.
                    Why::Closing | Why::Lost => drop(held),
                    Why::NotHere => self.part_with(held).await,
                }
                self.leave_server(server, why, tries).await;
                Ok(Recovery::Again)
            }
            Trouble::BackendLost { error, client_saw_some: false } if may_repeat => {
                tracing::info!(session = self.record.id, %error, server = %server.hostname, "retrying a read");
                self.worker.counters.global.borrow_mut().backend_retries += 1;
                self.leave_server(server, Why::Lost, tries).await;
                Ok(Recovery::Again)
            }
            Trouble::BackendLost { error, client_saw_some } => {
                self.worker.pool.drop_broken(&server);
                self.note_lost_answer(job.statement, &server);
                if client_saw_some {
                    return Err(SessionEnd::proxy(Phase::Result, Cause::Io(error)));
                }
                // A COMMIT may have been done: to run that transaction again could be to run it twice.
                let is_undone = held.pins.transaction && job.statement.kind != Kind::Commit;
                let refusal = Refusal::lost(&server, &error.to_string(), is_undone);
                self.refuse(&refusal).await.map(|()| Recovery::Told)
            }
            Trouble::ClientLost(error) => {
                self.kill_backend(&held.backend, false);
                Err(SessionEnd::client(Phase::Result, error))
            }
            Trouble::Interrupted { why, client_saw_some } => {
                self.note_lost_answer(job.statement, &server);
                self.interrupted(why, client_saw_some, &held).await.map(|()| Recovery::Told)
            }
        }
    }

    /// A client that is told that its server does not serve may be tied to it; the monitors are to look all the same.
    fn note_error(&self, held: &Attached, outcome: &Outcome) {
        if let Some(error) = &outcome.error
            && is_about_the_server(error.code, &error.message)
        {
            self.note_refusal(held.backend.server(), error.code, &error.message);
        }
    }

    /// A client's text without its query attributes, where the server knows none.
    fn bare(&self, backend: &Backend, frames: &[u8]) -> Option<Vec<u8>> {
        let drops = self.traits.attributes && !backend.capabilities.contains(Capabilities::QUERY_ATTRIBUTES);
        if drops { reply::without_attributes(frames) } else { None }
    }

    /// What the answer to this statement may have to tell of an earlier one.
    fn schema_news(&self, held: &Attached, statement: &Statement<'_>) -> SchemaNews {
        let name = match self.schema_debt {
            SchemaDebt::Us => self.settings.schema.as_bytes().into(),
            SchemaDebt::Nobody | SchemaDebt::Server => Box::default(),
        };
        SchemaNews {
            debt: self.schema_debt,
            name,
            needs_company: held.backend.is_mariadb(),
            is_asked_for: matches!(statement.kind, Kind::Use | Kind::Call)
                || statement.flags.has(Flags::MULTI_STATEMENT),
        }
    }

    /// After a response: what the session now has, and whether the connection stays with it.
    pub(super) fn settle(&mut self, statement: &Statement<'_>, outcome: &Outcome, now: Instant) {
        let Some(held) = self.attached.last_mut() else { return };
        if let Some(status) = outcome.status {
            let autocommit = status.contains(Status::AUTOCOMMIT);
            self.settings.autocommit = autocommit;
            self.modes = status & Status::MODES;
            held.backend.settings.autocommit = autocommit;
        }
        let reply = Reply {
            in_transaction: outcome.status.map(|status| status.contains(Status::IN_TRANS)),
            read_only: outcome.status.is_some_and(|status| status.contains(Status::IN_TRANS_READONLY)),
            failed: outcome.is_err(),
            warnings: outcome.warnings,
            last_insert_id: outcome.last_insert_id,
        };
        held.pins.after(statement, &reply, now);
        if let Some((_, others)) = self.attached.split_last_mut() {
            others.iter_mut().for_each(|other| other.pins.superseded(statement, &reply));
        }
        if !outcome.is_err() && cache::changes_schema(statement) {
            self.worker.schema_changed(statement);
        }
        self.let_go(now);
    }

    /// Gives back every connection that nothing ties to this session.
    pub(super) fn let_go(&mut self, now: Instant) {
        let snapshot = self.snapshot();
        if snapshot.variables.multiplexing {
            let mut at = 0;
            while let Some(held) = self.attached.get_mut(at) {
                held.pins.expire(now);
                if held.pins.is_free() && multiplexes(&snapshot, held.hostgroup()) {
                    let held = self.attached.swap_remove(at);
                    self.worker.pool.give(held.backend, &snapshot, self.worker.workers, now);
                } else {
                    at += 1;
                }
            }
        }
        let tied = self.attached.iter().max_by_key(|held| held.pins.is_hard());
        let reason =
            tied.map_or("", |held| if held.pins.is_free() { "multiplexing-off" } else { held.pins.reason() });
        if self.record.pin_reason.replace(reason) != reason && !reason.is_empty() {
            self.worker.counters.pinned(reason);
        }
        self.record.note_transaction(self.attached.iter().any(|held| held.pins.transaction), now);
        *self.record.backend.borrow_mut() = tied.map(|held| held.backend.place.clone());
    }

    pub(super) async fn interrupted(
        &mut self,
        why: Interrupt,
        saw: bool,
        held: &Attached,
    ) -> Result<(), SessionEnd> {
        self.kill_backend(&held.backend, false);
        match why {
            Interrupt::KillConnection | Interrupt::IdleTimeout => {
                Err(SessionEnd::proxy(Phase::Result, Cause::Killed))
            }
            _ if saw => Err(SessionEnd::proxy(Phase::Result, Cause::Killed)),
            Interrupt::BackendGone => {
                let why = why_lost(&self.snapshot(), held.backend.server());
                let refusal = Refusal::lost(held.backend.server(), &why, held.pins.transaction);
                self.refuse(&refusal).await
            }
            Interrupt::QueryTimeout => self.refuse(&Refusal::timed_out()).await,
            Interrupt::KillQuery => self.refuse(&Refusal::interrupted()).await,
        }
    }

    /// Ends what runs on a connection that is about to be dropped: the server would finish it for nobody.
    fn kill_backend(&self, backend: &Backend, query_only: bool) {
        self.worker.tell(WorkerEvent::KillBackend {
            server: backend.server().clone(),
            user: self.account.name.clone(),
            thread_id: backend.thread_id,
            query_only,
        });
    }

    pub(super) fn note_backend(&self, backend: &Backend) {
        *self.record.backend.borrow_mut() = Some(backend.place.clone());
    }

    pub(super) fn count_traffic(&self, backend: &Backend, (sent, received): (u64, u64)) {
        let (sent, received) = (backend.connection.bytes_out - sent, backend.connection.bytes_in - received);
        let mut global = self.worker.counters.global.borrow_mut();
        global.queries_backends_bytes_sent += sent;
        global.queries_backends_bytes_recv += received;
        let mut server = backend.counters.stats.borrow_mut();
        server.queries += 1;
        server.bytes_sent += sent;
        server.bytes_recv += received;
    }
}

/// `mysql_hostgroup_attributes.multiplex`.
fn multiplexes(snapshot: &Snapshot, hostgroup: HostgroupId) -> bool {
    snapshot.hostgroups.get(&hostgroup).is_none_or(|hostgroup| hostgroup.attributes.multiplex)
}

/// Running it twice is as good as once: reads, and what only prepares a session.
fn is_repeatable(statement: &Statement<'_>) -> bool {
    statement.is_read()
        || matches!(statement.kind, Kind::Begin | Kind::StartTransaction | Kind::Set | Kind::Use)
}

/// What a server that shuts down refuses it has not done, or undone: no statement but one of several, of which some may have
/// been committed before the server said so.
fn has_not_run(statement: &Statement<'_>) -> bool {
    statement.kind != Kind::Call
}
