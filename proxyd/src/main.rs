//! `standfast-proxyd`: a MySQL proxy with ProxySQL's admin interface.
//!
//! The main thread is the control thread (admin, monitors, the only writer of the snapshot); each worker is a thread
//! of its own. Listeners come from the angel; without one, for a test or a look around, proxyd binds them itself.
#![expect(
    unreachable_pub,
    reason = "in a binary `pub` is pub to the crate; `pub(crate)` everywhere says no more"
)]

mod admin;
mod audit;
mod backend;
mod budget;
mod cache;
mod clock;
mod control;
mod control_thread;
mod counters;
mod digests;
mod errors;
mod events;
mod executed;
mod gate;
mod hosts;
mod logfile;
mod logs;
mod memory;
mod messages;
mod monitor;
mod net;
mod networks;
mod peer;
mod pool;
mod program;
mod reply;
mod runtime;
mod scheduler;
mod session;
mod snapshot;
mod start;
mod stats;
mod tls;
mod users;
mod variables;
mod warmth;
mod web;
mod worker;

use proxyd_route as route;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// mimalloc: the system's allocator would give each worker's short-lived strings a lock to meet at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The configuration is wrong (sysexits' EX_CONFIG).
const EX_CONFIG: u8 = 78;
/// The system refused something (sysexits' EX_OSERR).
const EX_OSERR: u8 = 71;

#[derive(Debug, Parser)]
#[command(name = "standfast-proxyd", version, about = "MySQL proxy with ProxySQL's admin interface")]
struct Arguments {
    /// The appliance's configuration file.
    #[arg(long, default_value = configs::DEFAULT_PATH)]
    config: PathBuf,
    /// Which of the file's hosts this is; found by its addresses when not given.
    #[arg(long)]
    host: Option<String>,
    /// Make an admin database of a ProxySQL's proxysql.cnf or proxysql.db, instead of serving: what `standfast import` does.
    #[arg(long, value_name = "FILE", requires = "into")]
    import: Option<PathBuf>,
    /// The database to make.
    #[arg(long, value_name = "FILE", requires = "import")]
    into: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let (Some(source), Some(into)) = (&arguments.import, &arguments.into) {
        return match admin::import(source, into) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("{reason}");
                ExitCode::from(EX_CONFIG)
            }
        };
    }
    let _log = start_log();
    let appliance = match configs::load(&arguments.config, arguments.host.as_deref()) {
        Ok(appliance) => appliance,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(EX_CONFIG);
        }
    };
    match start::run(&appliance, &arguments.config, arguments.host.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("cannot go on: {error}");
            ExitCode::from(EX_OSERR)
        }
    }
}

/// Lines for the journal: it adds the time itself. `RUST_LOG` chooses the level, info without it.
///
/// A thread of its own writes them, and a reader that does not keep up (a full disk, a stuck journal) costs lines, never
/// a worker's time. The guard writes what is left when it is dropped.
fn start_log() -> tracing_appender::non_blocking::WorkerGuard {
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let filter = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse::<Targets>().ok());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .without_time()
        .with_target(false);
    tracing_subscriber::registry()
        .with(filter.unwrap_or_else(|| Targets::new().with_default(tracing::Level::INFO)))
        .with(lines)
        .with(messages::CountMessages)
        .init();
    guard
}
