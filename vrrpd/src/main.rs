//! `standfast-vrrpd`: keeps the VIPs of this host where the election of RFC 9568 wants them.

mod cleanup;
mod cli;
mod daemon;
mod log;
mod net;
mod notify;
mod realtime;
mod record;

use std::process::ExitCode;

use configs::Appliance;

use cli::{Arguments, Mode};
use log::log;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("standfast-vrrpd: {problem}\n{}", cli::USAGE);
            return ExitCode::from(2);
        }
    };
    let appliance = match load(&arguments) {
        Ok(appliance) => appliance,
        Err(problem) => {
            eprintln!("standfast-vrrpd: {problem}");
            return ExitCode::from(2);
        }
    };
    let done = match arguments.mode {
        Mode::Cleanup => cleanup::cleanup(&appliance, &arguments),
        Mode::Guard => cleanup::guard(&appliance),
        Mode::Run => {
            abort_on_panic();
            daemon::run(&appliance)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log!("error", "stopped", "error=\"{error}\"");
            ExitCode::FAILURE
        }
    }
}

/// A half-dead vrrpd is worse than none: whoever restarts it knows what to do about the VIP.
fn abort_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

fn load(arguments: &Arguments) -> Result<Appliance, String> {
    configs::load(&arguments.config, arguments.host.as_deref()).map_err(|problems| problems.to_string())
}
