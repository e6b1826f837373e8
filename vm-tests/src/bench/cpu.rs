//! Processor time of processes, and of everybody else, as `/proc` counts it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lab::process;

/// More of a core than this by others, and the figures are nobody's.
pub(super) const QUIET: f64 = 0.1;

/// Linux counts these in hundredths of a second for user space, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// Time on a processor of a process, all its threads and all its live children, to the nanosecond.
///
/// Threads that ended meanwhile are not in it: the targets keep theirs.
pub(crate) fn of_tree(root: i32) -> Result<Duration> {
    let processes = process::all();
    let mut pids = vec![root];
    let mut next = 0;
    while let Some(&pid) = pids.get(next) {
        pids.extend(processes.iter().filter(|p| p.parent == pid && !p.zombie).map(|p| p.pid));
        next += 1;
    }
    let mut nanoseconds = 0;
    for pid in pids {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        nanoseconds += tasks.flatten().filter_map(|task| running(&task.path())).sum::<u64>();
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Time on a processor of one process since its start, to a hundredth of a second; threads that ended are in it.
pub(crate) fn of_process(pid: i32) -> Result<Duration> {
    let ticks = ticks(pid).with_context(|| format!("there is no process {pid}"))?;
    Ok(TICK * u32::try_from(ticks)?)
}

/// The first number of `schedstat`: nanoseconds on a processor.
fn running(task: &std::path::Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
}

/// Resident memory of a process that is its own, in bytes.
pub(crate) fn private_bytes(pid: i32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let kilobytes: u64 = text
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum();
    Ok(kilobytes * 1024)
}

/// What processes that are not ours took of the machine, between two looks.
#[derive(Debug)]
pub(crate) struct Foreign {
    since: Instant,
    busy: u64,
    ours: u64,
}

impl Foreign {
    /// `ours`: the targets, the backends; this process and its children are ours anyway.
    pub(crate) fn begin(ours: &[i32]) -> Result<Self> {
        Ok(Self { since: Instant::now(), busy: busy()?, ours: ticks_of(ours) })
    }

    /// The share of one core.
    pub(crate) fn share(&self, ours: &[i32]) -> Result<f64> {
        let busy = busy()?.saturating_sub(self.busy);
        let own = ticks_of(ours).saturating_sub(self.ours);
        let foreign = TICK.as_secs_f64() * busy.saturating_sub(own) as f64;
        Ok(foreign / self.since.elapsed().as_secs_f64())
    }
}

/// Ticks of all processors in processes: user, nice, system, and what a host took away.
fn busy() -> Result<u64> {
    let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let fields: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|f| f.parse().ok())
        .collect();
    Ok([0, 1, 2, 7].iter().filter_map(|index| fields.get(*index)).sum())
}

/// Ticks of these processes and of this one, with all children that ended.
fn ticks_of(pids: &[i32]) -> u64 {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    pids.iter().chain([&own]).filter_map(|pid| ticks(*pid)).sum()
}

fn ticks(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the name: state is the first field, so utime, stime, cutime and cstime are the 12th to 15th.
    let (_, rest) = stat.rsplit_once(") ")?;
    Some(rest.split(' ').skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_the_processor_and_has_memory() {
        let own = i32::try_from(std::process::id()).expect("pid");
        let before = of_tree(own).expect("time");
        let mut sum = 0u64;
        while of_tree(own).expect("time") <= before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(private_bytes(own).expect("memory") > 10_000);
        assert!(of_process(own).is_ok() && busy().expect("busy") > 0);
    }
}
