//! Making a statement known to the connection that is to execute it: prepared there if it is not yet, under the settings
//! that the client had when it prepared it, within the connection's bound.

use std::io;
use std::rc::Rc;
use std::time::Instant;

use proxyd_wire::response::{Description, Expect};
use proxyd_wire::{Capabilities, Command, frame};

use super::cache::Shared;
use super::client::Execution;
use crate::backend::{Backend, FitError};
use crate::net::BufferPool;
use crate::reply::Refusal;
use crate::session::elsewhere::{Failure, Why};
use crate::session::forward::Attached;
use crate::session::record::Interrupt;
use crate::session::relay::{is_about_the_server, why_refused};
use crate::session::settings::Settings;
use crate::session::{Session, SessionEnd};

/// max_prepared_stmt_count of the server is reached.
const TOO_MANY_AT_THE_SERVER: u16 = 1461;

/// Why a connection was not made ready.
pub enum Unready {
    /// The client has been told.
    Told,
    /// This server cannot; another one may.
    Elsewhere(Failure),
    End(SessionEnd),
}

impl Session {
    /// Prepares the statement of an execution if need be, and sends its long data.
    pub(in crate::session) async fn make_ready(
        &mut self,
        execution: &mut Execution<'_>,
        mut held: Attached,
    ) -> Result<Attached, Unready> {
        let (shared, client_id) = (execution.shared.clone(), execution.client_id);
        if held.backend.statements.find(&shared, client_id, execution.types()).is_none() {
            held = Box::pin(self.teach(&shared, held)).await?;
            // It may have been prepared under other settings than those that it is to run under.
            if let Err(error) = held.backend.fit(&self.settings, &self.worker.buffers).await {
                return Err(self.unready(error, held).await);
            }
        }
        let types = execution.types.clone();
        let types = types.as_deref().unwrap_or_default();
        let capabilities = held.backend.capabilities;
        if let Some(ready) = held.backend.statements.find(&shared, client_id, types) {
            let attributed = capabilities.contains(Capabilities::QUERY_ATTRIBUTES);
            execution.aim(ready, attributed);
        }
        if !execution.long_data().is_empty()
            && let Err(error) = held.backend.connection.write_all(execution.long_data()).await
        {
            return Err(self.unready(FitError::Lost(error), held).await);
        }
        Ok(held)
    }

    /// Prepares a statement on a connection.
    pub(super) async fn teach(
        &mut self,
        shared: &Rc<Shared>,
        mut held: Attached,
    ) -> Result<Attached, Unready> {
        let limit = self.snapshot().variables.max_stmts_per_connection;
        let server = held.backend.server().clone();
        let preparing = prepare(&mut held.backend, shared, &self.settings, limit, &self.worker.buffers);
        let prepared = tokio::select! {
            biased;
            prepared = preparing => prepared,
            why = self.record.interrupted_at(&server, &self.worker) => return Err(self.stopped(why, held).await),
            () = self.client.peer_closed() => return Err(self.stopped(Interrupt::KillConnection, held).await),
        };
        match prepared {
            Ok(description) => {
                {
                    let mut global = self.worker.counters.global.borrow_mut();
                    global.com_backend_stmt_prepare += 1;
                    global.com_backend_stmt_close += held.backend.statements.take_closed();
                }
                let hostgroup = held.hostgroup();
                self.worker.statements.borrow_mut().describe(shared, description, hostgroup, Instant::now());
                if held.pins.changes_meaning() {
                    shared.distrust();
                }
                Ok(held)
            }
            Err(error) => Err(self.unready(error, held).await),
        }
    }

    async fn stopped(&mut self, why: Interrupt, held: Attached) -> Unready {
        match self.interrupted(why, false, &held).await {
            Ok(()) => Unready::Told,
            Err(end) => Unready::End(end),
        }
    }

    /// A connection that cannot do it: given back if it is still good; elsewhere if nothing ties the session to it.
    async fn unready(&mut self, error: FitError, held: Attached) -> Unready {
        let (tied, in_transaction) = (!held.pins.is_free(), held.pins.transaction);
        let server = held.backend.server().clone();
        match error {
            FitError::Lost(error) => {
                let refusal = Refusal::lost(&server, &error.to_string(), in_transaction);
                if !tied {
                    return Unready::Elsewhere(Failure { server, why: Why::Lost, refusal });
                }
                self.tell(&refusal).await
            }
            FitError::Refused(packet) => {
                self.count_error(&packet);
                let refusal = Refusal::from_backend(&packet);
                if !tied && is_about_the_server(packet.code, &packet.message) {
                    self.note_refusal(&server, packet.code, &packet.message);
                    self.leave(held);
                    return Unready::Elsewhere(Failure { server, why: why_refused(packet.code), refusal });
                }
                self.attached.push(held);
                self.tell(&refusal).await
            }
        }
    }

    async fn tell(&mut self, refusal: &Refusal) -> Unready {
        match self.refuse(refusal).await {
            Ok(()) => Unready::Told,
            Err(end) => Unready::End(end),
        }
    }
}

/// COM_STMT_PREPARE on a connection, for a client whose settings are `session` by now.
async fn prepare(
    backend: &mut Backend,
    shared: &Rc<Shared>,
    session: &Settings,
    limit: usize,
    buffers: &BufferPool,
) -> Result<Description, FitError> {
    backend.fit(&session.under(&shared.environment), buffers).await?;
    loop {
        let mut frames = backend.statements.make_room(limit);
        let payload = [&[Command::StmtPrepare as u8], &*shared.text].concat();
        frame::write(&mut frames, &mut 0, &payload);
        let answered = backend.exchange(&frames, Expect::Prepare, buffers).await;
        let (outcome, answer) = answered.map_err(FitError::Lost)?;
        match outcome.error {
            None => {
                let invalid = |error| FitError::Lost(io::Error::new(io::ErrorKind::InvalidData, error));
                let (id, description) = Description::parse(&answer, backend.capabilities).map_err(invalid)?;
                backend.statements.add(shared, id);
                return Ok(description);
            }
            // Its own statements are the only ones that a connection can give up.
            Some(error) if error.code == TOO_MANY_AT_THE_SERVER && backend.statements.drop_unused() => {}
            Some(error) => return Err(FitError::Refused(error)),
        }
    }
}
