//! MySQL 9.7: its server behind the proxy, its client and other people's connectors in front of it.
//!
//! One namespace with a server, one proxy (without angel: it binds its listeners itself) and the programs that talk to it.

mod bench;
mod connectors;
mod dialogue;
mod local;
mod logins;

use anyhow::Result;

use super::runner::Runner;
use super::shell;
pub(crate) use bench::{Bench, PROXY};

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("mariadb", "mariadb-client")?;
    let bench = Bench::start(&runner.binaries)?;
    logins::run(runner, &bench);
    dialogue::run(runner, &bench);
    local::run(runner, &bench);
    connectors::run(runner, &bench)
}
