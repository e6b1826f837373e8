//! `LOAD` and `SAVE`: rows between memory, disk, configuration file and runtime.
//!
//! A load to runtime is validated whole before the first effect: refused means that nothing changed.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::credentials::find_login;
use super::service::{Admin, AdminError};
use super::statement::Move;
use super::store::{Module, Store};
use crate::route::{FastRouting, Firewall, QueryRule, RuleSet};
use crate::runtime::{ServersConfig, Settings, normalise, overlap};
use crate::scheduler::Job;
use crate::snapshot::{HostgroupAttributes, HostgroupId};
use crate::tls::{ServerParams, WantedTls};
use crate::users::Users;
use crate::variables::Variables;
use crate::web::Route;

/// What to do with a row that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnBadRow {
    /// An operator's statement: refuse it.
    Refuse,
    /// At start: say so and serve with the others.
    Skip,
}

/// Rows moved, and warnings.
pub(super) type Moved = (usize, Vec<String>);

/// What a load brings to runtime, worked out from the rows.
pub(super) enum Loaded {
    Servers(ServersConfig, HashMap<HostgroupId, HostgroupAttributes>, Vec<ServerParams>),
    Users(Users),
    Rules(Box<RuleSet>),
    Firewall(Firewall),
    Settings(Box<Settings>),
    Jobs(Vec<Job>),
    Routes(Vec<Route>),
    /// The rows are all there is to it.
    Rows,
}

impl Admin {
    /// `LOAD …` and `SAVE …`, off this thread.
    pub(super) async fn move_rows(&self, module: Module, direction: Move) -> Result<Moved, AdminError> {
        if direction.writes_memory() && self.is_read_only() {
            return Err(AdminError::failed(
                "the admin interface is read-only (PROXYSQL READWRITE ends that)",
            ));
        }
        let _alone = self.turns.alone().await;
        let moved = match direction {
            Move::MemoryToRuntime => {
                let current = self.runtime.borrow().settings().clone();
                let work = move |store: &mut Store| prepare(store, module, OnBadRow::Refuse, &current);
                let (loaded, moved) = self.with_store(work).await?;
                self.apply(module, loaded);
                moved
            }
            Move::MemoryToDisk => counted(self.with_store(move |store| store.save_to_disk(module)).await?),
            Move::DiskToMemory => counted(self.with_store(move |store| store.load_from_disk(module)).await?),
            Move::ConfigToMemory => {
                let config = (self.read_config)()?;
                counted(self.with_store(move |store| merge_config(store, module, &config)).await?)
            }
            Move::RuntimeToMemory => {
                self.store.borrow_mut().write_runtime_servers(self.runtime.borrow().members())?;
                counted(self.with_store(move |store| store.save_from_twins(module)).await?)
            }
        };
        for warning in &moved.1 {
            tracing::warn!(module = module.words(), "{warning}");
        }
        tracing::info!(module = module.words(), direction = ?direction, rows = moved.0, "moved");
        Ok(moved)
    }

    /// `LOAD … TO RUNTIME`, on this thread: at the start.
    pub(super) fn load_to_runtime(&self, module: Module, on_bad: OnBadRow) -> Result<Moved, String> {
        let current = self.runtime.borrow().settings().clone();
        let (loaded, moved) = prepare(&mut self.store.borrow_mut(), module, on_bad, &current)?;
        self.apply(module, loaded);
        Ok(moved)
    }

    /// Puts a load in force; nothing can fail any more.
    pub(super) fn apply(&self, module: Module, loaded: Loaded) {
        let mut runtime = self.runtime.borrow_mut();
        match loaded {
            Loaded::Servers(config, attributes, tls) => {
                runtime.set_hostgroup_attributes(attributes);
                runtime.set_tls_params(tls);
                runtime.load_servers(config);
            }
            Loaded::Users(users) => runtime.load_users(users),
            Loaded::Rules(rules) => runtime.load_rules(*rules),
            Loaded::Firewall(firewall) => runtime.load_firewall(firewall),
            Loaded::Settings(settings) => {
                self.logs().aim(&settings, &self.data_dir);
                runtime.load_settings(*settings);
            }
            Loaded::Jobs(jobs) => drop(self.jobs.send_replace(jobs)),
            Loaded::Routes(routes) => drop(self.routes.send_replace(routes)),
            Loaded::Rows => {}
        }
        drop(runtime);
        self.follow_tls();
        self.web.note_load(module.words());
    }
}

fn counted(rows: usize) -> Moved {
    (rows, Vec::new())
}

/// Reads and validates a module's rows and makes them the twins; on an error nothing has changed.
pub(super) fn prepare(
    store: &mut Store,
    module: Module,
    on_bad: OnBadRow,
    current: &Settings,
) -> Result<(Loaded, Moved), String> {
    let prepared = match module {
        Module::Servers => prepare_servers(store, on_bad),
        Module::Users => prepare_users(store, on_bad),
        Module::QueryRules => prepare_rules(store, on_bad),
        Module::MysqlVariables | Module::AdminVariables => prepare_variables(store, module, on_bad, current),
        Module::Firewall => {
            let firewall = store.firewall()?;
            let warnings = store.rows_without_effect(Module::Firewall)?;
            let count = store.copy_to_twins(Module::Firewall)?;
            Ok((Loaded::Firewall(firewall), (count, warnings)))
        }
        Module::Scheduler => {
            let mut jobs = store.jobs().map_err(in_table("scheduler"))?;
            let mut warnings = Vec::new();
            leave_out(&mut jobs, "scheduler", on_bad, &mut warnings, |job, _| {
                whole_path(job.id, &job.filename)
            })?;
            warn_of_missing("scheduler", jobs.iter().map(|job| &job.filename), &mut warnings);
            Ok((Loaded::Jobs(jobs), (store.copy_to_twins(module)?, warnings)))
        }
        Module::RestApi => {
            let mut routes = store.routes().map_err(in_table("restapi_routes"))?;
            let mut warnings = Vec::new();
            leave_out(&mut routes, "restapi_routes", on_bad, &mut warnings, |route, before| {
                whole_path(route.id, &route.script)?;
                route.check(before)
            })?;
            warn_of_missing("restapi_routes", routes.iter().map(|route| &route.script), &mut warnings);
            Ok((Loaded::Routes(routes), (store.copy_to_twins(module)?, warnings)))
        }
        Module::ProxysqlServers | Module::Ldap | Module::Debug | Module::Coredump => {
            let warnings = store.rows_without_effect(module)?;
            Ok((Loaded::Rows, (store.copy_to_twins(module)?, warnings)))
        }
    }?;
    note_load(store, module);
    Ok(prepared)
}

/// The load counts, whatever becomes of its entry among the checksums.
pub(super) fn note_load(store: &mut Store, module: Module) {
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    if let Err(reason) = store.note_load(module, epoch) {
        tracing::warn!(module = module.words(), reason, "no checksum of this load");
    }
}

/// Refuses, or leaves out with a warning, the rows that `check` has something against, which sees those before it.
fn leave_out<T>(
    rows: &mut Vec<T>,
    table: &str,
    on_bad: OnBadRow,
    warnings: &mut Vec<String>,
    check: impl Fn(&T, &[T]) -> Result<(), String>,
) -> Result<(), String> {
    let mut good = Vec::with_capacity(rows.len());
    for row in rows.drain(..) {
        match check(&row, &good) {
            Ok(()) => good.push(row),
            Err(reason) if on_bad == OnBadRow::Refuse => return Err(format!("{table}: {reason}")),
            Err(reason) => warnings.push(format!("{table}: left out: {reason}")),
        }
    }
    *rows = good;
    Ok(())
}

/// A program is named by its whole path: there is no directory that a relative one could mean.
fn whole_path(id: i64, filename: &str) -> Result<(), String> {
    match filename.starts_with('/') {
        true => Ok(()),
        false => Err(format!("{filename} of id {id} is no whole path, from / on")),
    }
}

/// A program may come later than its row.
fn warn_of_missing<'a>(table: &str, filenames: impl Iterator<Item = &'a String>, warnings: &mut Vec<String>) {
    let missing = filenames.filter(|filename| !std::path::Path::new(filename).exists());
    warnings.extend(missing.map(|filename| format!("{table}: there is no {filename}")));
}

fn prepare_servers(store: &mut Store, on_bad: OnBadRow) -> Result<(Loaded, Moved), String> {
    let (mut config, mut warnings) = store.servers().map_err(in_table("mysql_servers"))?;
    match on_bad {
        OnBadRow::Refuse => overlap::refusal(&config).map_or(Ok(()), Err)?,
        OnBadRow::Skip => warnings.extend(overlap::leave_out(&mut config)),
    }
    warnings.extend(overlap::shared(&config));
    let (attributes, without_effect) =
        store.hostgroup_attributes().map_err(in_table("mysql_hostgroup_attributes"))?;
    warnings.extend(without_effect);
    warnings.extend(store.rows_without_effect(Module::Servers)?);
    let tls = store.tls_params().map_err(in_table("mysql_servers_ssl_params"))?;
    warnings.extend(WantedTls { servers: tls.clone(), ..WantedTls::default() }.problems());
    let count = config.servers.len();
    store.copy_to_twins(Module::Servers)?;
    Ok((Loaded::Servers(config, attributes, tls), (count, warnings)))
}

fn prepare_users(store: &mut Store, on_bad: OnBadRow) -> Result<(Loaded, Moved), String> {
    let users = store.users().map_err(in_table("mysql_users"))?;
    let mut warnings = Vec::new();
    for reason in store.bad_user_attributes()? {
        match on_bad {
            OnBadRow::Refuse => return Err(format!("mysql_users: {reason}")),
            OnBadRow::Skip => warnings.push(format!("left out: {reason}")),
        }
    }
    let count = users.len();
    store.copy_to_twins(Module::Users)?;
    Ok((Loaded::Users(users), (count, warnings)))
}

fn prepare_rules(store: &mut Store, on_bad: OnBadRow) -> Result<(Loaded, Moved), String> {
    let rules = store.query_rules().map_err(in_table("mysql_query_rules"))?;
    let fast = store.fast_routing().map_err(in_table("mysql_query_rules_fast_routing"))?;
    let (compiled, moved) = compile(rules, fast, on_bad)?;
    store.copy_to_twins(Module::QueryRules)?;
    Ok((Loaded::Rules(Box::new(compiled)), moved))
}

/// Makes rules what runtime takes.
pub(super) fn compile(
    mut rules: Vec<QueryRule>,
    fast: FastRouting,
    on_bad: OnBadRow,
) -> Result<(RuleSet, Moved), String> {
    let mut warnings = Vec::new();
    if on_bad == OnBadRow::Skip {
        rules.retain(|rule| match RuleSet::compile(vec![rule.clone()]) {
            Ok(_) => true,
            Err(error) => {
                warnings.push(format!("left out: {error}"));
                false
            }
        });
    }
    let count = rules.len();
    let compiled = RuleSet::compile(rules).map_err(|error| error.to_string())?.with_fast_routing(fast);
    Ok((compiled, (count, warnings)))
}

fn prepare_variables(
    store: &mut Store,
    module: Module,
    on_bad: OnBadRow,
    current: &Settings,
) -> Result<(Loaded, Moved), String> {
    let prefix = module.prefix().unwrap_or_default();
    let mut rows = store.variables()?;
    rows.retain(|(name, _)| name.starts_with(prefix));
    let mut warnings = Vec::new();
    if on_bad == OnBadRow::Skip {
        rows.retain(|(name, value)| match normalise(name, value) {
            Ok(_) => true,
            Err(error) => {
                warnings.push(format!("default used: {error}"));
                false
            }
        });
    }
    let next = current.with(prefix, rows.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
    if module == Module::AdminVariables && on_bad == OnBadRow::Refuse {
        refuse_lockout(&next)?;
    }
    warnings.extend(unlike_proxysql(module, &next));
    if module == Module::MysqlVariables {
        let default = Variables::from_settings(&next).ssl_p2s;
        warnings.extend(WantedTls { default, ..WantedTls::default() }.problems());
    }
    store.write_runtime_variables(&next)?;
    Ok((Loaded::Settings(Box::new(next)), (rows.len(), warnings)))
}

/// Adds the configuration file's rows to memory; none is removed.
pub(super) fn merge_config(
    store: &mut Store,
    module: Module,
    config: &configs::FirstBoot,
) -> Result<usize, String> {
    let variables = match module {
        Module::MysqlVariables => &config.mysql_variables,
        Module::AdminVariables => &config.admin_variables,
        _ => {
            let mut merged = 0;
            for name in module.tables() {
                for row in config.tables.get(*name).into_iter().flatten() {
                    store.merge_row(name, row.iter().map(|(column, value)| (column.as_str(), value)))?;
                    merged += 1;
                }
            }
            return Ok(merged);
        }
    };
    let prefix = module.prefix().unwrap_or_default();
    for (name, value) in variables {
        let (entry, value) = normalise(&format!("{prefix}{name}"), value)?;
        store.set_variable(entry.name, &value)?;
    }
    Ok(variables.len())
}

/// Says where a value is that has no meaning.
pub(super) fn in_table(table: &str) -> impl Fn(String) -> String + '_ {
    move |reason| format!("{table}: {reason}")
}

/// Values that mean something else here.
fn unlike_proxysql(module: Module, settings: &Settings) -> Option<String> {
    let binary_log = module == Module::MysqlVariables
        && !settings.text("mysql-eventslog_filename").is_empty()
        && settings.number("mysql-eventslog_format") == 1;
    binary_log.then(|| {
        "mysql-eventslog_format=1 is ProxySQL's binary format, which is not written: events are lines of JSON".into()
    })
}

/// Nobody can take back a load after which nobody can log in.
fn refuse_lockout(settings: &Settings) -> Result<(), String> {
    let names =
        settings.text("admin-admin_credentials").split(';').filter_map(|entry| entry.trim().split_once(':'));
    let usable =
        names.filter_map(|(name, _)| find_login(settings, name)).any(|login| !login.rights.stats_only);
    match usable {
        true => Ok(()),
        false => {
            Err("admin-admin_credentials has no login with a password: user:password[;user:password]".into())
        }
    }
}
