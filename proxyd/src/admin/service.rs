//! [`Admin`]: takes one statement after another, does it, gives the answer. Knows no sockets.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use configs::Paths;
use tokio::sync::watch;

use super::away::Turns;
use super::bulk::Filling;
use super::commands::{one_cell, with_warning};
use super::credentials::{Login, find_login};
use super::facts;
use super::history::{HistoryWriter, start_writer};
use super::lexer::split;
use super::load::Moved;
use super::orders::End;
use super::show::SCHEMAS;
use super::statement::{Refusal, Statement, parse};
use super::store::{ClusterClient, ResultSet, Rights, SqlOutcome, StatsInput, Store, TableRef};
use super::unsaved::Unsaved;
use crate::control::WorkerHandle;
use crate::hosts::ClientHosts;
use crate::logs::Logs;
use crate::messages;
use crate::peer::Peer;
use crate::runtime::{
    SharedRuntime, collect_digests, collect_errors, collect_free_connections, collect_processlist,
    collect_statements, collect_stats, kill, normalise,
};
use crate::scheduler::Job;
use crate::stats::{ServerKey, ServerStats};
use crate::tls::{BackendTls, ServerTls};
use crate::web::{self, ControlSide, Route};

const DIGESTS: &str = "stats_mysql_query_digest";
const ERRORS: &str = "stats_mysql_errors";
const HOSTS: &str = "stats_mysql_client_host_cache";
const MESSAGES: &str = "stats_proxysql_message_metrics";

/// Reads the configuration file anew, for `LOAD … FROM CONFIG`.
pub type ReadConfig = Box<dyn Fn() -> Result<configs::FirstBoot, String>>;

/// The admin interface of this process.
pub struct Admin {
    pub(super) store: RefCell<Store>,
    pub(super) turns: Turns,
    pub runtime: SharedRuntime,
    /// What the web thread is told.
    pub web: ControlSide,
    pub(super) read_config: ReadConfig,
    /// What reading `stats_mysql_connection_pool_reset` counted away.
    baseline: RefCell<HashMap<ServerKey, ServerStats>>,
    next_session: Cell<u32>,
    /// `PROXYSQL PAUSE` is in force.
    paused: Cell<bool>,
    logs: Logs,
    pub(super) history: Option<HistoryWriter>,
    pub(super) hosts: Arc<ClientHosts>,
    /// By UUID.
    pub(super) cluster_clients: RefCell<BTreeMap<String, ClusterClient>>,
    pub(super) data_dir: PathBuf,
    pub(super) run_dir: PathBuf,
    pub(super) ending: watch::Sender<Option<End>>,
    /// What the scheduler runs.
    pub(super) jobs: watch::Sender<Vec<Job>>,
    /// What the REST port runs.
    pub(super) routes: watch::Sender<Vec<Route>>,
    /// What `PROXYSQL RELOAD TLS` reloads.
    pub(super) tls: RefCell<Option<(ServerTls, BackendTls)>>,
    pub(super) unsaved: Unsaved,
    /// Tables that are still being filled from disk.
    pub(super) filling: RefCell<Option<Filling>>,
}

/// What the admin interface remembers of one connection.
#[derive(Debug, Clone, Default)]
pub struct Session {
    pub id: u32,
    pub user: String,
    /// `USE` chose it; empty is `main`.
    pub schema: String,
    pub stats_only: bool,
    pub tls: bool,
    pub peer: Option<Peer>,
    /// Of the last statement, for `SHOW WARNINGS`.
    pub warnings: Vec<String>,
}

impl Session {
    /// `USE` and COM_INIT_DB. It decides what `SHOW TABLES` lists and `DATABASE()` says; names are looked up as always.
    pub fn choose_schema(&mut self, schema: &str) -> Result<(), AdminError> {
        if !SCHEMAS.contains(&schema) {
            let known = SCHEMAS.join(", ");
            let text = format!("Standfast Admin Error: unknown schema '{schema}': {known} are");
            return Err(AdminError { code: 1049, state: "42000", text });
        }
        schema.clone_into(&mut self.schema);
        Ok(())
    }

    /// COM_RESET_CONNECTION: as after the login.
    pub fn reset(&mut self) {
        self.schema.clear();
        self.warnings.clear();
    }
}

/// The outcome of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok { affected: u64, warnings: u16 },
    Rows(ResultSet),
}

/// An error as the client gets it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct AdminError {
    pub code: u16,
    pub state: &'static str,
    pub text: String,
}

impl AdminError {
    pub fn syntax(text: &str) -> AdminError {
        AdminError { code: 1064, state: "42000", text: format!("Standfast Admin Error: {text}") }
    }
    pub fn failed(text: &str) -> AdminError {
        AdminError { code: 1105, state: "HY000", text: format!("Standfast Admin Error: {text}") }
    }
}

impl From<String> for AdminError {
    fn from(text: String) -> AdminError {
        if text.contains("syntax error") { AdminError::syntax(&text) } else { AdminError::failed(&text) }
    }
}

impl From<Refusal> for AdminError {
    fn from(refusal: Refusal) -> AdminError {
        match refusal {
            Refusal::Syntax(text) => AdminError::syntax(&text),
            Refusal::NotOffered(text) => AdminError::failed(&text),
        }
    }
}

impl Admin {
    pub(super) fn new(
        store: Store,
        runtime: SharedRuntime,
        web: ControlSide,
        read_config: ReadConfig,
        logs: Logs,
        paths: &Paths,
    ) -> Admin {
        let history = start_writer(store.history_file.as_deref());
        Admin {
            web,
            store: RefCell::new(store),
            turns: Turns::default(),
            runtime,
            read_config,
            baseline: RefCell::default(),
            next_session: Cell::new(1),
            paused: Cell::new(false),
            logs,
            history,
            hosts: Arc::default(),
            cluster_clients: RefCell::default(),
            data_dir: paths.data_dir.clone(),
            run_dir: paths.run_dir.clone(),
            ending: watch::Sender::new(None),
            jobs: watch::Sender::new(Vec::new()),
            routes: watch::Sender::new(Vec::new()),
            tls: RefCell::new(None),
            unsaved: Unsaved::default(),
            filling: RefCell::default(),
        }
    }

    /// The log files, which the variables aim.
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The password and rights of an admin login, by `admin_credentials` and `stats_credentials` at runtime.
    pub fn find_login(&self, user: &str) -> Option<Login> {
        find_login(self.runtime.borrow().settings(), user)
    }

    /// What `PROXYSQL RELOAD TLS` is to reload.
    pub fn set_tls(&self, clients: ServerTls, backends: BackendTls) {
        *self.tls.borrow_mut() = Some((clients, backends));
        self.follow_tls();
    }

    /// Brings TLS on both sides to what is at runtime.
    pub(super) fn follow_tls(&self) {
        if let Some((clients, backends)) = &*self.tls.borrow() {
            let runtime = self.runtime.borrow();
            clients.follow(&runtime.variables().tls_version);
            backends.follow(&runtime.wanted_tls());
        }
    }

    /// The programs to run, as they are loaded.
    pub fn jobs(&self) -> watch::Receiver<Vec<Job>> {
        self.jobs.subscribe()
    }

    /// The scripts behind the REST port, as they are loaded.
    pub fn routes(&self) -> watch::Receiver<Vec<Route>> {
        self.routes.subscribe()
    }

    /// Client hosts that failed to log in, for the workers.
    pub fn client_hosts(&self) -> Arc<ClientHosts> {
        self.hosts.clone()
    }

    /// A session for a client that logged in.
    pub fn open_session(&self, id: u32, user: &str, rights: Rights) -> Session {
        Session { id, user: user.to_owned(), stats_only: rights.stats_only, ..Session::default() }
    }

    /// The number of the next connection.
    pub fn next_session_id(&self) -> u32 {
        let id = self.next_session.get();
        self.next_session.set(id.wrapping_add(1).max(1));
        id
    }

    /// The statements of one COM_QUERY.
    pub fn split(&self, text: &str) -> Vec<String> {
        split(text)
    }

    /// Does one statement.
    pub async fn execute(&self, session: &mut Session, sql: &str) -> Result<Answer, AdminError> {
        let answer = self.perform(session, sql).await;
        if !matches!(answer, Ok(Answer::Rows(_))) {
            self.web.forget_unsaved();
        }
        answer
    }

    async fn perform(&self, session: &mut Session, sql: &str) -> Result<Answer, AdminError> {
        let statement = parse(sql, &session.schema)?;
        if statement.takes_the_store() {
            Self::refuse_statistician(session)?;
            session.warnings.clear();
            return match statement {
                Statement::Move(module, direction) => {
                    let moved = self.move_rows(module, direction).await?;
                    Ok(told(session, moved))
                }
                Statement::SaveConfig(path) => self.save_config(&path).await,
                _ => Ok(one_cell("Data", self.config_text().await?)),
            };
        }
        let _turn = self.turns.shared().await;
        if statement == Statement::ShowWarnings {
            return self.show_warnings(session);
        }
        session.warnings.clear();
        match statement {
            Statement::Sql(sql) => self.run_sql(session, &sql).await,
            Statement::SelectVariables(list) => self.select_variables(&list),
            Statement::Use(schema) => session.choose_schema(&schema).map(|()| done(0)),
            Statement::ShowMetrics => Ok(one_cell("Data", web::metrics_text(self).await)),
            Statement::Nothing
            | Statement::ShowWarnings
            | Statement::Move(..)
            | Statement::ShowConfig
            | Statement::SaveConfig(_) => Ok(done(0)),
            Statement::Kill { .. }
            | Statement::Set(_)
            | Statement::MoveUser(..)
            | Statement::Order(_)
            | Statement::ResetDigests
            | Statement::SaveDigests
            | Statement::ExplainRoute(_)
            | Statement::Checksum { .. }
            | Statement::GlobalChecksum
                if session.stats_only =>
            {
                Self::refuse_statistician(session).map(|()| done(0))
            }
            Statement::ResetDigests => {
                let workers = self.runtime.borrow().workers().to_vec();
                Ok(done(collect_digests(&workers, true).await.len()))
            }
            Statement::SaveDigests => self.save_digests().await,
            Statement::Order(order) => self.obey(session, order).await,
            Statement::Checksum { disk, table, filter } => self.checksum(disk, table, filter),
            Statement::GlobalChecksum => Ok(one_cell("CHECKSUM", self.store.borrow().global_checksum()?)),
            Statement::ExplainRoute(question) => Ok(self.explain_route(&question)),
            Statement::NoEffect(text) => Ok(with_warning(session, text)),
            Statement::Kill { session: id, query_only } => self.kill(id, query_only).await,
            Statement::Set(list) => self.set_variables(&list),
            Statement::MoveUser(name, direction) => {
                let moved = self.move_user(&name, direction)?;
                Ok(told(session, moved))
            }
        }
    }

    fn refuse_statistician(session: &Session) -> Result<(), AdminError> {
        match session.stats_only {
            true => Err(AdminError::failed("this login reads statistics and may not change anything")),
            false => Ok(()),
        }
    }

    pub(super) fn set_paused(&self, on: bool) {
        self.paused.set(on);
    }

    pub fn is_paused(&self) -> bool {
        self.paused.get()
    }

    pub fn workers(&self) -> Vec<WorkerHandle> {
        self.runtime.borrow().workers().to_vec()
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.runtime.borrow().settings().flag("admin-read_only")
    }

    async fn run_sql(&self, session: &Session, sql: &str) -> Result<Answer, AdminError> {
        let rights = Rights { stats_only: session.stats_only, read_only: self.is_read_only() };
        let reads = self.store.borrow_mut().tables_read(sql, rights)?;
        self.fill(&reads).await?;
        let mut store = self.store.borrow_mut();
        store.set_facts(facts::of(session));
        match store.run(sql, rights)? {
            SqlOutcome::Rows(rows) => Ok(Answer::Rows(rows)),
            SqlOutcome::Changed(count) => Ok(done(count)),
        }
    }

    /// Brings the tables that are filled on demand up to date, those of them that are about to be read.
    async fn fill(&self, reads: &[TableRef]) -> Result<(), AdminError> {
        if reads.iter().any(|read| read.table == "runtime_mysql_servers") {
            self.store.borrow_mut().write_runtime_servers(self.runtime.borrow().members())?;
        }
        let wanted: Vec<&str> =
            reads.iter().filter(|read| read.schema == "stats").map(|read| read.table.as_str()).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let workers = self.runtime.borrow().workers().to_vec();
        let processes = match wanted.contains(&"stats_mysql_processlist") {
            true => collect_processlist(&workers).await,
            false => Vec::new(),
        };
        let free = match wanted.contains(&"stats_mysql_free_connections") {
            true => collect_free_connections(&workers).await,
            false => Vec::new(),
        };
        let statements = match wanted.contains(&"stats_mysql_prepared_statements_info") {
            true => collect_statements(&workers).await,
            false => Vec::new(),
        };
        let counters = collect_stats(&workers).await;
        let reads_reset = |table: &str| wanted.iter().any(|name| name.strip_suffix("_reset") == Some(table));
        let reads = |table: &str| wanted.contains(&table) || reads_reset(table);
        let digests = match reads(DIGESTS) {
            true => collect_digests(&workers, reads_reset(DIGESTS)).await,
            false => Vec::new(),
        };
        let errors = match reads(ERRORS) {
            true => collect_errors(&workers, reads_reset(ERRORS)).await,
            false => HashMap::new(),
        };
        let hosts = match reads(HOSTS) {
            true => self.hosts.report(reads_reset(HOSTS)),
            false => Vec::new(),
        };
        let messages = match reads(MESSAGES) {
            true => messages::report(reads_reset(MESSAGES)),
            false => Vec::new(),
        };
        let clients: Vec<_> = self.cluster_clients.borrow().values().cloned().collect();
        let runtime = self.runtime.borrow();
        let mut baseline = self.baseline.borrow_mut();
        for table in &wanted {
            let input = StatsInput {
                runtime: &runtime,
                workers: &counters,
                processes: &processes,
                free: &free,
                statements: &statements,
                paused: self.paused.get(),
                logs: self.logs.counts(),
                digests: &digests,
                errors: &errors,
                hosts: &hosts,
                messages: &messages,
                clients: &clients,
                baseline: &baseline,
            };
            self.store.borrow_mut().fill_stats(table, &input)?;
        }
        if wanted.contains(&"stats_mysql_connection_pool_reset") {
            *baseline = counters.servers;
        }
        Ok(())
    }

    fn set_variables(&self, list: &[(String, String)]) -> Result<Answer, AdminError> {
        if self.is_read_only() {
            return Err(AdminError::failed(
                "the admin interface is read-only (PROXYSQL READWRITE ends that)",
            ));
        }
        // All names and values first: a list is set whole or not at all.
        let checked =
            list.iter().map(|(name, value)| normalise(name, value)).collect::<Result<Vec<_>, _>>()?;
        for (entry, value) in &checked {
            self.store.borrow_mut().set_variable(entry.name, value)?;
        }
        Ok(done(checked.len()))
    }

    pub(super) fn set_read_only(&self, on: bool) -> Result<Answer, AdminError> {
        let mut settings = self.runtime.borrow().settings().clone();
        settings.set("admin-read_only", if on { "true" } else { "false" });
        self.store.borrow_mut().write_runtime_variables(&settings)?;
        self.runtime.borrow_mut().load_settings(settings);
        Ok(done(0))
    }

    fn select_variables(&self, list: &[(String, String)]) -> Result<Answer, AdminError> {
        let runtime = self.runtime.borrow();
        let mut columns = Vec::with_capacity(list.len());
        let mut row = Vec::with_capacity(list.len());
        for (label, name) in list {
            let Some(value) = facts::variable(name, runtime.settings()) else {
                let text = format!("Standfast Admin Error: unknown system variable '{name}'");
                return Err(AdminError { code: 1193, state: "HY000", text });
            };
            columns.push(label.clone());
            row.push(Some(value));
        }
        Ok(Answer::Rows(ResultSet { columns, rows: vec![row] }))
    }

    async fn kill(&self, id: u32, query_only: bool) -> Result<Answer, AdminError> {
        let workers = self.runtime.borrow().workers().to_vec();
        if kill(&workers, id, query_only, None).await {
            Ok(done(1))
        } else {
            let text = format!("Standfast Admin Error: there is no session {id}");
            Err(AdminError { code: 1094, state: "HY000", text })
        }
    }
}

/// The outcome of a LOAD or SAVE.
fn told(session: &mut Session, (moved, warnings): Moved) -> Answer {
    let count = u16::try_from(warnings.len()).unwrap_or(u16::MAX);
    session.warnings = warnings;
    Answer::Ok { affected: moved as u64, warnings: count }
}

pub(super) fn done(affected: usize) -> Answer {
    Answer::Ok { affected: affected as u64, warnings: 0 }
}
