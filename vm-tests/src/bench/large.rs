//! Large results: one client reads the same rows again and again.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::target::Target;
use crate::mysql::Client;

/// Bytes that came, and in what time.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub bytes: u64,
    pub elapsed: Duration,
}

pub(crate) fn run(target: &Target, rows: usize, row_bytes: usize, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // MariaDB's sequence engine: rows without a table.
    let sql = format!("SELECT REPEAT('x', {row_bytes}) FROM seq_1_to_{rows}");
    let failed = |failure| anyhow!("{}: {failure}", target.name);
    runtime.block_on(async {
        let mut client = Client::connect(&target.account(0)).await.map_err(failed)?;
        let (start, mut bytes) = (Instant::now(), 0);
        while start.elapsed() < time {
            bytes += client.drain(&sql).await.map_err(failed)?;
        }
        let elapsed = start.elapsed();
        client.leave().await.map_err(failed)?;
        Ok(Outcome { bytes, elapsed })
    })
}
