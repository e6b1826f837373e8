//! `standfast drain`, `undrain`, `restart-proxy`: orders to the angel.

use std::path::Path;
use std::process::ExitCode;

use crate::control::{ask, paths, say};

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
