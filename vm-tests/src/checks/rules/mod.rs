//! What query rules make of a statement, with real servers and a real client: the query cache, mirrors, time-outs, logs,
//! annotations, the flags of users, and the scripts that the proxy runs.

mod cache;
mod effects;
mod log;
mod mirror;
mod programs;
mod users;

use anyhow::Result;

use super::pair::Pair;
use super::runner::Runner;

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let pair = Pair::start(&runner.binaries, "rules")?;
    cache::run(runner, &pair);
    effects::run(runner, &pair);
    mirror::run(runner, &pair);
    log::run(runner, &pair);
    users::run(runner, &pair);
    programs::run(runner, &pair);
    Ok(())
}
