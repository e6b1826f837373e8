//! `standfast check`: everything that is wrong with the files, or the order in which hosts serve each VIP.

use std::path::PathBuf;
use std::process::ExitCode;

use configs::{File, Identity, Problem, Report, check_together};

use crate::control::say;

/// `EX_CONFIG` of sysexits.h.
pub(crate) const EX_CONFIG: u8 = 78;

pub(crate) fn run(paths: &[PathBuf], host: Option<&str>) -> ExitCode {
    match check(paths, host) {
        Ok(report) => {
            say(&report.to_string());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            ExitCode::from(EX_CONFIG)
        }
    }
}

/// The files by themselves first; those that are right in themselves are then compared.
fn check(paths: &[PathBuf], host: Option<&str>) -> Result<Report, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        match File::load(path) {
            Ok(file) => files.push(file),
            Err(found) => problems.extend(found),
        }
    }
    if let Some(name) = host {
        let resolved = files.iter().map(|file| file.appliance(Identity { name: Some(name), local: &[] }));
        problems.extend(resolved.filter_map(Result::err).flatten());
    }
    match check_together(&files) {
        Ok(report) if problems.is_empty() => Ok(report),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}
