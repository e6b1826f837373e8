//! The runtime tables as sections of a configuration file.

use rusqlite::types::ValueRef;

use super::super::config_text::{Cell, Section, section, variables};
use super::layers::copy_error;
use super::open::Store;
use super::tables::{Kind, Table, of_kind};

impl Store {
    /// `SELECT CONFIG FILE`. The caller has brought the twins up to date.
    pub fn config_text(&self) -> Result<String, String> {
        let mut text = String::new();
        for (prefix, name) in [("admin-", "admin_variables"), ("mysql-", "mysql_variables")] {
            let sql = format!(
                "SELECT SUBSTR(variable_name, {}), variable_value FROM main.runtime_global_variables \
                 WHERE variable_name LIKE '{prefix}%' ORDER BY variable_name",
                prefix.len() + 1
            );
            let rows = self.read(&sql, |row| Ok((row.get(0)?, row.get(1)?)))?;
            text.push_str(&variables(name, &rows));
            text.push('\n');
        }
        for table in of_kind(Kind::Config).filter(|table| table.name != "global_variables") {
            text.push_str(&section(&self.section_of(table)?));
            text.push('\n');
        }
        Ok(text)
    }

    fn section_of(&self, table: &Table) -> Result<Section, String> {
        let columns = table.column_list();
        let sql = format!("SELECT {columns} FROM main.runtime_{} ORDER BY {columns}", table.name);
        let mut statement = self.db.prepare(&sql).map_err(copy_error)?;
        let mut cursor = statement.query([]).map_err(copy_error)?;
        let mut rows = Vec::new();
        while let Some(row) = cursor.next().map_err(copy_error)? {
            let mut cells = Vec::new();
            for (index, (name, _)) in table.columns.iter().enumerate() {
                let (value, number) = match row.get_ref(index).map_err(copy_error)? {
                    ValueRef::Null => continue,
                    ValueRef::Integer(number) => (number.to_string(), true),
                    ValueRef::Real(number) => (number.to_string(), true),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        (String::from_utf8_lossy(bytes).into_owned(), false)
                    }
                };
                cells.push(Cell { name: (*name).to_owned(), value, number });
            }
            rows.push(cells);
        }
        let name = if table.name == "restapi_routes" { "restapi" } else { table.name };
        Ok(Section { name: name.to_owned(), rows })
    }
}
