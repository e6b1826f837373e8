//! `LOAD` and `SAVE`: rows between memory, disk, configuration file and runtime.
//!
//! A load to runtime is validated whole before the first effect: refused means that nothing changed.

use super::credentials::find_login;
use super::service::{Admin, AdminError};
use super::statement::Move;
use super::store::{Module, Store};
use crate::route::RuleSet;
use crate::runtime::{Settings, normalise};

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

impl Admin {
    pub(super) fn move_rows(&self, module: Module, direction: Move) -> Result<Moved, AdminError> {
        if direction.writes_memory() && self.is_read_only() {
            return Err(AdminError::failed(
                "the admin interface is read-only (PROXYSQL READWRITE ends that)",
            ));
        }
        let moved = match direction {
            Move::MemoryToRuntime => self.load_to_runtime(module, OnBadRow::Refuse)?,
            Move::MemoryToDisk => (self.store.borrow_mut().save_to_disk(module)?, Vec::new()),
            Move::DiskToMemory => (self.store.borrow_mut().load_from_disk(module)?, Vec::new()),
            Move::ConfigToMemory => (self.load_from_config(module)?, Vec::new()),
            Move::RuntimeToMemory => {
                let mut store = self.store.borrow_mut();
                store.write_runtime_servers(self.runtime.borrow().members())?;
                (store.save_from_twins(module)?, Vec::new())
            }
        };
        for warning in &moved.1 {
            tracing::warn!(module = module.words(), "{warning}");
        }
        tracing::info!(module = module.words(), direction = ?direction, rows = moved.0, "moved");
        Ok(moved)
    }

    /// `LOAD … TO RUNTIME`.
    pub(super) fn load_to_runtime(&self, module: Module, on_bad: OnBadRow) -> Result<Moved, String> {
        let moved = self.load_rows(module, on_bad)?;
        // The load is in force, whatever becomes of its entry among the checksums.
        if let Err(reason) = self.note_load(module) {
            tracing::warn!(module = module.words(), reason, "no checksum of this load");
        }
        Ok(moved)
    }

    fn load_rows(&self, module: Module, on_bad: OnBadRow) -> Result<Moved, String> {
        match module {
            Module::Servers => self.load_servers(),
            Module::Users => self.load_users(),
            Module::QueryRules => self.load_rules(on_bad),
            Module::MysqlVariables | Module::AdminVariables => self.load_variables(module, on_bad),
            Module::Firewall => self.load_firewall(),
            Module::Scheduler
            | Module::RestApi
            | Module::ProxysqlServers
            | Module::Ldap
            | Module::Debug
            | Module::Coredump => {
                let mut store = self.store.borrow_mut();
                let warnings = store.rows_without_effect(module)?;
                Ok((store.copy_to_twins(module)?, warnings))
            }
        }
    }

    fn load_firewall(&self) -> Result<Moved, String> {
        let mut store = self.store.borrow_mut();
        let firewall = store.firewall()?;
        let warnings = store.rows_without_effect(Module::Firewall)?;
        let count = store.copy_to_twins(Module::Firewall)?;
        self.runtime.borrow_mut().load_firewall(firewall);
        Ok((count, warnings))
    }

    fn load_servers(&self) -> Result<Moved, String> {
        let mut store = self.store.borrow_mut();
        let (config, mut warnings) = store.servers().map_err(in_table("mysql_servers"))?;
        let (attributes, without_effect) =
            store.hostgroup_attributes().map_err(in_table("mysql_hostgroup_attributes"))?;
        warnings.extend(without_effect);
        warnings.extend(store.rows_without_effect(Module::Servers)?);
        let count = config.servers.len();
        store.copy_to_twins(Module::Servers)?;
        let mut runtime = self.runtime.borrow_mut();
        runtime.set_hostgroup_attributes(attributes);
        runtime.load_servers(config);
        Ok((count, warnings))
    }

    fn load_users(&self) -> Result<Moved, String> {
        let mut store = self.store.borrow_mut();
        let users = store.users().map_err(in_table("mysql_users"))?;
        let warnings = store.user_columns_without_effect()?;
        let count = users.len();
        store.copy_to_twins(Module::Users)?;
        self.runtime.borrow_mut().load_users(users);
        Ok((count, warnings))
    }

    fn load_rules(&self, on_bad: OnBadRow) -> Result<Moved, String> {
        let mut store = self.store.borrow_mut();
        let mut rules = store.query_rules().map_err(in_table("mysql_query_rules"))?;
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
        let fast = store.fast_routing().map_err(in_table("mysql_query_rules_fast_routing"))?;
        let compiled = RuleSet::compile(rules).map_err(|error| error.to_string())?.with_fast_routing(fast);
        store.copy_to_twins(Module::QueryRules)?;
        self.runtime.borrow_mut().load_rules(compiled);
        Ok((count, warnings))
    }

    fn load_variables(&self, module: Module, on_bad: OnBadRow) -> Result<Moved, String> {
        let prefix = module.prefix().unwrap_or_default();
        let mut rows = self.store.borrow().variables()?;
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
        let current = self.runtime.borrow().settings().clone();
        let next = current.with(prefix, rows.iter().map(|(name, value)| (name.as_str(), value.as_str())))?;
        if module == Module::AdminVariables && on_bad == OnBadRow::Refuse {
            refuse_lockout(&next)?;
        }
        warnings.extend(unlike_proxysql(module, &next));
        self.store.borrow_mut().write_runtime_variables(&next)?;
        self.logs().aim(&next, &self.data_dir);
        self.runtime.borrow_mut().load_settings(next);
        Ok((rows.len(), warnings))
    }

    fn load_from_config(&self, module: Module) -> Result<usize, String> {
        let config = (self.read_config)()?;
        merge_config(&mut self.store.borrow_mut(), module, &config)
    }
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
