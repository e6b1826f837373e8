//! Moving rows between memory, disk and the `runtime_` twins; each move is one transaction.

use rusqlite::{Connection, Transaction};

use super::open::Store;
use super::tables::{Table, find, has_effect};

/// What one `LOAD` or `SAVE` moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module {
    Users,
    Servers,
    QueryRules,
    MysqlVariables,
    AdminVariables,
    Firewall,
    Scheduler,
    RestApi,
    ProxysqlServers,
    Ldap,
    Debug,
    Coredump,
}

impl Module {
    pub const ALL: [Module; 12] = [
        Module::AdminVariables,
        Module::MysqlVariables,
        Module::Servers,
        Module::Users,
        Module::QueryRules,
        Module::Firewall,
        Module::Scheduler,
        Module::RestApi,
        Module::ProxysqlServers,
        Module::Ldap,
        Module::Debug,
        Module::Coredump,
    ];

    /// The words between LOAD or SAVE and TO or FROM.
    pub fn words(self) -> &'static str {
        match self {
            Module::Users => "MYSQL USERS",
            Module::Servers => "MYSQL SERVERS",
            Module::QueryRules => "MYSQL QUERY RULES",
            Module::MysqlVariables => "MYSQL VARIABLES",
            Module::AdminVariables => "ADMIN VARIABLES",
            Module::Firewall => "MYSQL FIREWALL",
            Module::Scheduler => "SCHEDULER",
            Module::RestApi => "RESTAPI",
            Module::ProxysqlServers => "PROXYSQL SERVERS",
            Module::Ldap => "LDAP VARIABLES",
            Module::Debug => "DEBUG",
            Module::Coredump => "COREDUMP",
        }
    }

    pub fn tables(self) -> &'static [&'static str] {
        match self {
            Module::Users => &["mysql_users"],
            Module::Servers => &[
                "mysql_servers",
                "mysql_replication_hostgroups",
                "mysql_group_replication_hostgroups",
                "mysql_galera_hostgroups",
                "mysql_aws_aurora_hostgroups",
                "mysql_hostgroup_attributes",
                "mysql_servers_ssl_params",
            ],
            Module::QueryRules => &["mysql_query_rules", "mysql_query_rules_fast_routing"],
            Module::MysqlVariables | Module::AdminVariables => &["global_variables"],
            Module::Firewall => &[
                "mysql_firewall_whitelist_users",
                "mysql_firewall_whitelist_rules",
                "mysql_firewall_whitelist_sqli_fingerprints",
            ],
            Module::Scheduler => &["scheduler"],
            Module::RestApi => &["restapi_routes"],
            Module::ProxysqlServers => &["proxysql_servers"],
            Module::Ldap => &["mysql_ldap_mapping"],
            Module::Debug => &["debug_levels", "debug_filters"],
            Module::Coredump => &["coredump_filters"],
        }
    }

    /// The variables' prefix, where the module is a part of `global_variables`.
    pub fn prefix(self) -> Option<&'static str> {
        match self {
            Module::MysqlVariables => Some("mysql-"),
            Module::AdminVariables => Some("admin-"),
            _ => None,
        }
    }

    /// Its name in `runtime_checksums_values`, if it has one there.
    pub fn checksum_name(self) -> Option<&'static str> {
        match self {
            Module::Users => Some("mysql_users"),
            Module::Servers => Some("mysql_servers"),
            Module::QueryRules => Some("mysql_query_rules"),
            Module::MysqlVariables => Some("mysql_variables"),
            Module::AdminVariables => Some("admin_variables"),
            Module::ProxysqlServers => Some("proxysql_servers"),
            Module::Ldap => Some("ldap_variables"),
            Module::Firewall | Module::Scheduler | Module::RestApi | Module::Debug | Module::Coredump => None,
        }
    }

    /// The rows of a table that are this module's.
    pub(super) fn filter(self) -> &'static str {
        match self {
            Module::MysqlVariables => "variable_name LIKE 'mysql-%'",
            Module::AdminVariables => "variable_name LIKE 'admin-%'",
            _ => "1",
        }
    }
}

impl Store {
    /// `SAVE … TO DISK`.
    pub fn save_to_disk(&mut self, module: Module) -> Result<usize, String> {
        self.need_disk()?;
        self.in_transaction(|transaction| replace(transaction, module, "main", "disk"))
    }

    /// All modules in one transaction: a first boot that is cut short is a first boot again.
    pub fn save_all_to_disk(&mut self) -> Result<(), String> {
        self.need_disk()?;
        self.in_transaction(|transaction| {
            for module in Module::ALL {
                replace(transaction, module, "main", "disk")?;
            }
            Ok(())
        })
    }

    /// `LOAD … FROM DISK`.
    pub fn load_from_disk(&mut self, module: Module) -> Result<usize, String> {
        self.need_disk()?;
        self.in_transaction(|transaction| replace(transaction, module, "disk", "main"))
    }

    /// What a load of this module does not do: rows in tables that nobody reads.
    pub fn rows_without_effect(&self, module: Module) -> Result<Vec<String>, String> {
        let mut warnings = Vec::new();
        for table in module.tables().iter().filter(|table| !has_effect(table)) {
            let sql = format!("SELECT COUNT(*) FROM main.{table}");
            let count: i64 = self.db.query_row(&sql, [], |row| row.get(0)).map_err(copy_error)?;
            if count > 0 {
                warnings.push(format!("{table}: its rows are kept and have no effect ({count} of them)"));
            }
        }
        Ok(warnings)
    }

    /// Makes the twins of the users' or rules' tables what was just loaded: the active rows.
    pub fn copy_to_twins(&mut self, module: Module) -> Result<usize, String> {
        self.in_transaction(|transaction| {
            let mut copied = 0;
            for table in config_tables(module) {
                let (columns, name) = (table.column_list(), table.name);
                let filter = if table.has_column("active") { "active = 1" } else { "1" };
                transaction.execute(&format!("DELETE FROM main.runtime_{name}"), [])?;
                copied += transaction.execute(
                    &format!("INSERT INTO main.runtime_{name} ({columns}) SELECT {columns} FROM main.{name} WHERE {filter}"),
                    [],
                )?;
            }
            Ok(copied)
        })
    }

    /// `SAVE … FROM RUNTIME`: the twins' rows replace the active ones of memory; inactive rows are not at runtime and stay.
    /// The caller has brought the twins up to date.
    pub fn save_from_twins(&mut self, module: Module) -> Result<usize, String> {
        self.in_transaction(|transaction| {
            let mut copied = 0;
            for table in config_tables(module) {
                let (columns, name) = (table.column_list(), table.name);
                let filter = if table.has_column("active") { "active = 1" } else { module.filter() };
                let values = columns.replace("status", "CASE status WHEN 'SHUNNED' THEN 'ONLINE' ELSE status END");
                transaction.execute(&format!("DELETE FROM main.{name} WHERE {filter}"), [])?;
                copied += transaction.execute(
                    &format!("INSERT OR REPLACE INTO main.{name} ({columns}) SELECT {values} FROM main.runtime_{name} WHERE {}", module.filter()),
                    [],
                )?;
            }
            Ok(copied)
        })
    }

    /// Runs `work` whole or not at all.
    pub(super) fn in_transaction<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, String> {
        let transaction = self.db.transaction().map_err(copy_error)?;
        let done = work(&transaction).map_err(copy_error)?;
        transaction.commit().map_err(copy_error)?;
        Ok(done)
    }

    pub(super) fn need_disk(&self) -> Result<(), String> {
        match self.disk_error() {
            Some(reason) => Err(format!("the admin database on disk is not available: {reason}")),
            None => Ok(()),
        }
    }
}

/// Makes one layer's rows of a module those of another.
fn replace(transaction: &Transaction<'_>, module: Module, from: &str, to: &str) -> rusqlite::Result<usize> {
    let mut copied = 0;
    for table in config_tables(module) {
        let (columns, name, filter) = (table.column_list(), table.name, module.filter());
        if filter == "1" && is_alike(transaction, name, from, to)? {
            // Without a condition and a list of columns SQLite drops whole tables and copies records and indexes as they are.
            transaction.execute(&format!("DELETE FROM {to}.{name}"), [])?;
            copied +=
                transaction.execute(&format!("INSERT INTO {to}.{name} SELECT * FROM {from}.{name}"), [])?;
            continue;
        }
        transaction.execute(&format!("DELETE FROM {to}.{name} WHERE {filter}"), [])?;
        let copy =
            format!("INSERT INTO {to}.{name} ({columns}) SELECT {columns} FROM {from}.{name} WHERE {filter}");
        copied += transaction.execute(&copy, [])?;
    }
    Ok(copied)
}

/// A table is defined alike in two schemas: an older version's may have its columns in another order.
fn is_alike(db: &Connection, table: &str, one: &str, other: &str) -> rusqlite::Result<bool> {
    let definition = |schema: &str| {
        let sql = format!("SELECT sql FROM {schema}.sqlite_master WHERE type = 'table' AND name = ?1");
        db.query_row(&sql, [table], |row| row.get::<_, String>(0))
    };
    Ok(definition(one)? == definition(other)?)
}

/// SQLite's error in its own words, without its code.
pub fn copy_error(error: rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(text)) => text,
        rusqlite::Error::UserFunctionError(reason) => reason.to_string(),
        other => other.to_string(),
    }
}

fn config_tables(module: Module) -> impl Iterator<Item = &'static Table> {
    module.tables().iter().filter_map(|name| find(name))
}
