//! Waiting for a server on a session's behalf: never longer than the client, an operator or the monitors allow.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::checkout::Attach;
use super::record::Interrupt;
use super::relay::SHUTDOWN;
use super::{Cause, Phase, Session, SessionEnd};
use crate::backend::{Backend, FitError};
use crate::pool::why_lost;
use crate::reply::Refusal;
use crate::snapshot::Server;

impl Session {
    /// Does something at a server, unless the client goes away, somebody interrupts the session, or the server is lost
    /// meanwhile.
    pub(super) async fn unless_stopped<T>(
        &self,
        server: &Arc<Server>,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupt> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            why = self.record.interrupted_at(server, &self.worker) => Err(why),
            () = self.client.peer_closed() => Err(Interrupt::KillConnection),
        }
    }

    /// Makes a connection fit this session. A silent server counts as lost at the deadline.
    pub(super) async fn fit(&self, backend: &mut Backend, deadline: Instant) -> Result<(), Unfit> {
        self.note_backend(backend);
        // Most do fit: nobody has to be waited for, nor room made for the wait.
        if backend.fits(&self.settings) { Ok(()) } else { Box::pin(self.replay(backend, deadline)).await }
    }

    async fn replay(&self, backend: &mut Backend, deadline: Instant) -> Result<(), Unfit> {
        let server = backend.server().clone();
        let fitting =
            tokio::time::timeout_at(deadline.into(), backend.fit(&self.settings, &self.worker.buffers));
        match self.unless_stopped(&server, fitting).await {
            Ok(Ok(fitted)) => Ok(fitted?),
            Ok(Err(_)) => Err(Unfit::Lost(io::ErrorKind::TimedOut.into())),
            Err(Interrupt::BackendGone) => {
                Err(Unfit::Lost(io::Error::other(why_lost(&self.snapshot(), &server))))
            }
            Err(why) => Err(Unfit::Stopped(stopped(why))),
        }
    }
}

/// Why a connection was not made to fit.
pub(super) enum Unfit {
    Refused(proxyd_wire::ErrPacket),
    Lost(io::Error),
    Stopped(Attach),
}

impl From<FitError> for Unfit {
    fn from(error: FitError) -> Unfit {
        match error {
            // What a server that shuts down refuses, another connection may be fit for.
            FitError::Refused(packet) if packet.code == SHUTDOWN => Unfit::Lost(io::Error::other(packet)),
            FitError::Refused(packet) => Unfit::Refused(packet),
            FitError::Lost(error) => Unfit::Lost(error),
        }
    }
}

/// What becomes of a session that was interrupted while it waited for a server.
pub(super) fn stopped(why: Interrupt) -> Attach {
    match why {
        Interrupt::KillConnection | Interrupt::IdleTimeout => {
            Attach::End(SessionEnd::proxy(Phase::Command, Cause::Killed))
        }
        Interrupt::KillQuery | Interrupt::QueryTimeout | Interrupt::BackendGone => {
            Attach::Refused(Refusal::interrupted())
        }
    }
}
