//! Replication that is held up again and again, for moments.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};

/// Five times 50 ms in which nothing is replicated to the table, with 100 ms after each; for a client of the replica. Reads go
/// on, and replication goes on at once: stopping and starting its threads would take longer than the lag.
pub(super) fn cycles() -> String {
    "LOCK TABLES test.written READ; DO SLEEP(0.05); UNLOCK TABLES; DO SLEEP(0.1); ".repeat(5)
}

/// Does something while `lag`, which takes about a second, is run again and again.
pub(super) fn during<T: Send>(
    lag: impl Fn() -> Result<()> + Sync,
    work: impl FnOnce() -> Result<T> + Send,
) -> Result<T> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let lagging = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                lag()?;
            }
            anyhow::Ok(())
        });
        let done = work();
        over.store(true, Ordering::Relaxed);
        match lagging.join() {
            Ok(lagged) => lagged.context("make replication lag")?,
            Err(_) => bail!("the thread that makes replication lag panicked"),
        }
        done
    })
}
