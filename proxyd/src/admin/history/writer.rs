//! The thread that writes `stats_history`: inserts, rolls hours and days up, and drops what is too old or too much.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, Transaction, params_from_iter};
use tokio::sync::oneshot;

use super::super::store::copy_error;
use super::super::store::tables::{find, history::ROLLED_UP};
use super::{DIGESTS, STATUS};

/// Samples that may wait; with the disk standing still, later ones are lost.
const QUEUE: usize = 64;
const BUSY: Duration = Duration::from_secs(5);
/// How long `SAVE MYSQL DIGEST TO DISK` waits.
const PATIENCE: Duration = Duration::from_secs(10);
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Of raw samples, of the hours', of the days'.
const KEEP: [i64; 3] = [7 * DAY, 365 * DAY, 3650 * DAY];
/// Saved digests beyond this many give way to newer ones.
const MAX_DIGESTS: i64 = 1_000_000;
/// Their average counts; of all else the last (and highest) value does.
const GAUGES: [&str; 10] = [
    "Client_Connections_connected",
    "Server_Connections_connected",
    "Entries_In_Cache",
    "Memory_Bytes",
    "allocated",
    "resident",
    "active",
    "mapped",
    "metadata",
    "retained",
];

/// Rows for one table; the first cell of each is its time in seconds since 1970.
#[derive(Debug)]
pub struct Rows {
    pub table: &'static str,
    pub rows: Vec<Vec<Value>>,
}

struct Order {
    rows: Rows,
    done: Option<oneshot::Sender<Result<usize, String>>>,
}

/// Where samples are handed over.
#[derive(Debug)]
pub struct HistoryWriter(SyncSender<Order>);

impl HistoryWriter {
    /// The tables are there already.
    pub fn start(file: &Path) -> Result<HistoryWriter, String> {
        let db = Connection::open(file).map_err(copy_error)?;
        db.busy_timeout(BUSY).map_err(copy_error)?;
        // A power cut may cost the last samples, never the file (WAL).
        db.pragma_update(None, "synchronous", "OFF").map_err(copy_error)?;
        let (orders, queue) = sync_channel(QUEUE);
        std::thread::Builder::new()
            .name("history".into())
            .spawn(move || run(db, &queue))
            .map_err(|error| error.to_string())?;
        Ok(HistoryWriter(orders))
    }

    /// Never waits: a sample that finds the queue full is lost.
    pub fn write(&self, rows: Rows) {
        if self.send(Order { rows, done: None }).is_err() {
            tracing::warn!("a sample of the statistics was lost: the disk does not keep up");
        }
    }

    /// The number of rows that were written.
    pub async fn write_and_wait(&self, rows: Rows) -> Result<usize, String> {
        let (done, written) = oneshot::channel();
        self.send(Order { rows, done: Some(done) })?;
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err("the thread that writes past statistics is gone".into()),
            Err(_) => Err("the disk did not take them in time; they may still be written".into()),
        }
    }

    fn send(&self, order: Order) -> Result<(), String> {
        self.0.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => "the disk does not keep up".to_owned(),
            TrySendError::Disconnected(_) => "the thread that writes past statistics is gone".to_owned(),
        })
    }
}

fn run(mut db: Connection, queue: &Receiver<Order>) {
    while let Ok(Order { rows, done }) = queue.recv() {
        let outcome = write(&mut db, &rows).map_err(copy_error);
        match (done, outcome) {
            (Some(done), outcome) => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(outcome);
            }
            (None, Ok(_)) => {}
            (None, Err(reason)) => {
                tracing::warn!(table = rows.table, reason, "a sample of the statistics was lost");
            }
        }
    }
}

/// One transaction: the rows, what is rolled up from them, and what goes for them.
fn write(db: &mut Connection, Rows { table, rows }: &Rows) -> rusqlite::Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    let transaction = db.transaction()?;
    let newest = rows.iter().filter_map(|row| time_of(row)).max().unwrap_or_default();
    if *table == STATUS {
        insert_status(&transaction, rows)?;
    } else {
        let places = vec!["?"; rows.first().map_or(0, Vec::len)].join(", ");
        let mut insert = transaction.prepare(&format!("INSERT OR REPLACE INTO {table} VALUES ({places})"))?;
        for row in rows {
            insert.execute(params_from_iter(row))?;
        }
    }
    if ROLLED_UP.contains(table) {
        roll_up(&transaction, table, &format!("{table}_hour"), newest, HOUR)?;
        roll_up(&transaction, &format!("{table}_hour"), &format!("{table}_day"), newest, DAY)?;
        drop_old(&transaction, &format!("{table}_hour"), "timestamp", newest - KEEP[1])?;
        drop_old(&transaction, &format!("{table}_day"), "timestamp", newest - KEEP[2])?;
    }
    if *table == DIGESTS {
        drop_old(&transaction, table, "dump_time", newest - KEEP[1])?;
        let surplus =
            format!("DELETE FROM {table} WHERE rowid <= (SELECT MAX(rowid) FROM {table}) - {MAX_DIGESTS}");
        transaction.execute(&surplus, [])?;
    } else {
        drop_old(&transaction, table, "timestamp", newest - KEEP[0])?;
    }
    transaction.commit()?;
    Ok(rows.len())
}

fn time_of(row: &[Value]) -> Option<i64> {
    match row.first() {
        Some(Value::Integer(time)) => Some(*time),
        _ => None,
    }
}

/// Time, name, value: the name becomes a number in the lookup table.
fn insert_status(transaction: &Transaction<'_>, rows: &[Vec<Value>]) -> rusqlite::Result<()> {
    let mut name = transaction
        .prepare("INSERT OR IGNORE INTO history_mysql_status_variables_lookup (variable_name) VALUES (?1)")?;
    let mut value = transaction.prepare(
        "INSERT OR REPLACE INTO history_mysql_status_variables \
         SELECT ?1, variable_id, ?3 FROM history_mysql_status_variables_lookup WHERE variable_name = ?2",
    )?;
    for row in rows {
        name.execute(params_from_iter(row.get(1)))?;
        value.execute(params_from_iter(row))?;
    }
    Ok(())
}

/// Writes the row of the period that `now` is in, from the finer table's rows of that period.
fn roll_up(
    transaction: &Transaction<'_>,
    from: &str,
    to: &str,
    now: i64,
    period: i64,
) -> rusqlite::Result<()> {
    let Some(columns) = find(to).map(|table| table.columns) else { return Ok(()) };
    let start = now - now.rem_euclid(period);
    let folded = columns.iter().skip(1).map(|(column, _)| match GAUGES.contains(column) {
        true => format!("CAST(AVG({column}) AS INT)"),
        false => format!("MAX({column})"),
    });
    let folded = folded.collect::<Vec<_>>().join(", ");
    let sql = format!(
        "INSERT OR REPLACE INTO {to} SELECT {start}, {folded} FROM {from} \
         WHERE timestamp >= {start} AND timestamp < {}",
        start + period
    );
    transaction.execute(&sql, []).map(drop)
}

fn drop_old(transaction: &Transaction<'_>, table: &str, column: &str, before: i64) -> rusqlite::Result<()> {
    transaction.execute(&format!("DELETE FROM {table} WHERE {column} < ?1"), [before]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::store::tables::{Kind, of_kind};

    fn db() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        for table in of_kind(Kind::History) {
            db.execute(&table.ddl("main", table.name), []).unwrap();
        }
        db
    }

    fn cpu(db: &mut Connection, at: i64, ticks: i64) {
        let rows = vec![vec![at.into(), ticks.into(), (ticks / 2).into()]];
        write(db, &Rows { table: "system_cpu", rows }).unwrap();
    }

    fn rows(db: &Connection, sql: &str) -> Vec<(i64, i64)> {
        let mut statement = db.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn hours_and_days_are_rolled_up_and_the_old_goes() {
        let mut db = db();
        cpu(&mut db, 10 * DAY, 5);
        for (at, ticks) in [(0, 10), (60, 20), (HOUR, 30), (DAY - 1, 40)] {
            cpu(&mut db, 20 * DAY + at, ticks);
        }
        assert_eq!(rows(&db, "SELECT timestamp, tms_utime FROM system_cpu").len(), 4, "a week is kept");
        let start = 20 * DAY;
        assert_eq!(
            rows(&db, "SELECT timestamp, tms_utime FROM system_cpu_hour ORDER BY 1 DESC LIMIT 3"),
            [(start + DAY - HOUR, 40), (start + HOUR, 30), (start, 20)]
        );
        assert_eq!(
            rows(&db, "SELECT timestamp, tms_utime FROM system_cpu_day ORDER BY 1"),
            [(10 * DAY, 5), (start, 40)]
        );
    }

    #[test]
    fn gauges_are_averages() {
        let mut db = db();
        for (at, bytes) in [(HOUR, 100), (HOUR + 60, 200)] {
            let rows = vec![std::iter::once(at).chain([bytes; 6]).map(Value::from).collect()];
            write(&mut db, &Rows { table: "system_memory", rows }).unwrap();
        }
        assert_eq!(rows(&db, "SELECT timestamp, resident FROM system_memory_hour"), [(HOUR, 150)]);
    }

    #[test]
    fn names_become_numbers_once() {
        let mut db = db();
        for at in [60, 120] {
            let value = |name: &str| vec![Value::from(at), name.to_owned().into(), at.to_string().into()];
            write(&mut db, &Rows { table: STATUS, rows: vec![value("Questions"), value("Uptime")] }).unwrap();
        }
        let sql = "SELECT timestamp, CAST(variable_value AS INT) FROM history_mysql_status_variables \
                   JOIN history_mysql_status_variables_lookup USING (variable_id) WHERE variable_name = 'Uptime'";
        assert_eq!(rows(&db, sql), [(60, 60), (120, 120)]);
        assert_eq!(rows(&db, "SELECT COUNT(*), 0 FROM history_mysql_status_variables_lookup"), [(2, 0)]);
    }
}
