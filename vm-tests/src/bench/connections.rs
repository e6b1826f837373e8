//! Clients that only stay: what one costs in memory, and all of them in processor time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::cpu;
use super::figures::Figures;
use super::sysbench::{self, Script, Statements};
use super::target::Target;
use crate::client::crowd;

/// Whether a process of this machine may have so many connections; if not, in what words it may not.
pub(crate) fn possible(count: usize) -> Result<(), String> {
    use nix::sys::resource::{Resource, getrlimit};
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
    let wanted = count as u64 + 1000;
    if wanted <= files {
        Ok(())
    } else {
        Err(format!("a process may open {files} files here, and {wanted} are needed"))
    }
}

/// Memory and idle time of `count` silent clients, and the latency of one active client among them.
pub(crate) fn measure(target: &Target, count: usize, slice: Duration) -> Result<Figures> {
    let pid = target.pid.context("a target with a process")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let before = cpu::private_bytes(pid)?;
    let streams = runtime.block_on(crowd::log_in(count, |index| target.account(index)))?;
    ensure!(streams.len() == count, "{} of {count} clients are in", streams.len());
    // What the logins left to be done is done by then.
    std::thread::sleep(Duration::from_secs(2));
    let after = cpu::private_bytes(pid)?;
    let (start, used) = (Instant::now(), cpu::of_tree(pid)?);
    std::thread::sleep(slice.max(Duration::from_secs(3)));
    let idle = (cpu::of_tree(pid)? - used).as_secs_f64() / start.elapsed().as_secs_f64();
    let among = sysbench::run(Script::PointSelect, Statements::Text, 1, target.address(), slice)?;
    drop(streams);
    Ok(Figures {
        bytes_per_client: Some(after.saturating_sub(before) as f64 / count as f64),
        idle_cpu: Some(idle),
        qps: Some(among.queries_per_second),
        p50_ms: Some(among.p50),
        p95_ms: Some(among.p95),
        p99_ms: Some(among.p99),
        ..Figures::default()
    })
}
