//! Checksums of tables: `CHECKSUM …`, `runtime_checksums_values`, and whether runtime was saved.

use std::fmt::Write as _;

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::layers::{Module, copy_error};
use super::open::Store;
use super::tables::find;

/// What the daemon says of itself is not configuration.
const NOT_OWN_FACTS: &str = "variable_name NOT IN \
    ('mysql-threads', 'mysql-interfaces', 'admin-mysql_ifaces', 'admin-version')";

impl Store {
    /// A number that is the same for the same rows: `0x` and 16 hexadecimal digits.
    pub fn checksum(&self, schema: &str, table: &str, filter: &str) -> Result<String, String> {
        self.fold(0, schema, table, filter).map(|sum| format!("0x{sum:016X}"))
    }

    /// After a load: the module's new version in `runtime_checksums_values`. The rows of memory are those that were loaded.
    pub fn note_load(&mut self, module: Module, epoch: u64) -> Result<(), String> {
        let Some(name) = module.checksum_name() else { return Ok(()) };
        let sum = self.module_checksum("main", module)?;
        let epoch = i64::try_from(epoch).unwrap_or(i64::MAX);
        self.db
            .execute(
                "INSERT INTO main.runtime_checksums_values VALUES (?1, 1, ?2, ?3) ON CONFLICT (name) DO UPDATE \
                 SET version = version + 1, epoch = excluded.epoch, checksum = excluded.checksum",
                params![name, epoch, sum],
            )
            .map(drop)
            .map_err(copy_error)
    }

    /// One number for all of `runtime_checksums_values`.
    pub fn global_checksum(&self) -> Result<String, String> {
        self.checksum("main", "runtime_checksums_values", "1")
    }

    /// How many loads to runtime there were.
    pub fn loads(&self) -> Result<i64, String> {
        let sql = "SELECT COALESCE(SUM(version), 0) FROM main.runtime_checksums_values";
        self.db.query_row(sql, [], |row| row.get(0)).map_err(copy_error)
    }

    /// The modules whose last load differs from what is on disk; none when there is no disk layer.
    pub fn unsaved(&self) -> Result<Vec<Module>, String> {
        let mut unsaved = Vec::new();
        if self.disk_error().is_some() {
            return Ok(unsaved);
        }
        for module in Module::ALL {
            let Some(name) = module.checksum_name() else { continue };
            let sql = "SELECT checksum FROM main.runtime_checksums_values WHERE name = ?1";
            let loaded: String = match self.db.query_row(sql, [name], |row| row.get(0)) {
                Ok(loaded) => loaded,
                Err(rusqlite::Error::QueryReturnedNoRows) => continue,
                Err(error) => return Err(copy_error(error)),
            };
            if self.module_checksum("disk", module)? != loaded {
                unsaved.push(module);
            }
        }
        Ok(unsaved)
    }

    fn module_checksum(&self, schema: &str, module: Module) -> Result<String, String> {
        let filter = match module.prefix() {
            Some(_) => format!("{} AND {NOT_OWN_FACTS}", module.filter()),
            None => "1".to_owned(),
        };
        let sum = module.tables().iter().try_fold(0, |sum, table| self.fold(sum, schema, table, &filter))?;
        Ok(format!("0x{sum:016X}"))
    }

    fn fold(&self, sum: u64, schema: &str, table: &str, filter: &str) -> Result<u64, String> {
        let columns = find(table).map(|table| table.column_list()).ok_or("no such table")?;
        let sql = format!("SELECT {columns} FROM {schema}.{table} WHERE {filter}");
        let mut statement = self.db.prepare(&sql).map_err(copy_error)?;
        let width = statement.column_count();
        let mut rows = statement.query([]).map_err(copy_error)?;
        // A sum over the rows is the same in any order: a million of them need not be sorted.
        let mut rows_sum = 0_u64;
        let mut text = String::new();
        while let Some(row) = rows.next().map_err(copy_error)? {
            text.clear();
            for index in 0..width {
                // Writing to a String cannot fail.
                let _ = match row.get_ref(index).map_err(copy_error)? {
                    ValueRef::Null => write!(text, "\u{0}-"),
                    ValueRef::Integer(number) => write!(text, "\u{0}{number}"),
                    ValueRef::Real(number) => write!(text, "\u{0}{number}"),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        write!(text, "\u{0}'{}", String::from_utf8_lossy(bytes))
                    }
                };
            }
            rows_sum = rows_sum.wrapping_add(proxyd_sql::digest(&text));
        }
        Ok(proxyd_sql::digest(&format!("{sum:X} {table} {rows_sum:X}")))
    }
}
