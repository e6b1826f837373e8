//! `standfast drain`, `undrain`, `restart-proxy`: orders to the angel.

use std::path::Path;
use std::process::ExitCode;

use crate::control::{ask, paths, say};
use crate::in_flight;

/// Lets work in flight finish first: when the VIPs leave, connections to them are reset.
pub(crate) fn drain(config: &Path, within: Option<u64>) -> ExitCode {
    in_flight::cut(in_flight::finish(&paths(config), in_flight::patience(config, within)));
    run(config, "drain")
}

pub(crate) fn run(config: &Path, order: &str) -> ExitCode {
    match ask(&paths(config).angel_socket(), order) {
        Ok(answer) => match answer.get("error") {
            Some(error) => refused(order, error.as_str().unwrap_or("refused")),
            None => {
                say(&format!("{order}: done\n"));
                ExitCode::SUCCESS
            }
        },
        Err(why) => refused(order, &format!("standfast-angel: {why}")),
    }
}

fn refused(order: &str, why: &str) -> ExitCode {
    eprintln!("standfast {order}: {why}");
    ExitCode::FAILURE
}
