//! Leaving a server that does not serve a statement: who is told of it, what becomes of its connections, and how long the
//! statement waits before it asks again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Session;
use super::checkout::LOOK_AGAIN;
use super::tries::Tries;
use crate::control::WorkerEvent;
use crate::reply::Refusal;
use crate::snapshot::{HostgroupId, Server};

/// Before a server that says that it does not serve gets the statement once more for want of another: the monitors will have
/// looked at it by then.
const ROLES: Duration = Duration::from_millis(500);

/// What a server that did not serve a statement said of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Nothing: its connection broke.
    Lost,
    /// It is not the one for it now: read-only, or not ready.
    NotHere,
    /// It shuts down.
    Closing,
}

/// A server that could not do it, while another one may.
#[derive(Debug)]
pub struct Failure {
    pub server: Arc<Server>,
    pub why: Why,
    /// What the client is told if none is left to try.
    pub refusal: Refusal,
}

impl Session {
    /// What a statement that begins now has to try.
    pub(super) fn tries(&self, retries: u32) -> Tries {
        Tries::new(retries, self.snapshot().variables.connect_timeout_server_max, self.worker.clock.now())
    }

    /// Gives up on a server, if there is something left to try; else what to tell the client.
    pub(super) async fn try_elsewhere(&self, failure: Failure, tries: &mut Tries) -> Result<(), Refusal> {
        let may = match failure.why {
            Why::Closing => tries.may_move(),
            Why::Lost | Why::NotHere => tries.has_more(),
        };
        if !may {
            return Err(failure.refusal);
        }
        self.leave_server(failure.server, failure.why, tries).await;
        Ok(())
    }

    /// Gives up on a server, and waits where to ask at once would be in vain.
    pub(super) async fn leave_server(&self, server: Arc<Server>, why: Why, tries: &mut Tries) {
        let (pool, hostgroup) = (&self.worker.pool, server.hostgroup);
        match why {
            Why::Lost => {
                pool.drop_broken(&server);
                tries.failed_at(server, Instant::now());
            }
            Why::NotHere => {
                tries.failed_at(server, Instant::now());
                self.wait_for_roles(hostgroup, tries.avoid()).await;
            }
            Why::Closing => {
                // They end with the server. Whether its next life has begun, a new connection tells.
                pool.drop_all(&server);
                let again = tries.has_met(&server);
                tries.refused_at(server, Instant::now());
                if again {
                    self.wait_for_roles(hostgroup, tries.avoid()).await;
                }
            }
        }
    }

    /// Waits while the hostgroup has no other servers than these, for [`ROLES`] at most.
    async fn wait_for_roles(&self, hostgroup: HostgroupId, met: &[Arc<Server>]) {
        let until = Instant::now() + ROLES;
        let only_they = || {
            let snapshot = self.snapshot();
            let servers = snapshot.hostgroups.get(&hostgroup);
            let pool = &self.worker.pool;
            servers.is_some_and(|hg| pool.choose(hg, met).is_none() && pool.choose(hg, &[]).is_some())
        };
        while Instant::now() < until && only_they() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// A server has said that it does not serve: the monitors are to look.
    pub(super) fn note_refusal(&self, server: &Arc<Server>, code: u16, message: &str) {
        tracing::warn!(server = %server.hostname, port = server.port, code, message, "it does not serve");
        self.worker.tell(WorkerEvent::ServesNot { server: server.clone() });
    }
}
