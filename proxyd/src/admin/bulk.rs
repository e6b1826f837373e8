//! A start with a great configuration: clients are served from the database file before its rows are in memory.
//!
//! Users are looked up in the file one by one and fast routing is read from it, while a thread copies both into the tables.
//! Until that is done the store is away, as for a `LOAD`: an admin statement waits and never sees a part of a table.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use configs::FirstBoot;
use tokio::sync::{OwnedRwLockWriteGuard, oneshot};

use super::boot::{fill_memory, tell};
use super::load::{Loaded, Moved, OnBadRow, compile, note_load, prepare};
use super::service::Admin;
use super::store::{Module, SavedRows, Store};
use crate::route::RuleSet;
use crate::runtime::Settings;
use crate::users::Users;

/// What is left on disk at first.
#[derive(Default)]
pub(super) struct Bulk {
    users: Option<Arc<SavedRows>>,
    /// Compiled from the rows on disk.
    rules: Option<(RuleSet, Moved)>,
}

/// The thread that fills the tables; nobody else has a turn.
pub(super) struct Filling {
    begin: Instant,
    done: oneshot::Receiver<Filled>,
    _alone: OwnedRwLockWriteGuard<()>,
}

/// What became of a module.
type Outcome = Result<(Loaded, Moved), String>;

/// What it comes back with.
struct Filled {
    store: Store,
    modules: Vec<(Module, Outcome)>,
}

impl Bulk {
    /// Tables on disk with more than `many` rows. What cannot be read in this way is read as everything else, and the
    /// errors are told there.
    pub(super) fn find(store: &Store, many: i64) -> Bulk {
        let users = store.is_bulky("mysql_users", many);
        let rules = store.is_bulky("mysql_query_rules_fast_routing", many);
        if !users && !rules {
            return Bulk::default();
        }
        let Ok(saved) = store.saved_rows().map(Arc::new) else { return Bulk::default() };
        let compiled = || compile(saved.query_rules()?, saved.fast_routing()?, OnBadRow::Skip);
        let rules = if rules { compiled().ok() } else { None };
        Bulk { users: users.then_some(saved), rules }
    }

    /// The modules that are loaded at once.
    pub(super) fn others(&self) -> impl Iterator<Item = Module> {
        let (users, rules) = (self.users.is_some(), self.rules.is_some());
        Module::ALL.into_iter().filter(move |module| match module {
            Module::Users => !users,
            Module::QueryRules => !rules,
            _ => true,
        })
    }
}

impl Admin {
    /// Puts in force what is on disk, and has the tables filled on a thread.
    pub(super) fn serve_from_disk(&self, bulk: Bulk, config: &FirstBoot) -> Result<(), String> {
        let mut modules = Vec::new();
        if let Some(saved) = bulk.users {
            self.runtime.borrow_mut().load_users(Users::from_source(saved));
            modules.push(Module::Users);
        }
        if let Some((rules, moved)) = bulk.rules {
            self.runtime.borrow_mut().load_rules(rules);
            tell(Module::QueryRules, Ok(moved));
            modules.push(Module::QueryRules);
        }
        if modules.is_empty() {
            return Ok(());
        }
        let alone = self.turns.first().ok_or("somebody uses the tables before they are filled")?;
        let (send, done) = oneshot::channel();
        let (store, config) = (self.give_store()?, config.clone());
        let settings = self.runtime.borrow().settings().clone();
        // Whoever waited may be gone: the proxy ends.
        let work = move || drop(send.send(fill_all(store, &modules, &config, &settings)));
        std::thread::Builder::new()
            .name("fill-tables".into())
            .spawn(work)
            .map_err(|error| format!("no thread to fill the tables: {error}"))?;
        self.filling.replace(Some(Filling { begin: Instant::now(), done, _alone: alone }));
        Ok(())
    }

    /// Waits for the tables that were left for later, if there are any, and puts in force what was read.
    pub async fn finish_boot(&self) {
        let Some(filling) = self.filling.take() else { return };
        let Ok(Filled { store, modules }) = filling.done.await else {
            tracing::error!("the tables are lost: the admin interface has none until the proxy is restarted");
            return;
        };
        self.take_store(store);
        for (module, outcome) in modules {
            let rows = outcome.as_ref().map_or(0, |(_, moved)| moved.0);
            let ms = filling.begin.elapsed().as_millis();
            tracing::info!(module = module.words(), rows, ms, "all rows are in memory");
            if outcome.is_err() && module == Module::Users {
                // There is nobody, as after every start that cannot load users.
                self.runtime.borrow_mut().load_users(Users::default());
            }
            let moved = outcome.map(|(loaded, moved)| {
                self.apply(module, loaded);
                moved
            });
            tell(module, moved);
        }
    }
}

fn fill_all(mut store: Store, modules: &[Module], config: &FirstBoot, settings: &Settings) -> Filled {
    let mut outcomes = Vec::new();
    for &module in modules {
        // The store is to come back whatever happens.
        let filled = catch_unwind(AssertUnwindSafe(|| fill(&mut store, module, config, settings)));
        outcomes.push((module, filled.unwrap_or_else(|_| Err("this start met a bug; see the log".into()))));
    }
    Filled { store, modules: outcomes }
}

fn fill(store: &mut Store, module: Module, config: &FirstBoot, settings: &Settings) -> Outcome {
    let is_from_disk = fill_memory(store, module, config, false);
    if module == Module::QueryRules && is_from_disk {
        // The same rows are in force already.
        let rows = store.copy_to_twins(module)?;
        note_load(store, module);
        return Ok((Loaded::Rows, (rows, Vec::new())));
    }
    prepare(store, module, OnBadRow::Skip, settings)
}
