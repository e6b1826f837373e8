//! The database file beside the layers: what clients are served from while its bulk is not in memory yet.
//!
//! Only reads. Each look is a transaction of its own, so no lock on the file outlives it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};

use super::layers::copy_error;
use super::{rules, users};
use crate::route::{FastRouting, QueryRule};
use crate::snapshot::User;
use crate::users::{Unreadable, UserSource};

/// The rows that were saved.
#[derive(Debug)]
pub struct SavedRows {
    file: PathBuf,
    /// Those that nobody looks through now: as many as there ever were threads looking at once.
    idle: Mutex<Vec<Connection>>,
    has_failed: AtomicBool,
}

impl SavedRows {
    /// Of a file that was opened for writing before: what an interrupted SAVE has left in it is undone.
    pub(super) fn open(file: &Path) -> Result<SavedRows, String> {
        let first = connect(file)?;
        let has_failed = AtomicBool::new(false);
        Ok(SavedRows { file: file.to_owned(), idle: Mutex::new(vec![first]), has_failed })
    }

    /// The active rules, in the order in which they are tried.
    pub fn query_rules(&self) -> Result<Vec<QueryRule>, String> {
        self.look(rules::query_rules)
    }

    pub fn fast_routing(&self) -> Result<FastRouting, String> {
        self.look(rules::fast_routing)
    }

    fn look<T>(&self, read: impl FnOnce(&Connection) -> Result<T, String>) -> Result<T, String> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let connection = match taken {
            Some(connection) => connection,
            None => connect(&self.file)?,
        };
        let found = read(&connection);
        idle().push(connection);
        found
    }
}

impl UserSource for SavedRows {
    fn find(&self, name: &str) -> Result<Option<User>, Unreadable> {
        self.look(|db| users::user_named(db, name)).map_err(|reason| {
            if !self.has_failed.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    reason,
                    "users cannot be read from the database: clients wait until all are in memory"
                );
            }
            Unreadable
        })
    }
}

/// The file is `main` here, so that the statements are those of the memory layer.
fn connect(file: &Path) -> Result<Connection, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags).map_err(copy_error)?;
    // Whoever has the file locked is not waited for here: the client is.
    connection.busy_timeout(std::time::Duration::ZERO).map_err(copy_error)?;
    Ok(connection)
}
