//! The protocol's edges and the libraries of applications, before MySQL 9.7 and MariaDB through one proxy.

mod edges;
mod lost;
mod maria;
mod stacks;

use anyhow::Result;

use super::mysql97::Bench;
use super::runner::Runner;
use super::shell;
use maria::Maria;

/// Every library both ways that differ most; the edges.
pub(crate) fn short(runner: &mut Runner) -> Result<()> {
    run(runner, false)
}

/// Every library in every way.
pub(crate) fn long(runner: &mut Runner) -> Result<()> {
    run(runner, true)
}

fn run(runner: &mut Runner, long: bool) -> Result<()> {
    shell::require("mariadb", "mariadb-client")?;
    let bench = Bench::start(&runner.binaries)?;
    let maria = Maria::start(&bench)?;
    edges::run(runner, &bench, &maria);
    lost::run(runner, &bench);
    stacks::run(runner, &bench, long)
}
