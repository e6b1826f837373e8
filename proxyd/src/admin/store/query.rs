//! Statements as an administrator types them, run on SQLite with that login's rights.
//!
//! The rights are enforced by SQLite's authorizer while it compiles the statement, so no spelling gets around them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;

use super::layers::copy_error;
use super::open::Store;
use super::tables::{Kind, find};

/// The monitors share the thread with these statements: one that runs longer is interrupted.
const PATIENCE: Duration = Duration::from_secs(2);
/// Instructions of SQLite between two looks at the clock.
const PROGRESS_STEPS: i32 = 10_000;
/// Results are held whole; this bounds what a forgotten WHERE can take.
const MAX_RESULT: usize = 64 << 20;
/// What a cell takes beside its text.
const CELL_COST: usize = size_of::<Option<String>>();
const FIXED_SCHEMA: &str =
    "the admin tables cannot be created, altered or dropped, and nothing can be attached";

/// What a login may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights {
    /// A `stats_credentials` login: reads `stats`, `stats_history` and `monitor`, nothing else.
    pub stats_only: bool,
    /// `PROXYSQL READONLY` is in force.
    pub read_only: bool,
}

/// A result with every cell as text, as the MySQL text protocol has it; `None` is NULL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ResultSet {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlOutcome {
    Rows(ResultSet),
    Changed(usize),
}

/// A table that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRef {
    pub schema: String,
    pub table: String,
}

/// What the authorizer noted while a statement was compiled.
#[derive(Debug, Default)]
struct Notes {
    reads: Vec<TableRef>,
    refusal: Option<String>,
}

impl Store {
    /// Compiles a statement and says which tables it reads; those that are filled on demand can then be filled.
    pub fn tables_read(&mut self, sql: &str, rights: Rights) -> Result<Vec<TableRef>, String> {
        self.authorized(rights, |db| db.prepare(sql).map(drop)).map(|((), reads)| reads)
    }

    /// Runs one statement.
    pub fn run(&mut self, sql: &str, rights: Rights) -> Result<SqlOutcome, String> {
        self.authorized(rights, |db| {
            let mut statement = db.prepare(sql)?;
            if statement.column_count() == 0 {
                return statement.execute([]).map(SqlOutcome::Changed);
            }
            let columns = statement.column_names().map(str::to_owned).collect::<Vec<_>>();
            let width = columns.len();
            let mut cursor = statement.query([])?;
            let (mut rows, mut size) = (Vec::new(), 0);
            while let Some(row) = cursor.next()? {
                let cells = (0..width)
                    .map(|index| row.get_ref(index).map(cell_text))
                    .collect::<Result<Vec<_>, _>>()?;
                size += cells.iter().flatten().map(String::len).sum::<usize>() + width * CELL_COST;
                if size > MAX_RESULT {
                    return Err(rusqlite::Error::UserFunctionError(
                        "the result is too large: add a LIMIT".into(),
                    ));
                }
                rows.push(cells);
            }
            Ok(SqlOutcome::Rows(ResultSet { columns, rows }))
        })
        .map(|(outcome, _)| outcome)
    }

    /// Does `work` under the authorizer; a refusal comes with its reason instead of SQLite's "not authorized".
    fn authorized<T>(
        &mut self,
        rights: Rights,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> Result<(T, Vec<TableRef>), String> {
        let notes = Arc::new(Mutex::new(Notes::default()));
        let shared = notes.clone();
        let hook = move |context: AuthContext<'_>| authorize(&context, rights, &mut lock(&shared));
        self.db.authorizer(Some(hook)).map_err(copy_error)?;
        let deadline = Instant::now() + PATIENCE;
        self.db
            .progress_handler(PROGRESS_STEPS, Some(move || Instant::now() > deadline))
            .map_err(copy_error)?;
        let done = work(&self.db);
        self.db.progress_handler(0, None::<fn() -> bool>).map_err(copy_error)?;
        self.db.authorizer(None::<fn(AuthContext<'_>) -> Authorization>).map_err(copy_error)?;
        let mut notes = lock(&notes);
        match done {
            Ok(done) => Ok((done, std::mem::take(&mut notes.reads))),
            Err(error) => Err(notes.refusal.take().unwrap_or_else(|| copy_error(error))),
        }
    }
}

fn lock(notes: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

fn authorize(context: &AuthContext<'_>, rights: Rights, notes: &mut Notes) -> Authorization {
    let schema = context.database_name.unwrap_or("main");
    let refusal = match context.action {
        AuthAction::Select | AuthAction::Recursive => None,
        AuthAction::Function { function_name } => function_name
            .eq_ignore_ascii_case("load_extension")
            .then(|| "extensions cannot be loaded".to_owned()),
        AuthAction::Read { table_name, .. } => {
            // A COUNT(*) reads no column, and SQLite then names no schema either.
            let schema = context.database_name.unwrap_or_else(|| home_of(table_name));
            note_read(notes, schema, table_name);
            refuse_read(schema, table_name, rights)
        }
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. } => refuse_write(schema, table_name, rights),
        AuthAction::Pragma { pragma_name: "database_list", pragma_value: None } => None,
        AuthAction::CreateVtable { module_name: "pragma_database_list", .. } => None,
        _ => Some(FIXED_SCHEMA.to_owned()),
    };
    match refusal {
        None => Authorization::Allow,
        Some(reason) => {
            notes.refusal.get_or_insert(reason);
            Authorization::Deny
        }
    }
}

fn note_read(notes: &mut Notes, schema: &str, table: &str) {
    if !notes.reads.iter().any(|read| read.schema == schema && read.table == table) {
        notes.reads.push(TableRef { schema: schema.to_owned(), table: table.to_owned() });
    }
}

/// The schema that an unqualified name is found in.
fn home_of(table: &str) -> &'static str {
    match find(table).map(|table| table.kind) {
        Some(Kind::Stats) => "stats",
        Some(Kind::Monitor) => "monitor",
        Some(Kind::History) => "stats_history",
        Some(Kind::Disk) => "disk",
        Some(Kind::Config | Kind::Runtime | Kind::Listed) | None => "main",
    }
}

fn refuse_read(schema: &str, table: &str, rights: Rights) -> Option<String> {
    let open_to_all = matches!(schema, "stats" | "stats_history" | "monitor")
        || matches!(table, "sqlite_master" | "sqlite_schema" | "pragma_database_list");
    (rights.stats_only && !open_to_all)
        .then(|| format!("this login reads stats, stats_history and monitor only, not {schema}.{table}"))
}

fn refuse_write(schema: &str, table: &str, rights: Rights) -> Option<String> {
    if rights.stats_only {
        Some("this login may not change anything".into())
    } else if matches!(schema, "stats" | "stats_history" | "monitor")
        || table.starts_with("runtime_")
        || find(table).is_some_and(|table| matches!(table.kind, Kind::Listed | Kind::Disk))
    {
        Some(format!("{schema}.{table} is read-only"))
    } else if table.starts_with("sqlite_") && table != "sqlite_sequence" {
        Some(FIXED_SCHEMA.to_owned())
    } else if rights.read_only {
        Some("the admin interface is read-only (PROXYSQL READWRITE ends that)".into())
    } else {
        None
    }
}

/// A cell as SQLite itself would print it.
fn cell_text(cell: ValueRef<'_>) -> Option<String> {
    match cell {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(format!("{number:?}")),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    }
}
