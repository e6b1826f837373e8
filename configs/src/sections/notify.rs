//! `notify` and its kin: programs that are run at changes of state.

use std::path::{Path, PathBuf};

use crate::appliance::Notify;
use crate::reader::Section;

/// What is written; a list that is empty says "nobody", which is not the same as nothing.
#[derive(Clone, Default)]
pub(super) struct Written {
    always: Option<PathBuf>,
    master: Option<Vec<String>>,
    backup: Option<Vec<String>>,
    fault: Option<Vec<String>>,
    stop: Option<Vec<String>>,
}

pub(super) fn read(section: &Section<'_>) -> Written {
    Written {
        // `notify`: a program, by its whole path, that is run at every change of state with keepalived's arguments:
        // INSTANCE, the VIP's name, the new state (MASTER, BACKUP, FAULT, STOP), the priority.
        always: always(section),
        // `notify_master`, `notify_backup`, `notify_fault`, `notify_stop`: a program, by its whole path, and its arguments,
        // run after `notify` when that state is reached.
        master: command(section, "notify_master"),
        backup: command(section, "notify_backup"),
        fault: command(section, "notify_fault"),
        stop: command(section, "notify_stop"),
    }
}

impl Written {
    /// The own word, else the common one.
    pub(super) fn or(self, common: &Written) -> Notify {
        let list = |own: Option<Vec<String>>, common: &Option<Vec<String>>| {
            own.or_else(|| common.clone()).unwrap_or_default()
        };
        Notify {
            always: self.always.or_else(|| common.always.clone()),
            master: list(self.master, &common.master),
            backup: list(self.backup, &common.backup),
            fault: list(self.fault, &common.fault),
            stop: list(self.stop, &common.stop),
        }
    }
}

fn always(section: &Section<'_>) -> Option<PathBuf> {
    let text = section.text("notify")?;
    whole_path(section, "notify", text.line, text.value);
    Some(PathBuf::from(text.value))
}

fn command(section: &Section<'_>, key: &'static str) -> Option<Vec<String>> {
    let words = section.texts(key)?;
    if let Some(program) = words.first() {
        whole_path(section, key, program.line, program.value);
    }
    Some(words.into_iter().map(|word| word.value.to_owned()).collect())
}

fn whole_path(section: &Section<'_>, key: &str, line: usize, program: &str) {
    if !Path::new(program).is_absolute() {
        section.problem(Some(line), key, "is no whole path, \"/…\"");
    }
}
