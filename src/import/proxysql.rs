//! Has `standfast-proxyd --import` make a database, and reads its report.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::report::Report;

/// Where the package has it, when it is not beside this program.
const INSTALLED: &str = "/usr/sbin/standfast-proxyd";

/// A database, and what is in it.
pub(super) struct Made {
    pub report: Report,
    /// Variables that are not the database's to decide.
    pub settings: Value,
}

pub(super) fn convert(source: &Path, database: &Path) -> Result<Made, String> {
    let program = program();
    let output = Command::new(&program)
        .arg("--import")
        .arg(source)
        .arg("--into")
        .arg(database)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(complaint.trim().to_owned());
    }
    let answer: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{} answers no JSON: {error}", program.display()))?;
    let mut report = Report::default();
    let entries = answer.get("entries").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    report.add_json(&source.display().to_string(), entries);
    let settings = answer.get("settings").cloned().unwrap_or(Value::Null);
    Ok(Made { report, settings })
}

fn program() -> PathBuf {
    let beside = env::current_exe().ok().map(|own| own.with_file_name("standfast-proxyd"));
    beside.filter(|path| path.exists()).unwrap_or_else(|| INSTALLED.into())
}
