//! Hands statements that a rule (or `mysql-eventslog_default_log`) wants logged to the events log.

use std::time::{Instant, SystemTime};

use proxyd_sql::Kind;
use proxyd_wire::response::Outcome;

use super::Session;
use crate::events;

/// One statement for the log.
pub struct Logged<'a> {
    pub command: &'a str,
    pub kind: Kind,
    pub text: &'a [u8],
    /// `None`: no server answered it.
    pub outcome: Option<&'a Outcome>,
    pub from_cache: bool,
    pub started: Instant,
}

impl Session {
    /// Whether this statement is to be logged: what its rule says, else the variable.
    pub(super) fn wants_log(&self, rule: Option<bool>) -> bool {
        rule.unwrap_or(self.snapshot().variables.eventslog_default_log)
            && self.worker.shared.logs.events.is_on()
    }

    /// Writes a statement that is over; never waits.
    pub(super) fn log_statement(&self, logged: &Logged<'_>) {
        let place = self.record.backend.borrow().clone();
        let digest = proxyd_sql::digest_text(logged.text, &self.snapshot().variables.digest_options);
        let error = logged.outcome.and_then(|outcome| outcome.error.as_ref());
        let statement = events::Statement {
            command: logged.command,
            kind: logged.kind,
            text: logged.text,
            digest: proxyd_sql::digest(&digest),
            user: self.user(),
            schema: &self.settings.schema,
            client: self.record.peer(),
            thread_id: self.record.id,
            server: place.as_ref().filter(|_| !logged.from_cache).map(|place| &*place.server),
            rows_affected: logged.outcome.map_or(0, |outcome| outcome.affected_rows),
            last_insert_id: logged.outcome.map_or(0, |outcome| outcome.last_insert_id),
            rows_sent: logged.outcome.map_or(0, |outcome| outcome.rows),
            error: error.map(|packet| (packet.code, &*packet.message)),
            duration: logged.started.elapsed(),
        };
        self.worker.shared.logs.events.line(events::line(&statement, SystemTime::now()));
    }
}
