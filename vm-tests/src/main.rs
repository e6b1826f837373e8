//! `standfast-lab`: three hosts, backends and clients in network namespaces of this machine, and the drills that prove what a failure costs.
//!
//! It drives only built binaries (`standfast-angel`, `standfast-proxyd`, `standfast-vrrpd`, `standfast`) and knows nothing of
//! their insides: what holds here holds for whoever installs the packages.

mod backend;
mod bench;
mod checks;
mod client;
mod demo;
mod drills;
mod exec_unit;
mod fake;
mod lab;
mod mysql;
mod mysql97;
mod outages;
mod section;
mod vm;

use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "standfast-lab", about = "Standfast's lab: drills in network namespaces")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the drills with a live view and a closing table
    Demo(demo::Options),
    /// Run the checks: real MariaDB, real clients, the article's chains, bad input
    Test(checks::Options),
    /// Three virtual machines with the built package installed: drills that namespaces cannot prove
    Vm(vm::Options),
    /// What a client loses when the VIP moves, beside keepalived on the same lab; two tables
    Outages(outages::Options),
    /// CPU, throughput and latency of queries through proxyd, beside its peers in the same run
    Bench(bench::Options),
    /// A backend that answers every query with the same row
    #[command(hide = true)]
    BenchBackend(bench::CannedOptions),
    /// A server that only shakes hands under TLS
    #[command(hide = true)]
    BenchHandshake(bench::HandshakeOptions),
    /// One embedded backend: MySQL's protocol over SQLite
    Backend(backend::Options),
    /// Clients that log in and stay
    #[command(hide = true)]
    Crowd(client::crowd::Options),
    /// Become a program inside a namespace
    #[command(hide = true)]
    ExecUnit(exec_unit::Options),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Backend(options) => backend::server::run(&options).map(|()| true),
        Command::ExecUnit(options) => match exec_unit::run(&options) {
            Err(error) => Err(error),
            Ok(never) => match never {},
        },
        Command::Crowd(options) => client::crowd::run(&options).map(|()| true),
        Command::Bench(options) => prepare().and_then(|()| bench::run(&options)),
        Command::BenchBackend(options) => bench::run_canned(&options).map(|()| true),
        Command::BenchHandshake(options) => bench::run_handshake(&options).map(|()| true),
        Command::Demo(options) => prepare().and_then(|()| demo::run(&options)).map(|()| true),
        Command::Vm(options) => prepare().and_then(|()| vm::run(&options)),
        Command::Outages(options) => prepare().and_then(|()| outages::run(&options)),
        Command::Test(options) => prepare().and_then(|()| checks::run(&options)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("standfast-lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What every lab needs before its first thread.
fn prepare() -> Result<()> {
    ensure!(nix::unistd::geteuid().is_root(), "network namespaces need root: run as root");
    lab::netns::ip(&["-V"])?;
    lab::teardown::on_signals()
}
