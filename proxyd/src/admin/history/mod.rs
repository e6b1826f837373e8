//! `stats_history`: what the statistics were, sampled every so often (`admin-stats_*`) and kept in a file, within bounds.
//!
//! The control thread takes the samples; a thread of its own writes them, so that a slow or full disk costs samples and
//! nothing else.

mod system;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::types::Value;

use super::service::{Admin, AdminError, Answer, done};
use super::store::{digest_cells, global_rows, pool_cells};
use crate::digests::DigestRow;
use crate::runtime::{collect_digests, collect_stats};
pub use writer::HistoryWriter;
use writer::Rows;

const TICK: Duration = Duration::from_secs(1);
const STATUS: &str = "history_mysql_status_variables";
const POOL: &str = "history_stats_mysql_connection_pool";
const DIGESTS: &str = "history_mysql_query_digest";

/// The variable that says how often, in seconds (0 is never), and what is due then.
const SAMPLES: [(&str, Sample); 6] = [
    ("admin-stats_mysql_connections", Sample::Connections),
    ("admin-stats_mysql_connection_pool", Sample::Pool),
    ("admin-stats_mysql_query_cache", Sample::QueryCache),
    ("admin-stats_system_cpu", Sample::Cpu),
    ("admin-stats_system_memory", Sample::Memory),
    ("admin-stats_mysql_query_digest_to_disk", Sample::Digests),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Sample {
    Connections,
    Pool,
    QueryCache,
    Cpu,
    Memory,
    Digests,
}

/// Takes samples until the end of the process. Must run on a `LocalSet`.
pub async fn keep_history(admin: Rc<Admin>) {
    let mut taken: HashMap<Sample, u64> =
        SAMPLES.iter().map(|(_, sample)| (*sample, seconds_now())).collect();
    loop {
        tokio::time::sleep(TICK).await;
        let now = seconds_now();
        for (variable, sample) in SAMPLES {
            let interval = admin.runtime.borrow().settings().number(variable);
            let last = taken.entry(sample).or_default();
            if interval > 0 && now.saturating_sub(*last) >= interval {
                *last = now;
                admin.take_sample(sample, now).await;
            }
        }
    }
}

impl Admin {
    async fn take_sample(&self, sample: Sample, now: u64) {
        let Some(writer) = &self.history else { return };
        let at = cell(now);
        match sample {
            Sample::Connections => {
                let values = self.global_values().await;
                writer.write(counters("mysql_connections", &at, &values));
                let status =
                    values.into_iter().map(|(name, value)| vec![at.clone(), name.into(), value.into()]);
                writer.write(Rows { table: STATUS, rows: status.collect() });
            }
            Sample::QueryCache => {
                writer.write(counters("mysql_query_cache", &at, &self.global_values().await));
            }
            Sample::Pool => {
                let workers = self.runtime.borrow().workers().to_vec();
                let stats = collect_stats(&workers).await;
                let rows = pool_cells(&self.runtime.borrow(), &stats, &HashMap::new());
                writer.write(Rows { table: POOL, rows: dated(&at, rows) });
            }
            Sample::Cpu => writer.write(Rows {
                table: "system_cpu",
                rows: dated(&at, [system::cpu_ticks().map(cell).to_vec()]),
            }),
            Sample::Memory => writer.write(Rows {
                table: "system_memory",
                rows: dated(&at, [system::memory().map(cell).to_vec()]),
            }),
            Sample::Digests => {
                if let Err(error) = self.save_digests().await {
                    tracing::warn!(%error, "the digests were not saved");
                }
            }
        }
    }

    /// `SAVE MYSQL DIGEST TO DISK`: the digests so far, which count from zero afterwards. They go on counting when they
    /// could not be saved.
    pub(super) async fn save_digests(&self) -> Result<Answer, AdminError> {
        let Some(writer) = &self.history else {
            return Err(AdminError::failed("the file of past statistics is not available"));
        };
        let workers = self.runtime.borrow().workers().to_vec();
        let at = cell(seconds_now());
        let rows: Vec<DigestRow> = collect_digests(&workers, false).await;
        let cells = dated(&at, rows.iter().map(digest_cells));
        let saved = writer.write_and_wait(Rows { table: DIGESTS, rows: cells }).await?;
        collect_digests(&workers, true).await;
        Ok(done(saved))
    }

    async fn global_values(&self) -> Vec<(String, String)> {
        let workers = self.runtime.borrow().workers().to_vec();
        let stats = collect_stats(&workers).await;
        global_rows(&self.runtime.borrow(), &stats, self.is_paused(), self.logs().counts())
    }
}

/// A row of a table whose columns are names of counters.
fn counters(table: &'static str, at: &Value, values: &[(String, String)]) -> Rows {
    let known: HashMap<&str, &str> =
        values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let columns = super::store::tables::find(table).map_or(&[][..], |table| table.columns);
    let cells = columns.iter().skip(1).map(|(column, _)| {
        let cache = match *column {
            "Entries_Purged" => "Query_Cache_Purged".to_owned(),
            "Entries_In_Cache" => "Query_Cache_Entries".to_owned(),
            "Memory_Bytes" => "Query_Cache_Memory_bytes".to_owned(),
            other => format!("Query_Cache_{other}"),
        };
        let value = known.get(column).or_else(|| known.get(cache.as_str()));
        cell(value.and_then(|value| value.parse().ok()).unwrap_or(0))
    });
    Rows { table, rows: dated(at, [cells.collect()]) }
}

/// The rows with the time in front.
fn dated(at: &Value, rows: impl IntoIterator<Item = Vec<Value>>) -> Vec<Vec<Value>> {
    let date = |mut row: Vec<Value>| {
        row.insert(0, at.clone());
        row
    };
    rows.into_iter().map(date).collect()
}

fn cell(number: u64) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Starts the thread, if there is a file.
pub fn start_writer(file: Option<&Path>) -> Option<HistoryWriter> {
    let started = HistoryWriter::start(file?);
    started.inspect_err(|error| tracing::error!(error, "past statistics are not kept")).ok()
}
