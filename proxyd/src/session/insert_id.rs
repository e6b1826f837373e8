//! What a statement may ask of the one before it, when that one ran on another connection: the last insert id, and
//! that there are no warnings.
//!
//! A connection that goes back to the pool holds no insert id. While one is likely to be asked for, it stays where it was
//! made; after that it is fetched, and given to the connection of the statement that asks.

use std::io;
use std::time::{Duration, Instant};

use proxyd_sql::{Flags, Statement};

use super::Session;
use super::forward::Attached;
use crate::backend::FitError;

/// A server has this long to say what an insert id is.
const PATIENCE: Duration = Duration::from_secs(1);
/// The id, and 0 in its place for whoever has the connection next. The limit is one that `sql_select_limit` cannot lower.
const TAKE: &str = "SELECT LAST_INSERT_ID(), LAST_INSERT_ID(0) LIMIT 1";
/// MariaDB forgets the warnings of the statement before only for one that has a table.
const FORGET_WARNINGS: &str = "DO (SELECT 1 FROM (SELECT 1) one)";

impl Session {
    /// Fetches the ids that are all that keeps connections here, and lets these go.
    pub(super) async fn fetch_insert_ids(&mut self) {
        while let Some(at) = self.attached.iter().position(|held| held.pins.insert_id_is_due()) {
            let mut held = self.attached.swap_remove(at);
            // A connection that breaks here takes the id with it, as it would have done with its session.
            if Box::pin(self.fetch_insert_id(&mut held)).await.is_ok() {
                self.attached.push(held);
            }
            self.let_go(Instant::now());
        }
    }

    /// Fetches the id from a connection of this session.
    pub(super) async fn fetch_insert_id(&mut self, held: &mut Attached) -> Result<(), FitError> {
        let id = self.ask_insert_id(held, TAKE).await?;
        if !held.pins.insert_id_is_stale() && id != 0 {
            self.last_insert_id = id;
        }
        held.pins.insert_id_taken();
        Ok(())
    }

    /// Gives a connection what this statement may ask of the one before it, if that one ran elsewhere.
    pub(super) async fn bring_along(&self, held: &mut Attached, statement: &Statement<'_>) -> io::Result<()> {
        match statement.flags.any(Flags::LAST_INSERT_ID.with(Flags::DIAGNOSTICS)) {
            true => Box::pin(self.bring(held, statement)).await,
            false => Ok(()),
        }
    }

    async fn bring(&self, held: &mut Attached, statement: &Statement<'_>) -> io::Result<()> {
        if statement.flags.has(Flags::LAST_INSERT_ID) && self.last_insert_id != 0 {
            // An INSERT that was given its id leaves LAST_INSERT_ID() alone: 0 on a connection that had none.
            let has_own = held.pins.has_insert_id()
                && self.ask_insert_id(held, "SELECT LAST_INSERT_ID() LIMIT 1").await? != 0;
            if !has_own {
                let set = format!("SET @@session.last_insert_id={}", self.last_insert_id);
                held.backend.query(&set, &self.worker.buffers).await?;
            }
        }
        if statement.flags.has(Flags::DIAGNOSTICS) && !held.pins.has_warnings() {
            // Another session's last statement must not show.
            held.backend.query(FORGET_WARNINGS, &self.worker.buffers).await?;
        }
        Ok(())
    }

    async fn ask_insert_id(&self, held: &mut Attached, sql: &str) -> Result<u64, FitError> {
        let asked = held.backend.query(sql, &self.worker.buffers);
        let late = |_| FitError::Lost(io::ErrorKind::TimedOut.into());
        let rows = tokio::time::timeout(PATIENCE, asked).await.map_err(late)??;
        let id = rows.first().and_then(|row| row.first()?.as_deref()?.parse().ok());
        Ok(id.unwrap_or(0))
    }
}
