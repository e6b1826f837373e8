//! `LOAD MYSQL USER name …` and `SAVE MYSQL USER name …`: one user's rows between the layers.

use super::load::{Moved, in_table};
use super::service::{Admin, AdminError};
use super::statement::Move;
use super::store::Module;

const READ_ONLY: &str = "the admin interface is read-only (PROXYSQL READWRITE ends that)";

impl Admin {
    pub(super) fn move_user(&self, name: &str, direction: Move) -> Result<Moved, AdminError> {
        if direction.writes_memory() && self.is_read_only() {
            return Err(AdminError::failed(READ_ONLY));
        }
        let mut store = self.store.borrow_mut();
        let rows = match direction {
            Move::MemoryToRuntime => {
                let row = store.user_named(name).map_err(in_table("mysql_users"))?;
                let copied = store.copy_user_to_twin(name)?;
                drop(store);
                let known = self.runtime.borrow_mut().load_user(name, row);
                // A user who is gone from memory goes from runtime too.
                if known { copied.max(1) } else { copied }
            }
            Move::RuntimeToMemory => store.copy_user("main.runtime_mysql_users", "main.mysql_users", name)?,
            Move::MemoryToDisk => store.copy_user("main.mysql_users", "disk.mysql_users", name)?,
            Move::DiskToMemory => store.copy_user("disk.mysql_users", "main.mysql_users", name)?,
            Move::ConfigToMemory => {
                let config = (self.read_config)()?;
                let rows = config.tables.get("mysql_users").map_or(&[][..], Vec::as_slice);
                let named = |row: &&std::collections::BTreeMap<String, configs::Value>| {
                    row.get("username")
                        .is_some_and(|value| matches!(value, configs::Value::Text(text) if text == name))
                };
                let mut merged = 0;
                for row in rows.iter().filter(named) {
                    let cells = row.iter().map(|(column, value)| (column.as_str(), value));
                    store.merge_row("mysql_users", cells)?;
                    merged += 1;
                }
                merged
            }
        };
        match rows {
            0 => Err(AdminError::failed(&format!("{}: there is no user '{name}'", Module::Users.words()))),
            rows => Ok((rows, Vec::new())),
        }
    }
}
