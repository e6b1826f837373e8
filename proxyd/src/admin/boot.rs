//! Start: from an empty or a filled database to a published runtime, as fast as it goes and whatever the disk says.

use std::path::Path;

use configs::Appliance;

use super::bulk::Bulk;
use super::credentials::generated_password;
use super::load::{Moved, OnBadRow, merge_config};
use super::service::{Admin, ReadConfig};
use super::store::{Module, Store, copy_error};
use crate::logs::Logs;
use crate::runtime::{Settings, SharedRuntime};
use crate::web::{ControlSide, Daemons};

/// The file in the data directory.
pub(super) const DATABASE: &str = "standfast.db";
/// Beside it, mode 0600: the password of `admin`, unless the configuration gives `admin_credentials`.
const PASSWORD_FILE: &str = "admin-password";
/// Tables of so many rows are read in a few milliseconds; clients do not wait for greater ones.
const MANY: i64 = 10_000;

impl Admin {
    /// Opens the database and brings the configuration to runtime: on the first boot from the configuration file, later
    /// from disk. What cannot be read is logged and left out. An error means that not even memory could be opened.
    pub fn boot(
        appliance: &Appliance,
        runtime: SharedRuntime,
        read_config: ReadConfig,
    ) -> Result<Admin, String> {
        Admin::boot_leaving(appliance, runtime, read_config, MANY)
    }

    /// As [`Admin::boot`]; tables with more rows than `many` are left for [`Admin::finish_boot`].
    pub(super) fn boot_leaving(
        appliance: &Appliance,
        runtime: SharedRuntime,
        read_config: ReadConfig,
        many: i64,
    ) -> Result<Admin, String> {
        let data_dir = &appliance.paths.data_dir;
        let mut store = Store::open(&data_dir.join(DATABASE)).map_err(copy_error)?;
        store.add_missing_variables(&Settings::default())?;
        let first_boot = store.is_first_boot();
        let bulk = if first_boot { Bulk::default() } else { Bulk::find(&store, many) };
        for module in bulk.others() {
            fill_memory(&mut store, module, &appliance.first_boot, first_boot);
        }
        ensure_admin_login(&mut store, data_dir)?;
        if first_boot && let Err(reason) = store.save_all_to_disk() {
            tracing::error!(reason, "the first configuration could not be saved");
        }
        state_own_facts(&mut store, appliance)?;
        let logs = Logs::start().map_err(|error| format!("no thread for log files: {error}"))?;
        let web = ControlSide::new(Daemons::new(appliance));
        let admin = Admin::new(store, runtime, web, read_config, logs, &appliance.paths);
        for module in bulk.others() {
            admin.load_at_start(module);
        }
        admin.serve_from_disk(bulk, &appliance.first_boot)?;
        Ok(admin)
    }

    /// A module that cannot be loaded at all leaves the others alone.
    fn load_at_start(&self, module: Module) {
        tell(module, self.load_to_runtime(module, OnBadRow::Skip));
    }
}

/// Says what a load at the start has met.
pub(super) fn tell(module: Module, outcome: Result<Moved, String>) {
    match outcome {
        Ok((_, warnings)) => {
            for warning in warnings {
                tracing::warn!(module = module.words(), "{warning}");
            }
        }
        Err(reason) => tracing::error!(module = module.words(), reason, "not loaded to runtime"),
    }
}

/// Fills one module of memory from disk; on the first boot, or when disk cannot be read, from the configuration file.
/// A first boot that could not save everything (a full disk) may have been followed by a SAVE: that one counts. True if it
/// was from disk.
pub(super) fn fill_memory(
    store: &mut Store,
    module: Module,
    config: &configs::FirstBoot,
    first_boot: bool,
) -> bool {
    if !first_boot || store.is_saved(module) {
        match store.load_from_disk(module) {
            Ok(_) => {
                forget_unknown_variables(store, module);
                return true;
            }
            Err(reason) => tracing::error!(
                module = module.words(),
                reason,
                "not read from disk; the rows of the configuration file are used instead"
            ),
        }
    }
    if let Err(reason) = merge_config(store, module, config) {
        tracing::error!(module = module.words(), reason, "the configuration file's rows are not usable");
    }
    false
}

/// Variables of another version would have every later LOAD refused; and a table read from disk may lack new ones.
fn forget_unknown_variables(store: &mut Store, module: Module) {
    let Some(prefix) = module.prefix() else { return };
    for (name, _) in store.variables().unwrap_or_default() {
        if name.starts_with(prefix) && !Settings::is_known(&name) {
            tracing::warn!(name, "unknown variable on disk, left out");
            if let Err(reason) = store.forget_variable(&name) {
                tracing::warn!(name, reason, "it could not be left out");
            }
        }
    }
    if let Err(reason) = store.add_missing_variables(&Settings::default()) {
        tracing::error!(reason, "defaults could not be filled in");
    }
}

/// Without configured credentials: `admin` with the generated password. If that cannot be kept either, nobody logs in
/// to the admin interface, and clients are served all the same.
fn ensure_admin_login(store: &mut Store, data_dir: &Path) -> Result<(), String> {
    let variables = store.variables()?;
    if variables.iter().any(|(name, value)| name == "admin-admin_credentials" && !value.is_empty()) {
        return Ok(());
    }
    let file = data_dir.join(PASSWORD_FILE);
    match generated_password(&file) {
        Ok(password) => store.set_variable("admin-admin_credentials", &format!("admin:{password}")),
        Err(error) => {
            tracing::error!(file = %file.display(), %error, "no admin password could be made: nobody can log in to the admin interface");
            Ok(())
        }
    }
}

/// What the configuration file decides and the variables only show.
fn state_own_facts(store: &mut Store, appliance: &Appliance) -> Result<(), String> {
    let list =
        |places: &[configs::Listen]| places.iter().map(ToString::to_string).collect::<Vec<_>>().join(";");
    store.set_variable("mysql-threads", &appliance.proxy.workers.to_string())?;
    store.set_variable("mysql-interfaces", &list(&appliance.proxy.mysql_listen))?;
    store.set_variable("admin-mysql_ifaces", &list(&appliance.proxy.admin_listen))?;
    store.set_variable("admin-version", env!("CARGO_PKG_VERSION"))
}
