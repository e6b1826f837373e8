//! The two log files that ProxySQL has variables for, and where those aim them: the audit log (who connected, what an
//! administrator did) and the events log (statements).

use std::io;
use std::path::{Path, PathBuf};

use crate::logfile::{Counts, LogFile, Target};
use crate::runtime::Settings;

/// Handles; clones write the same files.
#[derive(Debug, Clone)]
pub struct Logs {
    pub audit: LogFile,
    pub events: LogFile,
}

impl Logs {
    /// Starts both; neither writes before [`Logs::aim`].
    pub fn start() -> io::Result<Logs> {
        Ok(Logs { audit: LogFile::start("audit-log")?, events: LogFile::start("events-log")? })
    }

    /// After a load of variables. A relative name is a file in the data directory; an empty one is no log.
    pub fn aim(&self, settings: &Settings, data_dir: &Path) {
        let target = |name: &str| {
            let number = |what: &str| settings.number(&format!("mysql-{name}_{what}"));
            let file = settings.text(&format!("mysql-{name}_filename"));
            (!file.is_empty()).then(|| Target {
                path: data_dir.join(PathBuf::from(file)),
                max_bytes: number("filesize"),
                keep: usize::try_from(number("filecount")).unwrap_or(usize::MAX),
            })
        };
        self.audit.aim(target("auditlog"));
        self.events.aim(target("eventslog"));
    }

    /// Of both.
    pub fn counts(&self) -> Counts {
        self.audit.counts() + self.events.counts()
    }

    /// `PROXYSQL FLUSH LOGS`: the next files.
    pub fn rotate(&self) {
        self.audit.rotate();
        self.events.rotate();
    }
}
