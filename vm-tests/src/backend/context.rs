//! What a session knows besides its tables: who it is, its variables, and who else is connected.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use rusqlite::types::Value;

/// One line of `information_schema.processlist`.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub user: String,
    /// `address:port` of the client, as the server sees it.
    pub host: String,
    pub since: Instant,
    pub running: String,
}

/// What all sessions of one backend share.
#[derive(Debug)]
pub(crate) struct Server {
    pub hostname: String,
    pub read_only: AtomicBool,
    processes: Mutex<BTreeMap<u32, Process>>,
}

impl Server {
    pub(crate) fn new(hostname: String, read_only: bool) -> Self {
        Self { hostname, read_only: AtomicBool::new(read_only), processes: Mutex::default() }
    }

    pub(crate) fn processes(&self) -> MutexGuard<'_, BTreeMap<u32, Process>> {
        lock(&self.processes)
    }
}

/// What one session carries from statement to statement.
#[derive(Debug)]
pub(crate) struct Context {
    pub server: Arc<Server>,
    pub connection_id: u32,
    pub user: String,
    pub peer: String,
    pub database: Option<String>,
    pub last_insert_id: i64,
    pub user_variables: HashMap<String, Value>,
    pub session_variables: HashMap<String, Value>,
}

impl Context {
    pub(crate) fn user_variable(&self, name: &str) -> Value {
        self.user_variables.get(name).cloned().unwrap_or(Value::Null)
    }

    /// A system variable, or `None` if there is none of that name.
    pub(crate) fn system_variable(&self, name: &str) -> Option<Value> {
        if let Some(set) = self.session_variables.get(name) {
            return Some(set.clone());
        }
        Some(match name {
            "hostname" => Value::Text(self.server.hostname.clone()),
            "read_only" | "super_read_only" | "innodb_read_only" => {
                Value::Integer(i64::from(self.server.read_only.load(Ordering::Relaxed)))
            }
            "pseudo_thread_id" => Value::Integer(i64::from(self.connection_id)),
            _ => match CONSTANTS.iter().find(|(known, _)| *known == name)?.1 {
                Constant::Number(n) => Value::Integer(n),
                Constant::Text(t) => Value::Text(t.into()),
            },
        })
    }

    pub(crate) fn variable_names(&self) -> Vec<String> {
        let fixed = ["hostname", "read_only", "super_read_only", "innodb_read_only"].map(String::from);
        let constants = CONSTANTS.iter().map(|(name, _)| (*name).to_owned());
        fixed.into_iter().chain(constants).collect()
    }
}

pub(crate) const VERSION: &str = "8.0.0-standfast-lab";

enum Constant {
    Number(i64),
    Text(&'static str),
}

use Constant::{Number, Text};

const CONSTANTS: &[(&str, Constant)] = &[
    ("version", Text(VERSION)),
    ("version_comment", Text("Standfast lab: SQLite behind the MySQL protocol")),
    ("license", Text("Apache-2.0")),
    ("autocommit", Number(1)),
    ("max_allowed_packet", Number(16_777_215)),
    ("wait_timeout", Number(28_800)),
    ("interactive_timeout", Number(28_800)),
    ("net_write_timeout", Number(60)),
    ("net_buffer_length", Number(16_384)),
    ("auto_increment_increment", Number(1)),
    ("lower_case_table_names", Number(0)),
    ("init_connect", Text("")),
    ("sql_mode", Text("STRICT_TRANS_TABLES")),
    ("tx_isolation", Text("REPEATABLE-READ")),
    ("transaction_isolation", Text("REPEATABLE-READ")),
    ("tx_read_only", Number(0)),
    ("transaction_read_only", Number(0)),
    ("system_time_zone", Text("UTC")),
    ("time_zone", Text("SYSTEM")),
    ("character_set_client", Text("utf8mb4")),
    ("character_set_connection", Text("utf8mb4")),
    ("character_set_results", Text("utf8mb4")),
    ("character_set_server", Text("utf8mb4")),
    ("character_set_database", Text("utf8mb4")),
    ("collation_connection", Text("utf8mb4_general_ci")),
    ("collation_server", Text("utf8mb4_general_ci")),
    ("performance_schema", Number(0)),
    ("have_ssl", Text("DISABLED")),
    ("server_id", Number(1)),
    ("port", Number(3306)),
];

/// A poisoned lock means that another session panicked; its data is still whole (each change is one assignment).
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
