//! `standfast`: the operator's one command. It checks files, asks the daemons over their control sockets and starts the
//! demo; it never does a daemon's work itself.

mod check;
mod control;
mod demo;
mod drill;
mod import;
mod in_flight;
mod move_vip;
mod order;
mod route;
mod status;
mod why;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(name = "standfast", version, about = "MySQL behind one address that never goes away")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Validate configuration files: one that serves all hosts, or the files of all hosts together
    Check {
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Also resolve each file for this host
        #[arg(long, value_name = "NAME")]
        host: Option<String>,
    },
    /// VIPs, states, liveness, sessions and backends of this host
    Status {
        #[command(flatten)]
        config: Config,
        /// The daemons' own answers as one JSON object
        #[arg(long)]
        json: bool,
        /// Repeat every second
        #[arg(long)]
        watch: bool,
    },
    /// Who has a VIP, since when, because of what, and what would move it
    Why {
        /// The address, or the router's name
        #[arg(value_name = "VIP")]
        vip: String,
        #[command(flatten)]
        config: Config,
    },
    /// Move a VIP: from here to the next in line, or, given on the host that is to have it, there
    Move {
        /// The address, or the router's name
        #[arg(value_name = "VIP")]
        vip: String,
        /// Where it shall be
        #[arg(value_name = "HOST")]
        host: Option<String>,
        /// Let work in flight finish for so long first; the file's `drain_s` by default
        #[arg(long, value_name = "SECONDS")]
        within: Option<u64>,
        #[command(flatten)]
        config: Config,
    },
    /// Let work in flight finish, give the VIPs away; the host does not compete until `undrain`
    Drain {
        /// Wait for so long at most; the file's `drain_s` by default
        #[arg(long, value_name = "SECONDS")]
        within: Option<u64>,
        #[command(flatten)]
        config: Config,
    },
    /// End a drain: this host may serve VIPs again
    Undrain(Config),
    /// Replace the running proxy by a new one behind the same listeners
    RestartProxy(Config),
    /// Where the proxy would send a statement, and why
    Route {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        options: route::Options,
    },
    /// Bring along a proxysql.cnf or proxysql.db, a keepalived.conf, or both
    Import(import::Options),
    /// Do to this host what will happen to it one day, and measure what a client loses
    Drill(drill::Options),
    /// Three hosts in network namespaces of this machine, and what their failures cost a client
    #[command(disable_help_flag = true)]
    Demo {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
        arguments: Vec<OsString>,
    },
}

/// Which configuration names the control sockets.
#[derive(Args)]
struct Config {
    #[arg(long, value_name = "FILE", default_value = configs::DEFAULT_PATH)]
    config: PathBuf,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check { files, host } => check::run(&files, host.as_deref()),
        Command::Status { config, json, watch } => status::run(&config.config, json, watch),
        Command::Why { vip, config } => why::run(&config.config, &vip),
        Command::Move { vip, host, within, config } => {
            move_vip::run(&config.config, &vip, host.as_deref(), within)
        }
        Command::Drain { within, config } => order::drain(&config.config, within),
        Command::Undrain(config) => order::run(&config.config, "undrain"),
        Command::RestartProxy(config) => order::run(&config.config, "restart-proxy"),
        Command::Route { config, options } => route::run(&config.config, &options),
        Command::Import(options) => import::run(&options),
        Command::Drill(options) => drill::run(&options),
        Command::Demo { arguments } => demo::run(&arguments),
    }
}
