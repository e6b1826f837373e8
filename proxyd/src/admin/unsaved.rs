//! What is at runtime and not on disk, for `standfast status`: asked every second, and worked out only after a change.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::service::Admin;
use super::store::Module;

/// The answer, and what it was worked out from: the loads that there were, and the disk file's time and size.
type Known = (State, Vec<&'static str>);
type State = (i64, Option<SystemTime>, u64);

/// The last answer. Comparing a million rows takes its time, and only a LOAD or a SAVE changes the answer.
#[derive(Debug, Default)]
pub(super) struct Unsaved(RefCell<Option<Known>>);

impl Admin {
    /// The modules whose runtime differs from disk, in the words of `SAVE … TO DISK`.
    pub(super) fn unsaved(&self, database: &Path) -> Vec<&'static str> {
        let store = self.store.borrow();
        let file = fs::metadata(database).ok();
        let state = (
            store.loads().unwrap_or_default(),
            file.as_ref().and_then(|file| file.modified().ok()),
            file.map_or(0, |file| file.len()),
        );
        let mut known = self.unsaved.0.borrow_mut();
        match known.as_ref().filter(|(at, _)| *at == state) {
            Some((_, modules)) => modules.clone(),
            None => {
                let modules: Vec<_> =
                    store.unsaved().unwrap_or_default().into_iter().map(Module::words).collect();
                *known = Some((state, modules.clone()));
                modules
            }
        }
    }
}
