//! `fast_forward=1`: after the login the bytes of client and server pass untouched, both ways, until one of them ends.
//!
//! The server's connection is opened for this client alone, at its first command, with the capabilities that the client
//! has: nothing is translated, so both must speak the same. Where the server cannot, the session is served like any other.
//! Rules, statistics by statement, time-outs of queries and retries do not reach what passes here.

use std::convert::Infallible;
use std::time::Instant;

use proxyd_wire::Capabilities;

use super::checkout::Attach;
use super::forward::Attached;
use super::record::Interrupt;
use super::{Cause, Phase, Rest, Session, SessionEnd};
use crate::reply::Refusal;

/// What both sides must have agreed to alike.
const SPOKEN: Capabilities = Capabilities::DEPRECATE_EOF
    .union(Capabilities::SESSION_TRACK)
    .union(Capabilities::MULTI_STATEMENTS)
    .union(Capabilities::MULTI_RESULTS)
    .union(Capabilities::PS_MULTI_RESULTS)
    .union(Capabilities::FOUND_ROWS)
    .union(Capabilities::QUERY_ATTRIBUTES);

impl Session {
    pub(super) async fn fast_forward(&mut self) -> Result<Infallible, SessionEnd> {
        self.first_command().await?;
        let deadline = Instant::now() + self.snapshot().variables.connect_timeout_server_max;
        self.new_connection = true;
        let attached = self.attach(&mut self.account.default_hostgroup.into(), deadline, &[]).await;
        self.new_connection = false;
        let held = match attached {
            Ok(held) => held,
            Err(Attach::Refused(refusal)) => {
                self.refuse(&refusal).await?;
                self.client.shutdown().await;
                return Err(SessionEnd::proxy(Phase::Command, Cause::Refused(refusal.text().to_owned())));
            }
            Err(Attach::End(end)) => return Err(end),
        };
        if !((held.backend.capabilities ^ self.capabilities) & SPOKEN).is_empty() {
            let server = &held.backend.server().hostname;
            tracing::warn!(session = self.record.id, %server, "fast_forward: client and server do not speak alike");
            drop(held);
            return self.serve().await;
        }
        self.pipe(held).await
    }

    /// A replica registers, or asks for the binary log: from here on bytes pass untouched to the server that the session is on, or
    /// where statements without a rule go.
    pub(super) async fn replicate(&mut self, frames: &[u8]) -> Result<(), SessionEnd> {
        let tied = self.attached.iter().find(|held| held.pins.is_hard()).map(Attached::hostgroup);
        let hostgroup = tied.unwrap_or(self.account.default_hostgroup);
        let deadline = Instant::now() + self.snapshot().variables.connect_timeout_server_max;
        let mut held = match self.attach(&mut hostgroup.into(), deadline, &[]).await {
            Ok(held) => held,
            Err(Attach::Refused(refusal)) => return self.refuse(&refusal).await,
            Err(Attach::End(end)) => return Err(end),
        };
        if let Err(error) = held.backend.connection.write_all(frames).await {
            let refusal = Refusal::lost(held.backend.server(), &error.to_string(), held.pins.transaction);
            return self.refuse(&refusal).await;
        }
        match self.pipe(held).await? {}
    }

    /// Waits for the first command: a client that only connects costs no server connection.
    async fn first_command(&mut self) -> Result<(), SessionEnd> {
        loop {
            match self.rest().await {
                Rest::Command { .. } => return Ok(()),
                rest => Box::pin(self.turn(rest)).await?,
            }
        }
    }

    async fn pipe(&mut self, mut held: Attached) -> Result<Infallible, SessionEnd> {
        self.note_backend(&held.backend);
        self.record.command.set("Fast forward");
        let before = (held.backend.connection.bytes_out, held.backend.connection.bytes_in);
        let piped = {
            let pipe = self.client.pipe(&mut held.backend.connection, &self.worker.buffers);
            tokio::pin!(pipe);
            loop {
                tokio::select! {
                    piped = &mut pipe => break piped,
                    why = self.record.interrupted() => match why {
                        // What runs on the server is not known here.
                        Interrupt::KillQuery | Interrupt::QueryTimeout => {}
                        Interrupt::IdleTimeout | Interrupt::KillConnection | Interrupt::BackendGone => {
                            return Err(SessionEnd::proxy(Phase::Command, Cause::Killed));
                        }
                    },
                }
            }
        };
        self.count_traffic(&held.backend, before);
        match piped {
            Ok(()) => Err(SessionEnd::quit()),
            Err(error) => Err(SessionEnd::client(Phase::Result, error)),
        }
    }
}
