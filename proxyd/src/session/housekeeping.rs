//! The commands about the connection itself, and how a session lets go of what it holds.

use std::rc::Rc;
use std::time::{Duration, Instant};

use proxyd_sql::Statement;
use proxyd_wire::Status;
use proxyd_wire::response::SchemaDebt;

use super::forward::Attached;
use super::{Cause, Phase, Session, SessionEnd};
use crate::backend::Backend;
use crate::control::WorkerEvent;
use crate::pool::{is_lost, member_of};
use crate::reply::{self, Refusal};
use crate::snapshot::Status as ServerStatus;
use crate::worker::Worker;

/// A backend has this long to answer a ping or a reset between two sessions.
const BETWEEN_SESSIONS: Duration = Duration::from_secs(1);
/// A client has this long to send the rest of a packet that nobody wants.
const TO_FINISH_SENDING: Duration = Duration::from_secs(5);

impl Session {
    pub(super) async fn ok(&mut self) -> Result<(), SessionEnd> {
        let frames = reply::ok(self.capabilities, self.status(), "");
        self.send(&frames).await
    }

    pub(super) async fn send(&mut self, frames: &[u8]) -> Result<(), SessionEnd> {
        self.client.write_all(frames).await.map_err(|error| SessionEnd::client(Phase::Result, error))
    }

    /// Tells the client an error; the session goes on.
    pub(super) async fn refuse(&mut self, refusal: &Refusal) -> Result<(), SessionEnd> {
        self.worker.counters.global.borrow_mut().generated_error_packets += 1;
        tracing::debug!(session = self.record.id, code = refusal.code(), text = refusal.text(), "refused");
        self.send(&refusal.frames_in(self.codes, 1)).await
    }

    /// A command that is no command: the client is told, and may go on.
    pub(super) async fn malformed(&mut self, error: proxyd_wire::Malformed) -> Result<(), SessionEnd> {
        self.worker.counters.global.borrow_mut().malformed_packets += 1;
        self.refuse(&Refusal::malformed(&error.to_string())).await
    }

    /// Throws away what the client still sends, until it closes: it reads an answer only after that, and a close with
    /// unread bytes would be a reset that takes the answer with it.
    pub(super) async fn let_finish_sending(&mut self) {
        let sending = async {
            loop {
                self.client.input.consume(usize::MAX);
                match self.client.fill(0, &self.worker.buffers).await {
                    Ok(1..) => {}
                    Ok(0) | Err(_) => return,
                }
            }
        };
        // One that takes longer has had its chance.
        let _ = tokio::time::timeout(TO_FINISH_SENDING, sending).await;
    }

    /// Frames that do not follow each other: there is no telling where the next command begins.
    pub(super) async fn broken(&mut self, what: &str) -> SessionEnd {
        self.worker.counters.global.borrow_mut().malformed_packets += 1;
        // The client may be gone already.
        let _ = self.refuse(&Refusal::malformed(what)).await;
        SessionEnd::protocol(Phase::Command, what)
    }

    /// KILL by our own session ids: here, or at another worker.
    pub(super) async fn kill(&mut self, id: u32, query_only: bool) -> Result<(), SessionEnd> {
        if id == self.record.id && !query_only {
            self.refuse(&Refusal::interrupted()).await?;
            return Err(SessionEnd::proxy(Phase::Command, Cause::Killed));
        }
        match self.worker.user_of(id) {
            // As in MySQL without CONNECTION_ADMIN: one's own sessions, nobody else's.
            Some(user) if *user != *self.user() => return self.refuse(&Refusal::not_the_owner(id)).await,
            Some(_) => drop(self.worker.kill(id, query_only)),
            // Another worker may have it; the control thread asks them all.
            None => self.worker.tell(WorkerEvent::Kill {
                session: id,
                query_only,
                user: self.account.name.clone(),
            }),
        }
        self.ok().await
    }

    /// COM_STATISTICS: one line of text, without an OK around it.
    pub(super) async fn statistics(&mut self) -> Result<(), SessionEnd> {
        let text = {
            let global = self.worker.counters.global.borrow();
            // Clients take it apart: the uptime comes first, and each pair is two spaces from the next.
            format!(
                "Uptime: {}  Threads: {}  Questions: {}  Slow queries: {}",
                crate::start::uptime().as_secs(),
                global.client_connections_connected,
                global.questions,
                global.slow_queries
            )
        };
        self.send(&reply::frames_of(text.as_bytes(), 1)).await
    }

    /// COM_SET_OPTION: multi-statements on (0) or off (1).
    pub(super) async fn set_option(&mut self, option: u16) -> Result<(), SessionEnd> {
        match option {
            0 | 1 => {
                self.traits.multi_statements = option == 0;
                let frames = reply::eof(self.capabilities, self.status());
                self.send(&frames).await
            }
            _ => self.refuse(&Refusal::malformed("unknown option")).await,
        }
    }

    /// COM_RESET_CONNECTION: as after the login, but with the schema of now.
    pub(super) fn start_over(&mut self) {
        self.release();
        let schema = std::mem::take(&mut self.settings.schema);
        self.settings = super::login::first_settings(&schema, self.collation, &self.account);
        self.next_flag = 0;
    }

    /// Gives up every backend connection: reset and back to the pool, where that is quick, else closed.
    pub(super) fn release(&mut self) {
        if let Some(statements) = &mut self.statements {
            statements.clear();
        }
        self.last_insert_id = 0;
        self.modes = Status::empty();
        self.schema_debt = SchemaDebt::default();
        for held in self.attached.drain(..) {
            tokio::task::spawn_local(reset_and_return(self.worker.clone(), held));
        }
        self.let_go(Instant::now());
    }

    /// Leaves the connections to servers that take no new work any more, unless something on them is still needed: a
    /// session that only kept its last insert id must not follow an old writer for ever.
    pub(super) async fn leave_retired_backends(&mut self, statement: &Statement<'_>) {
        let snapshot = self.snapshot();
        let is_needed = |held: &Attached| {
            let online =
                member_of(&snapshot, held.backend.server()).is_some_and(|m| m.status == ServerStatus::Online);
            online || held.is_needed_for(statement)
        };
        let (kept, left) = self.attached.drain(..).partition(is_needed);
        self.attached = kept;
        if !left.is_empty() {
            // What becomes of the old server is no business of this session any more.
            self.record.backend.take();
        }
        for held in Vec::into_iter(left) {
            self.part_with(held).await;
        }
    }

    /// Leaves a connection that nothing under way needs, and takes the last insert id along.
    pub(super) async fn part_with(&mut self, mut held: Attached) {
        if held.pins.has_insert_id() {
            // One that is lost has taken the id with it.
            let _ = Box::pin(self.fetch_insert_id(&mut held)).await;
        }
        self.leave(held);
    }

    /// Leaves a connection behind, with whatever is on it.
    pub(super) fn leave(&self, held: Attached) {
        tokio::task::spawn_local(reset_and_return(self.worker.clone(), held));
    }

    /// Lets go of the connections to servers that are lost. What is tied to one is told at its next use: dropped without a
    /// word, a transaction would go on as single statements.
    pub(super) fn drop_lost_backends(&mut self) {
        let snapshot = self.snapshot();
        self.attached.retain(|held| {
            let lost = is_lost(&snapshot, held.backend.server());
            if lost {
                held.backend.connection.sever();
            }
            !lost || !held.pins.is_free()
        });
        self.let_go(Instant::now());
    }
}

/// A connection that a session leaves behind with something on it. A transaction is rolled back by the reset.
async fn reset_and_return(worker: Rc<Worker>, mut held: Attached) {
    let reset = held.backend.reset(&worker.buffers);
    if let Ok(Ok(())) = tokio::time::timeout(BETWEEN_SESSIONS, reset).await {
        worker.pool.give(held.backend, &worker.snapshot(), worker.workers, Instant::now());
    }
}

/// Keeps an idle connection alive, and finds out if it is not.
pub async fn ping_idle(worker: Rc<Worker>, mut backend: Box<Backend>) {
    if let Ok(Ok(())) = tokio::time::timeout(BETWEEN_SESSIONS, backend.ping(&worker.buffers)).await {
        worker.pool.give(backend, &worker.snapshot(), worker.workers, Instant::now());
    }
}
