//! `standfast-binlog-reader`: beside a MySQL server, tells proxies which transactions the server has executed.
//!
//! [`upstream`] follows the server as a replica would and is certain of what it tells; [`crowd`] hands it on to any number
//! of clients, in the lines of [`proxyd_gtid::reader`]. What the server's answers mean is decided in [`event`] and
//! [`skim`], without a socket. It writes nothing to the server and keeps nothing on disk.
#![forbid(unsafe_code)]

mod config;
mod crowd;
mod dump;
mod event;
mod link;
mod skim;
mod upstream;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

use config::Config;

/// The configuration is wrong (sysexits' EX_CONFIG).
const EX_CONFIG: u8 = 78;
/// The system refused something (sysexits' EX_OSERR).
const EX_OSERR: u8 = 71;

#[derive(Debug, Parser)]
#[command(
    name = "standfast-binlog-reader",
    version,
    about = "Tells proxies which transactions a MySQL server has executed"
)]
struct Arguments {
    #[arg(long, default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::load(&arguments.config) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(EX_CONFIG);
        }
    };
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot go on: {error}");
            ExitCode::from(EX_OSERR)
        }
    }
}

fn run(config: &Config) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let (publisher, feed) = crowd::feeds();
        for address in &config.listen {
            crowd::listen(address, config.style(), config.max_clients, feed.clone()).await?;
        }
        tokio::select! {
            never = upstream::follow(config, &publisher) => match never {},
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}
