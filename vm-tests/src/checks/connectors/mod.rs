//! The protocol's edges and the libraries of applications, before MySQL 9.7 and MariaDB through one proxy.

mod edges;
mod maria;

use anyhow::Result;

use super::mysql97::Bench;
use super::runner::Runner;
use super::shell;
use maria::Maria;

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("mariadb", "mariadb-client")?;
    let bench = Bench::start(&runner.binaries)?;
    let maria = Maria::start(&bench)?;
    edges::run(runner, &bench, &maria);
    Ok(())
}
