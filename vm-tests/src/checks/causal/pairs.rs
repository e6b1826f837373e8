//! Pairs of a write and a read of the same session, by several sessions at once.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinSet;

use crate::checks::shell;
use crate::lab::netns::Netns;
use crate::mysql::client::{Account, Client};

const SESSIONS: u64 = 8;
/// Between a write and its read, in turn.
const PAUSES_MS: [u64; 4] = [0, 1, 5, 20];
/// Each session has a row of its own, for good.
static NEXT_ROW: AtomicU64 = AtomicU64::new(1);
/// All of a session's pairs.
const LIMIT: Duration = Duration::from_secs(1800);

pub(super) const TABLE: &str = "CREATE TABLE test.written (id INT PRIMARY KEY, v BIGINT)";

/// How the pairs read, by the rule that their statement meets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Read {
    /// What was written.
    Causal,
    /// Whatever the replica has.
    Anyway,
}

impl Read {
    /// The column's name, by which rules know the statement.
    fn name(self) -> &'static str {
        match self {
            Read::Causal => "causal",
            Read::Anyway => "anyway",
        }
    }
}

pub(super) const COLUMNS: &str = "rule_id, match_pattern, destination_hostgroup, gtid_from_hostgroup, apply";

/// The rules for both reads: values of [`COLUMNS`].
pub(super) fn rules(writer: u32, reader: u32) -> [String; 2] {
    [
        format!("1, '^SELECT v AS causal', {reader}, {writer}, 1"),
        format!("2, '^SELECT v AS anyway', {reader}, NULL, 1"),
    ]
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub pairs: u64,
    pub stale: u64,
}

/// Runs so many pairs against the proxy.
pub(super) fn run(netns: &Netns, proxy: SocketAddr, user: &str, read: Read, pairs: u64) -> Result<Tally> {
    let account =
        Account { address: proxy, user: user.into(), password: user.into(), database: Some("test".into()) };
    shell::inside(netns, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let all = async {
            let mut sessions = JoinSet::new();
            for _ in 0..SESSIONS {
                sessions.spawn(session(account.clone(), read, pairs.div_ceil(SESSIONS)));
            }
            let mut total = Tally::default();
            while let Some(tally) = sessions.join_next().await {
                let Tally { pairs, stale } = tally??;
                total.pairs += pairs;
                total.stale += stale;
            }
            anyhow::Ok(total)
        };
        runtime.block_on(async { tokio::time::timeout(LIMIT, all).await.context("the pairs took too long")? })
    })
}

/// One session: writes a number that grows, by itself or in a transaction, and reads it.
async fn session(account: Account, read: Read, pairs: u64) -> Result<Tally> {
    let id = NEXT_ROW.fetch_add(1, Ordering::Relaxed);
    let failed = |what| move |failure| anyhow::anyhow!("{what}: {failure}");
    let mut client = Client::connect(&account).await.map_err(failed("connect"))?;
    let mut tally = Tally::default();
    let question = format!("SELECT v AS {} FROM test.written WHERE id = {id}", read.name());
    for number in 0..pairs {
        let write = format!("REPLACE INTO test.written VALUES ({id}, {number})");
        let statements = match number % 8 {
            7 => vec!["BEGIN", &write, "COMMIT"],
            _ => vec![&*write],
        };
        for statement in statements {
            client.query(statement).await.map_err(failed("write"))?;
        }
        // Some read at once, some after a moment in which the replica may get it.
        if let Some(pause @ 1..) = PAUSES_MS.get((number % 4) as usize).copied() {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let rows = client.query(&question).await.map_err(failed("read"))?;
        let seen = rows.first().and_then(|row| row.first()).and_then(|cell| cell.as_deref());
        let seen = seen.map(|text| text.parse::<u64>().context("not a number")).transpose()?;
        ensure!(seen.is_none_or(|seen| seen <= number), "read {seen:?} where {number} is the newest");
        tally.pairs += 1;
        tally.stale += u64::from(seen != Some(number));
    }
    client.quit().await;
    Ok(tally)
}
