//! `standfast-vrrpd`: keeps the VIPs of this host where the election of RFC 9568 wants them.

mod child;
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

/// As sysexits.h has them, and as the angel uses them.
const USAGE: u8 = 64;
const OS: u8 = 71;
const CONFIG: u8 = 78;

fn main() -> ExitCode {
    realtime::survive();
    let arguments = match Arguments::parse(std::env::args_os().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("standfast-vrrpd: {problem}\n{}", cli::USAGE);
            return ExitCode::from(USAGE);
        }
    };
    let appliance = match load(&arguments) {
        Ok(appliance) => appliance,
        Err(problem) => {
            eprintln!("standfast-vrrpd: {problem}");
            return ExitCode::from(CONFIG);
        }
    };
    let done = match arguments.mode {
        Mode::Check => Ok(()),
        Mode::Cleanup => cleanup::cleanup(&appliance, &arguments),
        Mode::Guard => cleanup::guard(&appliance),
        Mode::Run => {
            abort_on_panic();
            daemon::run(appliance, arguments)
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log!("error", "stopped", "error=\"{error}\"");
            ExitCode::from(OS)
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

/// Who cleans up after a vrrpd must know its addresses, even if the file has become unreadable since.
fn load(arguments: &Arguments) -> Result<Appliance, String> {
    let loaded = arguments.load();
    match arguments.mode {
        Mode::Run | Mode::Check => loaded,
        Mode::Cleanup | Mode::Guard => loaded.or_else(|problem| {
            let last = Arguments { config: record::accepted(), ..arguments.clone() };
            last.load().map_err(|_| problem)
        }),
    }
}
