//! A minute with every core busy: nothing may move, and every query must be answered.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::runner::Runner;
use crate::drills::stage::Stage;
use crate::lab::cluster::BackendKind;
use crate::lab::layout::{Layout, Numbers, Template};

const WATCHED: Duration = Duration::from_secs(60);

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let template = Template::new(Layout::SingleVip, Numbers::Standfast, &runner.configs);
    let stage = runner.stage(template, BackendKind::Sqlite)?;
    runner.check("load/60 s with every core busy and no failover", || nothing_moves(&stage));
    Ok(())
}

fn nothing_moves(stage: &Stage) -> Result<()> {
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let proxy = stage.host(host).proxyd();
    let stop = Arc::new(AtomicBool::new(false));
    let cores = std::thread::available_parallelism()?.get();
    let burners: Vec<_> = (0..cores)
        .map(|_| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut sum = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    sum = black_box(sum.wrapping_mul(31).wrapping_add(7));
                }
            })
        })
        .collect();
    let start = Instant::now();
    while start.elapsed() < WATCHED {
        std::thread::sleep(Duration::from_millis(100));
    }
    stop.store(true, Ordering::Relaxed);
    burners.into_iter().for_each(|burner| drop(burner.join()));
    let seen = stage.holders_since(start);
    let moved = seen.iter().filter(|h| h.hosts.first() != Some(&vec![host])).count();
    ensure!(
        moved == 0,
        "{vip} was not on {} alone in {moved} of {} samples",
        stage.host(host).name,
        seen.len()
    );
    ensure!(stage.host(host).proxyd() == proxy, "the proxy was restarted");
    let failures = stage.failures_since(start);
    ensure!(failures.refused + failures.errors == 0, "failures: {:?}", failures.by_text);
    Ok(())
}
