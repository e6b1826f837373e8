//! Opening the admin database. A disk layer that cannot be used is an error in the log, never the end of the daemon.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rusqlite::functions::FunctionFlags;
use rusqlite::limits::Limit;
use rusqlite::{Connection, params};

use super::super::facts::{SERVER_VERSION, SessionFacts};
use super::layers::{Module, copy_error};
use super::saved::SavedRows;
use super::tables::{Kind, Table, all, of_kind};
use crate::session::charset;

/// Beside the database.
const HISTORY: &str = "standfast-stats.db";

/// In bytes, for a cell and for a whole row: `SELECT zeroblob(…)` must not take the daemon's memory.
const LONGEST_VALUE: i32 = 16 << 20;

/// A proxy that is being replaced may still save; nobody holds the file longer.
const PATIENCE: Duration = Duration::from_millis(500);

/// The database and the state of its disk layer.
#[derive(Debug)]
pub struct Store {
    pub(super) db: Connection,
    disk: Disk,
    disk_file: PathBuf,
    /// What `USER()`, `DATABASE()` and `CONNECTION_ID()` answer in the statement that runs.
    facts: Arc<Mutex<SessionFacts>>,
    /// Where the past statistics are on disk, if they are.
    pub history_file: Option<PathBuf>,
}

#[derive(Debug)]
enum Disk {
    /// Nothing was ever saved in it: this is the first boot.
    Empty,
    Filled,
    /// Not attached, and why: `disk.*` does not exist and everything else works.
    Unusable(String),
}

impl Store {
    /// Opens the layers; the file of `disk` is made when it is missing.
    pub fn open(disk_file: &Path) -> rusqlite::Result<Store> {
        let db = Connection::open_in_memory()?;
        db.busy_timeout(PATIENCE)?;
        db.set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_VALUE)?;
        for schema in ["stats", "monitor"] {
            db.execute(&format!("ATTACH DATABASE ':memory:' AS {schema}"), [])?;
        }
        let history_file = attach_history(&db, disk_file.with_file_name(HISTORY))?;
        create_memory_tables(&db)?;
        let facts = Arc::default();
        create_functions(&db, &facts)?;
        let mut store = Store { db, disk: Disk::Empty, disk_file: disk_file.to_owned(), facts, history_file };
        store.disk = match store.attach_disk(disk_file) {
            Ok(disk) => disk,
            Err(reason) => {
                tracing::error!(
                    file = %disk_file.display(),
                    reason,
                    "the admin database on disk cannot be used; nothing is saved until it is repaired and proxyd restarted"
                );
                Disk::Unusable(reason)
            }
        };
        Ok(store)
    }

    /// An empty one, for as long as the real one is elsewhere.
    pub fn placeholder() -> rusqlite::Result<Store> {
        let db = Connection::open_in_memory()?;
        let disk = Disk::Unusable("it is in use".into());
        Ok(Store { db, disk, disk_file: PathBuf::new(), facts: Arc::default(), history_file: None })
    }

    /// True when nothing was ever saved.
    pub fn is_first_boot(&self) -> bool {
        matches!(self.disk, Disk::Empty)
    }

    /// Says who runs the next statement.
    pub fn set_facts(&self, facts: SessionFacts) {
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = facts;
    }

    /// True when rows of this module were saved.
    pub fn is_saved(&self, module: Module) -> bool {
        let has_rows = |table: &&str| {
            let sql = format!("SELECT EXISTS (SELECT 1 FROM disk.{table} WHERE {})", module.filter());
            self.db.query_row(&sql, [], |row| row.get(0)).unwrap_or(false)
        };
        module.tables().iter().any(has_rows)
    }

    /// More than so many rows of this table were saved, if nothing has thinned them out since.
    pub fn is_bulky(&self, table: &str, many: i64) -> bool {
        // The last row's number is known at once, their count is not.
        let sql = format!("SELECT MAX(rowid) FROM disk.{table}");
        let last = self.db.query_row(&sql, [], |row| row.get::<_, Option<i64>>(0));
        last.is_ok_and(|last| last.is_some_and(|last| last > many))
    }

    /// The file of the disk layer, to be read beside this.
    pub fn saved_rows(&self) -> Result<SavedRows, String> {
        self.need_disk()?;
        SavedRows::open(&self.disk_file)
    }

    /// `PROXYSQL FLUSH CONFIGDB`: closes the file and opens it again, which may have been repaired or replaced meanwhile.
    pub fn reopen_disk(&mut self) -> Result<(), String> {
        if self.disk_error().is_none() {
            self.db.execute("DETACH DATABASE disk", []).map_err(copy_error)?;
        }
        let file = self.disk_file.clone();
        let opened = self.attach_disk(&file);
        self.disk = match &opened {
            // What was loaded at the start stays in memory.
            Ok(Disk::Empty | Disk::Filled | Disk::Unusable(_)) => Disk::Filled,
            Err(reason) => Disk::Unusable(reason.clone()),
        };
        opened.map(drop)
    }

    /// The reason why there is no disk layer, if there is none.
    pub fn disk_error(&self) -> Option<&str> {
        match &self.disk {
            Disk::Unusable(reason) => Some(reason),
            Disk::Empty | Disk::Filled => None,
        }
    }

    fn attach_disk(&mut self, file: &Path) -> Result<Disk, String> {
        let name = file.to_str().ok_or("its path is not UTF-8")?;
        create_private(file).map_err(|error| error.to_string())?;
        self.db.execute("ATTACH DATABASE ?1 AS disk", [name]).map_err(|error| error.to_string())?;
        self.prepare_disk().map_err(|error| {
            // A half-attached layer would take writes that nobody can read back.
            let _ = self.db.execute("DETACH DATABASE disk", []);
            error.to_string()
        })
    }

    /// Reads the header, then creates tables that are missing (a new file, or one of an older version).
    fn prepare_disk(&mut self) -> rusqlite::Result<Disk> {
        let missing: Vec<&Table> = {
            let mut names = self.db.prepare("SELECT name FROM disk.sqlite_master WHERE type = 'table'")?;
            let present = names.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            let on_disk =
                all().filter(|table| matches!(table.kind, Kind::Config | Kind::Listed | Kind::Disk));
            on_disk.filter(|table| !present.iter().any(|name| name == table.name)).collect()
        };
        if !missing.is_empty() {
            let transaction = self.db.transaction()?;
            for table in missing {
                transaction.execute(&table.ddl("disk", table.name), [])?;
                match table.name {
                    "mysql_collations" => fill_collations(&transaction, "disk")?,
                    "global_settings" => state_identity(&transaction)?,
                    _ => {}
                }
            }
            transaction.commit()?;
        }
        // Variables are saved with everything else on the first boot, in one transaction.
        let filled =
            self.db.query_row("SELECT EXISTS (SELECT 1 FROM disk.global_variables)", [], |row| row.get(0))?;
        Ok(if filled { Disk::Filled } else { Disk::Empty })
    }
}

/// Passwords are in it: nobody else reads it. SQLite's journal takes over the mode.
fn create_private(file: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The functions that MySQL clients call on connecting.
fn create_functions(db: &Connection, facts: &Arc<Mutex<SessionFacts>>) -> rusqlite::Result<()> {
    type Answer = fn(&SessionFacts) -> String;
    let functions: [(&str, Answer); 7] = [
        ("version", |_| SERVER_VERSION.to_owned()),
        ("user", |facts| facts.user.clone()),
        ("current_user", |facts| facts.user.clone()),
        ("session_user", |facts| facts.user.clone()),
        ("database", |facts| facts.schema.clone()),
        ("schema", |facts| facts.schema.clone()),
        ("connection_id", |facts| facts.id.to_string()),
    ];
    for (name, answer) in functions {
        let facts = facts.clone();
        db.create_scalar_function(name, 0, FunctionFlags::SQLITE_UTF8, move |_| {
            Ok(answer(&facts.lock().unwrap_or_else(PoisonError::into_inner)))
        })?;
    }
    Ok(())
}

fn create_memory_tables(db: &Connection) -> rusqlite::Result<()> {
    for table in of_kind(Kind::Config) {
        db.execute(&table.ddl("main", table.name), [])?;
        db.execute(&table.twin_ddl(), [])?;
    }
    for table in of_kind(Kind::Runtime).chain(of_kind(Kind::Listed)) {
        db.execute(&table.ddl("main", table.name), [])?;
    }
    for table in of_kind(Kind::Stats) {
        db.execute(&table.ddl("stats", table.name), [])?;
    }
    for table in of_kind(Kind::Monitor) {
        db.execute(&table.ddl("monitor", table.name), [])?;
    }
    fill_collations(db, "main")
}

fn fill_collations(db: &Connection, schema: &str) -> rusqlite::Result<()> {
    let mut insert = db.prepare(&format!("INSERT INTO {schema}.mysql_collations VALUES (?1, ?2, ?3, ?4)"))?;
    for (id, charset, collation) in charset::all() {
        let default = if charset::default_collation(charset) == collation { "Yes" } else { "" };
        insert.execute(params![id, collation, charset, default])?;
    }
    Ok(())
}

/// The name of this data directory among others: a random UUID, made once.
fn state_identity(db: &Connection) -> rusqlite::Result<()> {
    let mut bytes = [0; 16];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| rusqlite::Error::UserFunctionError("no randomness".into()))?;
    // Version 4, variant 1 (RFC 9562).
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
    db.execute("INSERT INTO disk.global_settings VALUES ('uuid', ?1)", [parts.join("-")]).map(drop)
}

/// Statistics are worth no refusal to start: without a usable file they are kept in memory.
fn attach_history(db: &Connection, file: PathBuf) -> rusqlite::Result<Option<PathBuf>> {
    if let Err(reason) = try_attach_history(db, &file) {
        tracing::error!(file = %file.display(), reason, "the statistics of the past are not kept on disk");
        // It may have been attached before the first table failed.
        let _ = db.execute("DETACH DATABASE stats_history", []);
        db.execute("ATTACH DATABASE ':memory:' AS stats_history", [])?;
        create_history(db)?;
        return Ok(None);
    }
    Ok(Some(file))
}

fn try_attach_history(db: &Connection, file: &Path) -> Result<(), String> {
    create_private(file).map_err(|error| error.to_string())?;
    let name = file.to_str().ok_or("its path is not UTF-8")?;
    db.execute("ATTACH DATABASE ?1 AS stats_history", [name]).map_err(copy_error)?;
    // The writer has a connection of its own: whoever reads does not wait for it.
    db.pragma_update(Some("stats_history"), "journal_mode", "WAL").map_err(copy_error)?;
    create_history(db).map_err(copy_error)
}

fn create_history(db: &Connection) -> rusqlite::Result<()> {
    of_kind(Kind::History)
        .try_for_each(|table| db.execute(&table.ddl("stats_history", table.name), []).map(drop))
}
