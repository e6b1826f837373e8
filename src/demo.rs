//! `standfast demo …`: becomes `standfast-lab demo …`, the one beside this program.

use std::env;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// As a shell says that a command is not there.
const NOT_FOUND: u8 = 127;

pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    let lab = match env::current_exe() {
        Ok(own) => own.with_file_name("standfast-lab"),
        Err(error) => {
            eprintln!("standfast demo: cannot tell where this program is: {error}");
            return ExitCode::from(NOT_FOUND);
        }
    };
    // Returns only if it fails.
    let error = Command::new(&lab).arg("demo").args(arguments).exec();
    eprintln!("standfast demo: cannot run {}: {error}", lab.display());
    ExitCode::from(NOT_FOUND)
}
