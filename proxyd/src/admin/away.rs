//! Long work on the tables, off the control thread: the monitors keep their turns while a million rows are moved.
//!
//! The store leaves the admin interface for a thread and comes back when the work is done. Meanwhile other statements wait,
//! and what the monitors have to record waits in a bounded list.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{OwnedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::service::{Admin, AdminError};
use super::store::{CheckLog, Store, copy_error};

/// Checks that wait for the store; what comes on top is not recorded.
const MAX_WAITING: usize = 10_000;

/// Who may use the store when.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Held for reading by every statement, for writing by one that takes the store away.
    statements: Arc<RwLock<()>>,
    away: Cell<bool>,
    checks: RefCell<Vec<CheckLog>>,
}

impl Turns {
    pub(super) async fn shared(&self) -> RwLockReadGuard<'_, ()> {
        self.statements.read().await
    }

    pub(super) async fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.statements.write().await
    }

    /// As [`Turns::alone`], at the start, when there is nobody to wait for.
    pub(super) fn first(&self) -> Option<OwnedRwLockWriteGuard<()>> {
        self.statements.clone().try_write_owned().ok()
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.get()
    }
}

impl Admin {
    /// Does `work` on a thread. The caller is [`Turns::alone`].
    pub(super) async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, String> + Send + 'static,
    ) -> Result<T, AdminError> {
        let mut store = self.give_store()?;
        let task = tokio::task::spawn_blocking(move || {
            let done = catch_unwind(AssertUnwindSafe(|| work(&mut store)));
            (store, done.unwrap_or_else(|_| Err("this statement met a bug; see the log".into())))
        });
        let Ok((store, done)) = task.await else {
            // Only a runtime that shuts down cancels such a task.
            return Err(AdminError::failed("the proxy is ending"));
        };
        self.take_store(store);
        done.map_err(AdminError::from)
    }

    /// Takes the store away, for whoever has all the turns.
    pub(super) fn give_store(&self) -> Result<Store, String> {
        let store = self.store.replace(Store::placeholder().map_err(copy_error)?);
        self.turns.away.set(true);
        Ok(store)
    }

    /// Puts it back.
    pub(super) fn take_store(&self, store: Store) {
        self.store.replace(store);
        self.turns.away.set(false);
        for log in self.turns.checks.take() {
            self.record_check_now(&log);
        }
    }

    /// Adds a row to the monitors' log tables.
    pub fn record_check(&self, log: &CheckLog) {
        self.web.count_check(log);
        if !self.turns.is_away() {
            return self.record_check_now(log);
        }
        let mut checks = self.turns.checks.borrow_mut();
        if checks.len() < MAX_WAITING {
            checks.push(log.clone());
        }
    }

    fn record_check_now(&self, log: &CheckLog) {
        let history = self.runtime.borrow().variables().monitor.history;
        if let Err(error) = self.store.borrow_mut().record_check(log, history) {
            tracing::warn!(%error, "a monitor's check could not be recorded");
        }
    }
}
