//! A connection storm: connect, log in, one query, close, over and over; plain, or under TLS with a full handshake each time.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::handshake;
use super::target::Target;
use crate::mysql::client::Account;
use crate::mysql::{Client, Failure, link};

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

/// What a client does between its coming and its going.
#[derive(Clone)]
enum Visit {
    Plain,
    Tls(TlsConnector),
    /// Nobody speaks MySQL there.
    Handshake(TlsConnector),
}

impl Visit {
    fn of(target: &Target, tls: bool) -> Result<Self> {
        Ok(match (tls, target.backend) {
            (false, _) => Visit::Plain,
            (true, Some(_)) => Visit::Tls(link::connector()?),
            (true, None) => Visit::Handshake(link::connector()?),
        })
    }

    async fn once(&self, account: &Account) -> Result<(), Failure> {
        let mut client = match self {
            Visit::Plain => Client::connect(account).await?,
            Visit::Tls(tls) => Client::connect_tls(account, tls).await?,
            Visit::Handshake(tls) => {
                let visit = handshake::visit(account.address, tls).await;
                return visit.map_err(|error| Failure::Network(error.kind()));
            }
        };
        client.query("SELECT 1").await?;
        client.leave().await
    }
}

pub(crate) fn run(target: &Target, clients: usize, tls: bool, time: Duration) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = Instant::now() + time;
    let mut outcome = Outcome::default();
    let visit = Visit::of(target, tls)?;
    runtime.block_on(async {
        let mut storming = JoinSet::new();
        for index in 0..clients {
            let (account, visit) = (target.account(index), visit.clone());
            storming.spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let start = Instant::now();
                    visit.once(&account).await?;
                    latencies.push(start.elapsed().as_secs_f64() * 1e3);
                }
                Ok(latencies)
            });
        }
        while let Some(joined) = storming.join_next().await {
            let latencies: Result<Vec<f64>, Failure> = joined?;
            outcome.latencies.extend(latencies.map_err(|failure| anyhow!("{}: {failure}", target.name))?);
        }
        Ok::<(), anyhow::Error>(())
    })?;
    outcome.connections = outcome.latencies.len() as u64;
    outcome.latencies.sort_by(f64::total_cmp);
    Ok(outcome)
}
