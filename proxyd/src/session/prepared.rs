//! Binary prepared statements: pinned, one to one. The client's statement ids are ours, because two backends would
//! give the same ones.

use std::rc::Rc;
use std::time::Instant;

use proxyd_sql::{Kind, classify};
use proxyd_wire::frame;
use proxyd_wire::response::{Expect, Outcome};

use super::forward::Job;
use super::{Session, SessionEnd};
use crate::digests::Ticket;
use crate::reply::Refusal;
use crate::snapshot::HostgroupId;

/// A statement that this client has prepared.
#[derive(Debug)]
pub struct Prepared {
    hostgroup: HostgroupId,
    /// The connection it lives on, by the server's thread id: another one does not know it.
    thread_id: u32,
    backend_id: u32,
    text: Rc<[u8]>,
    /// Where its executions count.
    digest: Option<Ticket>,
}

/// More than any application keeps open on one connection; MySQL's own limit is per server (max_prepared_stmt_count).
const MAX_STATEMENTS: usize = 16_382;

impl Session {
    /// COM_STMT_PREPARE: routed by its text like a query; its backend stays with the session while it is open.
    pub(super) async fn prepare(&mut self, frames: &[u8], now: Instant) -> Result<(), SessionEnd> {
        let text = &frames[frame::HEADER + 1..];
        let statement = classify(text);
        let route = match self.route(text, &statement) {
            Ok(route) => route,
            Err(answer) => return self.answer_locally(answer).await,
        };
        if self.statements.len() >= MAX_STATEMENTS {
            return self.refuse(&Refusal::too_many_statements(MAX_STATEMENTS)).await;
        }
        let id = self.next_statement;
        let outcome = self.forward(Job {
            frames,
            expect: Expect::Prepare,
            statement: &statement,
            hostgroup: route.hostgroup,
            retries: route.retries,
            timeout: route.timeout,
            statement_id: Some(id),
        });
        let outcome = outcome.await?;
        if let Some(error) = outcome.as_ref().and_then(|outcome| outcome.error.as_ref()) {
            self.count_error(error);
        }
        if let Some(outcome) = outcome
            && let Some(held) = self.attached.last_mut()
            && let Some(prepared) = outcome.prepared
        {
            held.pins.statements += 1;
            self.next_statement = self.next_statement.checked_add(1).unwrap_or(1);
            self.statements.insert(
                id,
                Prepared {
                    hostgroup: held.backend.server().hostgroup,
                    thread_id: held.backend.thread_id,
                    backend_id: prepared.statement,
                    text: text.into(),
                    digest: route.digest,
                },
            );
        }
        self.let_go(Instant::now());
        self.count_statement(Kind::Prepare, None, None, now);
        Ok(())
    }

    /// COM_STMT_EXECUTE, COM_STMT_FETCH and COM_STMT_RESET, on the connection that knows the statement.
    pub(super) async fn execute(
        &mut self,
        id: u32,
        frames: &mut [u8],
        expect: Expect,
        now: Instant,
    ) -> Result<(), SessionEnd> {
        let Some((hostgroup, text)) = self.aim(id, frames) else {
            return self.refuse(&Refusal::unknown_statement(id)).await;
        };
        let statement = classify(&text);
        let job = Job {
            frames,
            expect,
            statement: &statement,
            hostgroup,
            retries: 0,
            timeout: None,
            statement_id: None,
        };
        let outcome = self.forward(job).await?;
        match &outcome {
            Some(outcome) => {
                if let Some(error) = &outcome.error {
                    self.count_error(error);
                }
                self.settle(&statement, outcome);
            }
            None => self.let_go(Instant::now()),
        }
        if expect == Expect::Results {
            self.count_execution(id, &text, statement.kind, outcome.as_ref(), now);
        }
        Ok(())
    }

    /// An execution counts where its statement was prepared; if that place was given away meanwhile, in a new one.
    fn count_execution(
        &mut self,
        id: u32,
        text: &[u8],
        kind: Kind,
        outcome: Option<&Outcome>,
        started: Instant,
    ) {
        let Some((hostgroup, digest)) = self.statements.get(&id).map(|known| (known.hostgroup, known.digest))
        else {
            return;
        };
        if self.count_statement(kind, digest, outcome, started) {
            return;
        }
        let digest = self.enter_digest_of(hostgroup, text);
        if let Some(known) = self.statements.get_mut(&id) {
            known.digest = digest;
        }
    }

    /// COM_STMT_SEND_LONG_DATA: passed on; the server does not answer it.
    pub(super) async fn long_data(&mut self, id: u32, frames: &mut [u8]) -> Result<(), SessionEnd> {
        // An unknown id has no answer either: MySQL reports it at the next COM_STMT_EXECUTE.
        if let Some((hostgroup, _)) = self.aim(id, frames) {
            self.pass_unanswered(hostgroup, frames).await;
        }
        Ok(())
    }

    /// COM_STMT_CLOSE: passed on; the server does not answer it.
    pub(super) async fn close_statement(&mut self, id: u32, frames: &mut [u8]) -> Result<(), SessionEnd> {
        let aimed = self.aim(id, frames);
        if self.statements.remove(&id).is_some()
            && let Some((hostgroup, _)) = aimed
        {
            self.pass_unanswered(hostgroup, frames).await;
            if let Some(held) = self.attached.iter_mut().find(|held| held.hostgroup() == hostgroup) {
                held.pins.statements = held.pins.statements.saturating_sub(1);
            }
            self.let_go(Instant::now());
        }
        Ok(())
    }

    /// Puts the backend's id for statement `id` into the command. `None` when no connection of this session knows it.
    fn aim(&self, id: u32, frames: &mut [u8]) -> Option<(HostgroupId, Rc<[u8]>)> {
        let prepared = self.statements.get(&id)?;
        let held = self.attached.iter().find(|held| held.hostgroup() == prepared.hostgroup)?;
        let place = frames.get_mut(frame::HEADER + 1..frame::HEADER + 5)?;
        if held.backend.thread_id != prepared.thread_id {
            return None;
        }
        place.copy_from_slice(&prepared.backend_id.to_le_bytes());
        Some((prepared.hostgroup, prepared.text.clone()))
    }

    /// A backend that is gone shows at the next command that has an answer.
    async fn pass_unanswered(&mut self, hostgroup: HostgroupId, frames: &[u8]) {
        if let Some(held) = self.attached.iter_mut().find(|held| held.hostgroup() == hostgroup) {
            let _ = held.backend.connection.write_all(frames).await;
        }
    }
}
