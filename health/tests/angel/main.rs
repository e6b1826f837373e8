//! The angel with a stand-in for proxyd: kill it, stop it, kill the angel, and count what a client notices.
//!
//! The stand-in is this very program, started by the angel under the name `standfast-proxyd`.

mod fake;
mod rig;
mod scenarios;
mod store;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if std::env::var_os(health::inherit::LISTENERS).is_some() {
        return fake::run();
    }
    let mut arguments = Arguments::from_args();
    // Each scenario measures time; side by side they would measure each other.
    arguments.test_threads = Some(1);
    let trial = |(name, scenario): (&str, fn())| {
        Trial::test(name, move || {
            scenario();
            Ok(())
        })
    };
    libtest_mimic::run(&arguments, scenarios::ALL.into_iter().map(trial).collect()).exit_code()
}
