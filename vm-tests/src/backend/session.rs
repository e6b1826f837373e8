//! One client's session: statements in, results out, over its own SQLite connection.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params};

use super::context::{Context, lock};
use super::functions;
use super::sql::{self, Assignment, Statement};

/// A MySQL error: code, SQLSTATE, text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlError {
    pub code: u16,
    pub state: &'static str,
    pub message: String,
}

impl SqlError {
    fn new(code: u16, state: &'static str, message: impl Into<String>) -> Self {
        Self { code, state, message: message.into() }
    }
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        if text.contains("no such table") || text.contains("unknown database") {
            Self::new(1146, "42S02", text)
        } else if text.contains("Unknown system variable") {
            Self::new(1193, "HY000", text)
        } else if text.contains("already exists") {
            Self::new(1050, "42S01", text)
        } else if text.contains("UNIQUE constraint") {
            Self::new(1062, "23000", text)
        } else if text.contains("no such column") {
            Self::new(1054, "42S22", text)
        } else if text.contains("locked") || text.contains("busy") {
            Self::new(1205, "HY000", "Lock wait timeout exceeded; try restarting transaction")
        } else {
            Self::new(1064, "42000", text)
        }
    }
}

/// What a statement gives the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply {
    Done { affected: u64, insert_id: u64 },
    Rows { columns: Vec<Column>, rows: Vec<Vec<Option<Vec<u8>>>> },
}

const DONE: Reply = Reply::Done { affected: 0, insert_id: 0 };

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub name: String,
    pub numeric: bool,
}

/// A session between login and quit.
pub(crate) struct Session {
    db: Connection,
    pub context: Arc<Mutex<Context>>,
    in_transaction: bool,
    /// SQLite's own transaction is open: it begins with the first statement that needs a table, not with BEGIN.
    holds_lock: bool,
}

impl Session {
    pub(crate) fn open(file: &Path, context: Context) -> Result<Self, SqlError> {
        let db = Connection::open_in_memory()?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.execute("ATTACH ? AS test", params![file.to_string_lossy()])?;
        db.execute_batch(
            "PRAGMA test.journal_mode = WAL; PRAGMA test.synchronous = OFF;
             ATTACH ':memory:' AS information_schema;
             CREATE TABLE information_schema.processlist (id, user, host, db, command, time, state, info);",
        )?;
        let context = Arc::new(Mutex::new(context));
        functions::install(&db, &context)?;
        Ok(Self { db, context, in_transaction: false, holds_lock: false })
    }

    pub(crate) fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// True while other sessions' writes have to wait for this one.
    pub(crate) fn holds_lock(&self) -> bool {
        self.holds_lock
    }

    pub(crate) fn run(&mut self, text: &str) -> Result<Reply, SqlError> {
        match sql::parse(text) {
            Statement::Nothing => Ok(DONE),
            Statement::Begin => {
                self.end("COMMIT")?;
                self.in_transaction = true;
                Ok(DONE)
            }
            Statement::Commit => self.end("COMMIT").map(|()| DONE),
            Statement::Rollback => self.end("ROLLBACK").map(|()| DONE),
            Statement::Use(name) => self.select_database(&name).map(|()| DONE),
            Statement::Set(assignments) => self.assign(&assignments).map(|()| DONE),
            Statement::Query { sql, into, touches_tables } => self.query(&sql, &into, touches_tables),
            Statement::Execute { sql } => self.write(&sql),
            Statement::Define { sql } => {
                self.end("COMMIT")?;
                self.write(&sql)
            }
            Statement::ShowVariables { like } => Ok(self.show_variables(&like)),
        }
    }

    /// COM_RESET_CONNECTION, and the end of the session.
    pub(crate) fn reset(&mut self) {
        // A rollback fails only if there is nothing to roll back.
        let _ = self.end("ROLLBACK");
        let mut context = lock(&self.context);
        context.user_variables.clear();
        context.session_variables.clear();
    }

    pub(crate) fn select_database(&mut self, name: &str) -> Result<(), SqlError> {
        if !["test", "information_schema", "mysql"].contains(&name) {
            return Err(SqlError::new(1049, "42000", format!("Unknown database '{name}'")));
        }
        lock(&self.context).database = Some(name.to_owned());
        Ok(())
    }

    fn end(&mut self, how: &str) -> Result<(), SqlError> {
        self.in_transaction = false;
        if std::mem::take(&mut self.holds_lock) {
            self.db.execute_batch(how)?;
        }
        Ok(())
    }

    /// Opens SQLite's transaction when the client's first needs it; for writing at once, so that it never has to be upgraded.
    fn join_transaction(&mut self) -> Result<(), SqlError> {
        if self.in_transaction && !self.holds_lock {
            self.db.execute_batch("BEGIN IMMEDIATE")?;
            self.holds_lock = true;
        }
        Ok(())
    }

    fn query(&mut self, sql: &str, into: &[String], touches_tables: bool) -> Result<Reply, SqlError> {
        if sql.contains("processlist") {
            self.refresh_processlist()?;
        }
        if touches_tables {
            self.join_transaction()?;
        }
        let (columns, rows) = self.rows(sql)?;
        if into.is_empty() {
            let rows = rows.iter().map(|row| row.iter().map(to_text).collect()).collect();
            return Ok(Reply::Rows { columns, rows });
        }
        let mut context = lock(&self.context);
        for (name, value) in into.iter().zip(rows.into_iter().next().unwrap_or_default()) {
            context.user_variables.insert(name.clone(), value);
        }
        Ok(Reply::Done { affected: 1, insert_id: 0 })
    }

    fn rows(&self, sql: &str) -> Result<(Vec<Column>, Vec<Vec<Value>>), SqlError> {
        let mut statement = self.db.prepare(sql)?;
        let names: Vec<String> = statement.column_names().map(sql::column_name).collect();
        let width = names.len();
        let mut rows = Vec::new();
        let mut cursor = statement.query([])?;
        while let Some(row) = cursor.next()? {
            let values: Result<Vec<Value>, _> =
                (0..width).map(|i| row.get_ref(i).map(Value::from_ref)).collect();
            rows.push(values?);
        }
        let numeric =
            |i: usize| rows.first().is_some_and(|r: &Vec<Value>| matches!(r.get(i), Some(Value::Integer(_))));
        let columns =
            names.into_iter().enumerate().map(|(i, name)| Column { name, numeric: numeric(i) }).collect();
        Ok((columns, rows))
    }

    fn write(&mut self, sql: &str) -> Result<Reply, SqlError> {
        if lock(&self.context).server.read_only.load(Ordering::Relaxed) {
            let text =
                "The server is running with the --read-only option so it cannot execute this statement";
            return Err(SqlError::new(1290, "HY000", text));
        }
        self.join_transaction()?;
        let before = self.db.last_insert_rowid();
        let affected = self.db.execute(sql, [])? as u64;
        let after = self.db.last_insert_rowid();
        let insert_id = if after == before { 0 } else { after };
        if insert_id != 0 {
            lock(&self.context).last_insert_id = insert_id;
        }
        Ok(Reply::Done { affected, insert_id: insert_id.unsigned_abs() })
    }

    fn assign(&mut self, assignments: &[Assignment]) -> Result<(), SqlError> {
        for assignment in assignments {
            match assignment {
                Assignment::User { name, expression } => {
                    let value = self.evaluate(expression)?;
                    lock(&self.context).user_variables.insert(name.clone(), value);
                }
                Assignment::System { name, global, expression } => {
                    self.set_variable(name, *global, expression)?
                }
            }
        }
        Ok(())
    }

    fn set_variable(&mut self, name: &str, global: bool, expression: &str) -> Result<(), SqlError> {
        let value = match expression.to_ascii_uppercase().as_str() {
            "ON" => Value::Integer(1),
            "OFF" => Value::Integer(0),
            // Bare words (character sets, isolation levels) stand for themselves.
            _ => self.evaluate(expression).unwrap_or_else(|_| Value::Text(expression.to_owned())),
        };
        let mut context = lock(&self.context);
        if global && name.ends_with("read_only") {
            context.server.read_only.store(value != Value::Integer(0), Ordering::Relaxed);
            return Ok(());
        }
        context.session_variables.insert(name.to_owned(), value.clone());
        drop(context);
        if name == "autocommit" {
            self.end("COMMIT")?;
            self.in_transaction = value == Value::Integer(0);
        }
        Ok(())
    }

    fn evaluate(&self, expression: &str) -> Result<Value, SqlError> {
        let (_, rows) = self.rows(&format!("SELECT {expression}"))?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or(Value::Null))
    }

    fn refresh_processlist(&self) -> Result<(), SqlError> {
        let context = lock(&self.context);
        let processes = context.server.processes().clone();
        drop(context);
        self.db.execute("DELETE FROM information_schema.processlist", [])?;
        let mut insert = self.db.prepare_cached(
            "INSERT INTO information_schema.processlist VALUES (?, ?, ?, 'test', 'Query', ?, '', ?)",
        )?;
        for (id, process) in processes {
            insert.execute(params![
                id,
                process.user,
                process.host,
                process.since.elapsed().as_secs() as i64,
                process.running
            ])?;
        }
        Ok(())
    }

    fn show_variables(&self, like: &str) -> Reply {
        let context = lock(&self.context);
        let rows = context
            .variable_names()
            .into_iter()
            .filter(|name| matches_like(name, like))
            .map(|name| {
                vec![
                    Some(name.clone().into_bytes()),
                    context.system_variable(&name).as_ref().and_then(to_text),
                ]
            })
            .collect();
        let columns =
            ["Variable_name", "Value"].map(|name| Column { name: name.into(), numeric: false }).to_vec();
        Reply::Rows { columns, rows }
    }
}

/// `%` at either end or nowhere: all that anybody asks of SHOW VARIABLES.
fn matches_like(name: &str, pattern: &str) -> bool {
    let core = pattern.trim_matches('%');
    match (pattern.starts_with('%'), pattern.ends_with('%')) {
        (true, true) => name.contains(core),
        (true, false) => name.ends_with(core),
        (false, true) => name.starts_with(core),
        (false, false) => name == core,
    }
}

fn to_text(value: &Value) -> Option<Vec<u8>> {
    match ValueRef::from(value) {
        ValueRef::Null => None,
        ValueRef::Integer(n) => Some(n.to_string().into_bytes()),
        ValueRef::Real(x) => Some(x.to_string().into_bytes()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
    }
}

trait FromRef {
    fn from_ref(value: ValueRef<'_>) -> Value;
}

impl FromRef for Value {
    /// Text that is not UTF-8 becomes a blob instead of an error.
    fn from_ref(value: ValueRef<'_>) -> Value {
        Value::try_from(value).unwrap_or_else(|_| Value::Blob(value.as_bytes().unwrap_or_default().to_vec()))
    }
}
