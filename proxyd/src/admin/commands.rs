//! Commands that are more than moving rows: warnings, checksums, the configuration as a file, pause and resume.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::service::{Admin, AdminError, Answer, Session, done};
use super::store::{Module, ResultSet};
use crate::control::WorkerCommand;

impl Admin {
    /// The warnings of the last statement. If it had none: what is at runtime and not on disk.
    pub(super) fn show_warnings(&self, session: &Session) -> Result<Answer, AdminError> {
        let row =
            |level: &str, text: String| vec![Some(level.to_owned()), Some("1105".to_owned()), Some(text)];
        let mut rows: Vec<_> = session.warnings.iter().map(|text| row("Warning", text.clone())).collect();
        if rows.is_empty() {
            let unsaved = self.store.borrow().unsaved()?;
            rows = unsaved.into_iter().map(|module| row("Note", unsaved_note(module))).collect();
        }
        Ok(Answer::Rows(ResultSet {
            columns: ["Level", "Code", "Message"].map(str::to_owned).to_vec(),
            rows,
        }))
    }

    /// The modules whose runtime differs from disk.
    pub fn unsaved_modules(&self) -> Vec<&'static str> {
        // It will be asked again after the statement that has the store.
        if self.turns.is_away() {
            return Vec::new();
        }
        let unsaved = self.store.borrow().unsaved();
        let unsaved =
            unsaved.inspect_err(|error| tracing::warn!(error, "runtime and disk cannot be compared"));
        unsaved.unwrap_or_default().into_iter().map(Module::words).collect()
    }

    pub(super) fn checksum(&self, disk: bool, table: &str, filter: &str) -> Result<Answer, AdminError> {
        let store = self.store.borrow();
        if let Some(reason) = store.disk_error().filter(|_| disk) {
            return Err(AdminError::failed(&format!(
                "the admin database on disk is not available: {reason}"
            )));
        }
        let sum = store.checksum(if disk { "disk" } else { "main" }, table, filter)?;
        Ok(Answer::Rows(ResultSet {
            columns: ["table", "checksum"].map(str::to_owned).to_vec(),
            rows: vec![vec![Some(table.to_owned()), Some(sum)]],
        }))
    }

    /// The memory layer as a configuration file, made off this thread: it may be a million users.
    pub(super) async fn config_text(&self) -> Result<String, AdminError> {
        let _alone = self.turns.alone().await;
        self.with_store(|store| store.config_text()).await
    }

    pub(super) async fn save_config(&self, path: &str) -> Result<Answer, AdminError> {
        let text = self.config_text().await?;
        write_private(Path::new(path), &text)
            .map_err(|error| AdminError::failed(&format!("{path}: {error}")))?;
        Ok(done(0))
    }

    /// Whether the workers accept clients. Those that are there stay, and new ones wait in the listeners' queues.
    pub(super) fn pause(&self, session: &mut Session, on: bool) -> Answer {
        self.set_paused(on);
        self.tell_workers(|| WorkerCommand::Pause(on));
        match on {
            true => with_warning(
                session,
                "new clients wait until PROXYSQL RESUME, or until this proxy is restarted; to move the VIP away use `standfast drain`",
            ),
            false => done(0),
        }
    }
}

/// OK, with a warning.
pub(super) fn with_warning(session: &mut Session, text: &str) -> Answer {
    session.warnings.push(text.to_owned());
    Answer::Ok { affected: 0, warnings: 1 }
}

/// One row of one column.
pub(super) fn one_cell(column: &str, value: String) -> Answer {
    Answer::Rows(ResultSet { columns: vec![column.to_owned()], rows: vec![vec![Some(value)]] })
}

fn unsaved_note(module: Module) -> String {
    let words = module.words();
    format!("{words}: runtime differs from disk; SAVE {words} TO DISK keeps what was loaded")
}

/// Whole or not at all, and for nobody else's eyes: there are passwords in it.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    let moved = written.and_then(|()| fs::rename(beside, path));
    if moved.is_err() {
        // What is left of the attempt is of no use to anybody.
        let _ = fs::remove_file(beside);
    }
    moved
}
