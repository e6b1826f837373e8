//! The angel's log: one `key=value` line an event on standard error, with the journal's priority in front when the journal
//! is listening. A log that cannot be written is no reason to stop.

use std::fmt::Arguments;
use std::io::Write as _;
use std::sync::OnceLock;

#[derive(Debug, Clone, Copy)]
enum Level {
    Error,
    Warning,
    Info,
}

pub(crate) fn error(line: Arguments<'_>) {
    write(Level::Error, line);
}

pub(crate) fn warning(line: Arguments<'_>) {
    write(Level::Warning, line);
}

pub(crate) fn info(line: Arguments<'_>) {
    write(Level::Info, line);
}

/// An error with all its causes: `what: why: why that`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn write(level: Level, line: Arguments<'_>) {
    static JOURNAL: OnceLock<bool> = OnceLock::new();
    let journal = *JOURNAL.get_or_init(|| std::env::var_os("JOURNAL_STREAM").is_some());
    let prefix = match (journal, level) {
        (true, Level::Error) => "<3>",
        (true, Level::Warning) => "<4>",
        (true, Level::Info) => "<6>",
        (false, Level::Error) => "level=error ",
        (false, Level::Warning) => "level=warning ",
        (false, Level::Info) => "level=info ",
    };
    // One write a line, so that proxyd's lines on the same stream do not cut it.
    let text = format!("{prefix}{line}\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}
