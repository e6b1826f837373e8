//! One user's rows.

use super::layers::Module;
use super::open::Store;
use super::tables::find;

impl Store {
    /// Makes the twin's rows of this user those of memory.
    pub fn copy_user_to_twin(&mut self, name: &str) -> Result<usize, String> {
        self.copy_rows("main.mysql_users", "main.runtime_mysql_users", name, " AND active = 1")
    }

    /// Replaces a layer's rows of this user by those of another, if there are some.
    pub fn copy_user(&mut self, from: &str, to: &str, name: &str) -> Result<usize, String> {
        if from.starts_with("disk.") || to.starts_with("disk.") {
            self.need_disk()?;
        }
        self.copy_rows(from, to, name, "")
    }

    fn copy_rows(&mut self, from: &str, to: &str, name: &str, also: &str) -> Result<usize, String> {
        let table = Module::Users.tables().first().and_then(|table| find(table)).ok_or("no such table")?;
        let columns = table.column_list();
        let is_runtime = to.contains(".runtime_");
        self.in_transaction(|transaction| {
            let count = format!("SELECT COUNT(*) FROM {from} WHERE username = ?1{also}");
            let found: i64 = transaction.query_row(&count, [name], |row| row.get(0))?;
            if found > 0 || is_runtime {
                transaction.execute(&format!("DELETE FROM {to} WHERE username = ?1"), [name])?;
            }
            let copy = format!(
                "INSERT INTO {to} ({columns}) SELECT {columns} FROM {from} WHERE username = ?1{also}"
            );
            transaction.execute(&copy, [name])
        })
    }
}
