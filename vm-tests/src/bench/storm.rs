//! A connection storm: connect, log in, one query, close, over and over.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;

use super::target::Target;
use crate::mysql::Client;

/// What a storm did.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub connections: u64,
    /// Milliseconds of each, sorted.
    pub latencies: Vec<f64>,
}

impl Outcome {
    pub(crate) fn percentile(&self, share: f64) -> Option<f64> {
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        self.latencies.get(rank.saturating_sub(1)).copied()
    }
}

pub(crate) fn run(target: &Target, clients: usize, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = Instant::now() + time;
    let mut outcome = Outcome::default();
    runtime.block_on(async {
        let mut storming = JoinSet::new();
        for index in 0..clients {
            let account = target.account(index);
            storming.spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let start = Instant::now();
                    let mut client = Client::connect(&account).await?;
                    client.query("SELECT 1").await?;
                    client.leave().await?;
                    latencies.push(start.elapsed().as_secs_f64() * 1e3);
                }
                Ok(latencies)
            });
        }
        while let Some(joined) = storming.join_next().await {
            let latencies: Result<Vec<f64>, crate::mysql::Failure> = joined?;
            outcome.latencies.extend(latencies.map_err(|failure| anyhow!("{}: {failure}", target.name))?);
        }
        Ok::<(), anyhow::Error>(())
    })?;
    outcome.connections = outcome.latencies.len() as u64;
    outcome.latencies.sort_by(f64::total_cmp);
    Ok(outcome)
}
