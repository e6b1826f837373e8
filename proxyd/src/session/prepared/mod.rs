//! Binary prepared statements, without a tie to one connection: the client's ids are ours, and whichever connection has
//! the next execution gets the statement prepared when it first needs it. Only an open cursor ties.
//!
//! [`cache`] knows the statements of a worker, [`handles`] those of a backend connection, [`client`] those of a client;
//! [`ready`] brings the three together. This file is the commands.

pub mod cache;
mod client;
mod handles;
mod ready;

use std::rc::Rc;
use std::time::Instant;

use proxyd_sql::{Detail, Flags, Kind, Statement, classify};
use proxyd_wire::response::{Expect, Outcome};
use proxyd_wire::{Status, frame};

use super::causal::Destination;
use super::checkout::Attach;
use super::forward::{Attached, Job};
use super::settings::Kept;
use super::tracked::Ran;
use super::{Ended, Session, SessionEnd, local};
use crate::reply::Refusal;
use crate::route::Multiplex;
use crate::worker::Worker;
use cache::{Key, Shared};
use client::{MAX_STATEMENTS, Unfit, put_id};

pub use client::{ClientStatements, Execution};
pub use handles::Handles;
pub use ready::Unready;

/// COM_STMT_FETCH belongs to the statement that opened the cursor.
const FETCH: Statement<'static> = Statement { kind: Kind::Execute, flags: Flags::NONE, detail: Detail::None };

impl Session {
    /// What the client has prepared; most clients never ask.
    fn statements(&mut self) -> &mut ClientStatements {
        self.statements.get_or_insert_default()
    }

    /// COM_STMT_PREPARE: routed by its text like a query; answered from what is known of the statement, else by a server.
    pub(super) async fn prepare(&mut self, frames: &[u8], now: Instant) -> Result<(), SessionEnd> {
        self.worker.counters.global.borrow_mut().com_frontend_stmt_prepare += 1;
        let payload = frame::payload(frames);
        let text = &payload[1..];
        let statement = local::read(self, text);
        if statement.kind == Kind::Kill {
            // Its id would be taken for one of the server's.
            return self.refuse(&Refusal::not_preparable()).await;
        }
        let route = match self.route(text, &statement) {
            Ok(route) => route,
            Err(answer) => return self.answer_locally(answer).await,
        };
        let limit = self.snapshot().variables.max_allowed_packet;
        if !self.statements().has_room(text.len(), limit) {
            return self.refuse(&Refusal::too_many_statements(MAX_STATEMENTS)).await;
        }
        let backend_text = route.rewritten.as_deref().unwrap_or(text);
        let shared = self.share(backend_text);
        let known = self.worker.statements.borrow().fresh(&shared, route.hostgroup, now);
        let described = match known.filter(|_| !self.is_peculiar()) {
            Some(known) => Some(known),
            None => {
                self.worker.limit(&self.record, route.timeout);
                let told = self.ask_server(&shared, route.destination(), route.retries).await?;
                if !told && cache::is_of_one_client(&statement) {
                    self.stay_with_types(route.multiplex);
                }
                self.let_go(Instant::now());
                if told { None } else { shared.description() }
            }
        };
        if let Some(described) = described {
            let original = route.rewritten.is_some().then(|| Rc::from(text));
            let id = self.statements().add(&shared, original);
            let answer = described.answer(id, self.status(), self.capabilities);
            self.send(&answer).await?;
        }
        self.count_statement(Kind::Prepare, None, None, now.elapsed());
        Ok(())
    }

    /// The worker's statement of this text, for this client's user and settings of now.
    fn share(&self, text: &[u8]) -> Rc<Shared> {
        let environment = self.settings.environment();
        let key = Key { user: self.user(), environment: &environment, text };
        let limit = self.snapshot().variables.max_stmts_cache;
        let digest = || {
            let mut digester = self.worker.digester.borrow_mut();
            digester.digest(text);
            digester.last()
        };
        self.worker.statements.borrow_mut().find_or_make(key, &classify(text), limit, digest)
    }

    /// Keeps the connection that has just prepared a statement with user variables: the types that they have now stay
    /// in it, whatever is assigned to them later.
    fn stay_with_types(&mut self, multiplex: Option<Multiplex>) {
        if let Some(held) = self.attached.last_mut()
            && multiplex != Some(Multiplex::IgnoreVariables)
        {
            held.pins.note_assignment(Kept::AtBackend);
        }
    }

    /// A tie makes this session see other tables, or read the text in another way, than what is known of it says.
    fn is_peculiar(&self) -> bool {
        self.attached.iter().any(|held| held.pins.changes_meaning())
    }

    /// Has a server of the hostgroup prepare the statement. True: it could not, and the client has been told.
    async fn ask_server(
        &mut self,
        shared: &Rc<Shared>,
        mut to: Destination<'_>,
        retries: u32,
    ) -> Result<bool, SessionEnd> {
        let mut tries = self.tries(retries);
        loop {
            let mut held = match self.attach(&mut to, tries.deadline(), tries.avoid()).await {
                Ok(held) => held,
                Err(Attach::Refused(refusal)) => return self.refuse(&refusal).await.map(|()| true),
                Err(Attach::End(end)) => return Err(end),
            };
            // A connection that knows the statement already knows it from earlier.
            held.backend.statements.forget_all(shared);
            match self.teach(shared, held).await {
                Ok(held) => {
                    self.attached.push(held);
                    return Ok(false);
                }
                Err(Unready::Told) => return Ok(true),
                Err(Unready::End(end)) => return Err(end),
                Err(Unready::Elsewhere(failure)) => {
                    if let Err(refusal) = self.try_elsewhere(failure, &mut tries).await {
                        return self.refuse(&refusal).await.map(|()| true);
                    }
                }
            }
        }
    }

    /// COM_STMT_EXECUTE: routed anew, because a transaction or a rule may send it elsewhere than the last time.
    pub(super) async fn execute(
        &mut self,
        id: u32,
        frames: &mut [u8],
        now: Instant,
    ) -> Result<(), SessionEnd> {
        self.worker.counters.global.borrow_mut().com_frontend_stmt_execute += 1;
        self.tee = None;
        self.drop_cursor(id).await;
        let attributed = self.traits.attributes;
        let mut execution = match self.statements().execution(id, frames, attributed) {
            Ok(execution) => execution,
            Err(unfit) => return self.refuse(&refusal_of(id, &unfit)).await,
        };
        let shared = execution.shared.clone();
        let original = self.statements().get(id).and_then(client::ClientStatement::original);
        let text = original.as_deref().unwrap_or(&shared.text);
        let statement = shared.class;
        if local::wants_digest(&self.snapshot()) {
            let mut digester = self.worker.digester.borrow_mut();
            if original.is_some() || !digester.put_back(&shared.digest) {
                digester.digest(text);
            }
        }
        let route = match self.route(text, &statement) {
            Ok(route) => route,
            Err(answer) => return self.answer_locally(answer).await,
        };
        if let Some(delay) = route.delay {
            tokio::time::sleep(delay).await;
        }
        self.new_connection = route.new_connection;
        let outcome = self
            .forward(Job {
                frames: &[],
                expect: Expect::Results,
                statement: &statement,
                to: route.destination(),
                retries: route.retries,
                timeout: route.timeout,
                execution: Some(&mut execution),
            })
            .await?;
        if let Some(outcome) = &outcome {
            self.note_execution(&execution, outcome);
            if let Some(held) = self.attached.last_mut() {
                held.pins.heed(route.sticky, route.multiplex);
            }
            let ran = Ran { head: &[], text: &shared.text, statement: &statement };
            self.note_session_changes(ran, outcome);
        }
        let command = Some("COM_STMT_EXECUTE");
        let ended = Ended { command, statement: &statement, text, route: &route, started: now };
        self.conclude(&ended, outcome.as_ref());
        Ok(())
    }

    /// What the connection knows after an execution.
    fn note_execution(&mut self, execution: &Execution<'_>, outcome: &Outcome) {
        self.worker.counters.global.borrow_mut().com_backend_stmt_execute += 1;
        if let Some(error) = &outcome.error {
            self.count_error(error);
        }
        let Some(held) = self.attached.last_mut() else { return };
        let cursor = outcome.status.is_some_and(|status| status.contains(Status::CURSOR_EXISTS));
        let cursor_of = cursor.then_some(execution.client_id);
        let (types, remembered) = (execution.types(), !outcome.is_err());
        held.backend.statements.executed(execution.server_id, types, remembered, cursor_of);
        held.pins.cursor = held.backend.statements.has_cursors();
    }

    /// COM_STMT_FETCH: where the cursor is.
    pub(super) async fn fetch(&mut self, id: u32, frames: &mut [u8]) -> Result<(), SessionEnd> {
        let found = self.attached.iter().find_map(|held| {
            held.backend.statements.cursor_of(id).map(|server_id| (held.hostgroup(), server_id))
        });
        let Some((hostgroup, server_id)) = found else {
            let refusal = match self.statements().get(id) {
                Some(_) => Refusal::no_cursor(id),
                None => Refusal::unknown_statement(id),
            };
            return self.refuse(&refusal).await;
        };
        put_id(frames, server_id.to_le_bytes());
        let outcome = self
            .forward(Job {
                frames,
                expect: Expect::Fetch,
                statement: &FETCH,
                to: hostgroup.into(),
                retries: 0,
                timeout: None,
                execution: None,
            })
            .await?;
        let Some(outcome) = outcome else {
            self.let_go(Instant::now());
            return Ok(());
        };
        if let Some(error) = &outcome.error {
            self.count_error(error);
        }
        if let Some(held) = self.attached.last_mut() {
            let last = outcome.status.is_some_and(|status| status.contains(Status::LAST_ROW_SENT));
            if last {
                held.backend.statements.cursor_ended(id);
            } else if outcome.is_err() {
                held.backend.statements.drop_cursor(id);
            }
            held.pins.cursor = held.backend.statements.has_cursors();
            send_closing(&self.worker, held).await;
        }
        self.settle(&FETCH, &outcome, Instant::now());
        Ok(())
    }

    /// COM_STMT_RESET: forgets long data and closes the cursor.
    pub(super) async fn reset_statement(&mut self, id: u32) -> Result<(), SessionEnd> {
        if self.statements().get(id).is_none() {
            return self.refuse(&Refusal::unknown_statement(id)).await;
        }
        self.statements().forget_long_data(id);
        self.drop_cursor(id).await;
        self.let_go(Instant::now());
        self.ok().await
    }

    /// COM_STMT_SEND_LONG_DATA: kept until the execution; there is no answer.
    pub(super) fn long_data(&mut self, id: u32, frames: &[u8]) {
        let limit = self.snapshot().variables.max_allowed_packet;
        self.statements().add_long_data(id, frames, limit);
    }

    /// COM_STMT_CLOSE: there is no answer. Connections keep the statement for whoever needs it next.
    pub(super) async fn close_statement(&mut self, id: u32) {
        self.worker.counters.global.borrow_mut().com_frontend_stmt_close += 1;
        self.drop_cursor(id).await;
        if self.statements().remove(id) {
            self.let_go(Instant::now());
        }
    }

    /// Closes the cursor that a statement has open, if it has one.
    async fn drop_cursor(&mut self, id: u32) {
        let open = self.attached.iter_mut().find(|held| held.backend.statements.cursor_of(id).is_some());
        if let Some(held) = open {
            held.backend.statements.drop_cursor(id);
            held.pins.cursor = held.backend.statements.has_cursors();
            send_closing(&self.worker, held).await;
        }
    }
}

/// Sends the COM_STMT_CLOSE that wait: the server does not answer them. A backend that is gone shows at the next
/// command that has an answer.
async fn send_closing(worker: &Worker, held: &mut Attached) {
    let closing = held.backend.statements.take_closing();
    if !closing.is_empty() {
        worker.counters.global.borrow_mut().com_backend_stmt_close += held.backend.statements.take_closed();
        let _ = held.backend.connection.write_all(&closing).await;
    }
}

fn refusal_of(id: u32, unfit: &Unfit) -> Refusal {
    match unfit {
        Unfit::Unknown => Refusal::unknown_statement(id),
        Unfit::Malformed(error) => Refusal::malformed(&error.to_string()),
        Unfit::NoTypes => Refusal::wrong_arguments(),
        Unfit::TooLong => Refusal::packet_too_large(),
    }
}
