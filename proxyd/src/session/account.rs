//! What a finished statement leaves in the statistics.

use std::time::Duration;

use proxyd_sql::Kind;
use proxyd_wire::response::{ErrPacket, Outcome};

use super::Session;
use crate::digests::{Finished, Shape, Ticket};
use crate::errors::ErrorKey;
use crate::snapshot::{HostgroupId, Server};
use crate::stats::ServerKey;

impl Session {
    /// The place where this statement will count. The digester still holds its digest: the rules asked for it just now.
    pub(super) fn enter_digest(&self, hostgroup: HostgroupId) -> Option<Ticket> {
        let snapshot = self.snapshot();
        if !snapshot.variables.query_digests {
            return None;
        }
        let digester = self.worker.digester.borrow();
        let shape = Shape {
            hostgroup,
            schema: &self.settings.schema,
            user: self.user(),
            client: if snapshot.variables.query_digests_track_hostname { &self.client_address } else { "" },
            digest: digester.hash(),
        };
        Some(self.worker.counters.digests.borrow_mut().enter(&shape, digester.text()))
    }

    /// The same for a statement whose text no rule looks at again.
    pub(super) fn enter_digest_of(&self, hostgroup: HostgroupId, text: &[u8]) -> Option<Ticket> {
        self.snapshot().variables.query_digests.then(|| {
            self.worker.digester.borrow_mut().digest(text);
        })?;
        self.enter_digest(hostgroup)
    }

    /// Counts a statement that is over, whatever came of it. False: its place among the digests is another's by now.
    pub(super) fn count_statement(
        &self,
        kind: Kind,
        digest: Option<Ticket>,
        outcome: Option<&Outcome>,
        took: Duration,
    ) -> bool {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let slow = self.snapshot().variables.long_query_time;
        let counters = &self.worker.counters;
        counters.command(kind, micros);
        counters.global.borrow_mut().slow_queries += u64::from(Duration::from_micros(micros) > slow);
        let Some(ticket) = digest else { return true };
        let finished = Finished {
            now: self.worker.clock.seconds(),
            micros,
            rows_affected: outcome.map_or(0, |outcome| outcome.affected_rows),
            rows_sent: outcome.map_or(0, |outcome| outcome.rows),
        };
        counters.digests.borrow_mut().record(ticket, &finished)
    }

    /// An error that the server of the connection in use gave.
    pub(super) fn count_error(&self, error: &ErrPacket) {
        if let Some(held) = self.attached.last() {
            self.count_server_error(held.backend.server(), error.code, &error.message);
        }
    }

    pub(super) fn count_server_error(&self, server: &std::sync::Arc<Server>, code: u16, text: &str) {
        let key = ErrorKey {
            server: ServerKey::from(server),
            user: self.account.name.clone(),
            client: self.client_address.clone(),
            schema: self.settings.schema.clone(),
            code,
        };
        self.worker.counters.errors.borrow_mut().record(key, text, self.worker.clock.seconds());
    }
}
