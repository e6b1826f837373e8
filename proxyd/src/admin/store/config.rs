//! The configuration tables as sections of ProxySQL's configuration file.

use configs::proxysql_cnf::{Node, Setting, Writer};
use rusqlite::types::ValueRef;

use super::layers::copy_error;
use super::open::Store;
use super::tables::{Kind, Table, of_kind};

impl Store {
    /// `SELECT CONFIG FILE`: the memory layer, as ProxySQL writes it; inactive rows are in it.
    pub fn config_text(&self) -> Result<String, String> {
        let mut file = Writer::default();
        for (prefix, name) in [("admin-", "admin_variables"), ("mysql-", "mysql_variables")] {
            let sql = format!(
                "SELECT SUBSTR(variable_name, {}), variable_value FROM main.global_variables \
                 WHERE variable_name LIKE '{prefix}%' ORDER BY variable_name",
                prefix.len() + 1
            );
            let rows: Vec<(String, String)> = self.read(&sql, |row| Ok((row.get(0)?, row.get(1)?)))?;
            let values = rows.into_iter().map(|(name, value)| setting(name, variable(value)));
            file.setting(name, &Node::Group(values.collect()));
        }
        for table in of_kind(Kind::Config).filter(|table| table.name != "global_variables") {
            self.section_of(table, &mut file)?;
        }
        Ok(file.finish())
    }

    fn section_of(&self, table: &Table, file: &mut Writer) -> Result<(), String> {
        let columns = table.column_list();
        let sql = format!("SELECT {columns} FROM main.{} ORDER BY {columns}", table.name);
        let mut statement = self.db.prepare(&sql).map_err(copy_error)?;
        let mut cursor = statement.query([]).map_err(copy_error)?;
        let name = if table.name == "restapi_routes" { "restapi" } else { table.name };
        file.rows(name, |add| {
            while let Some(row) = cursor.next().map_err(copy_error)? {
                let mut cells = Vec::new();
                for (index, (name, _)) in table.columns.iter().enumerate() {
                    let value = match row.get_ref(index).map_err(copy_error)? {
                        ValueRef::Null => continue,
                        ValueRef::Integer(number) => Node::Integer(number),
                        ValueRef::Real(number) => Node::Float(number),
                        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                            Node::Text(String::from_utf8_lossy(bytes).into_owned())
                        }
                    };
                    cells.push(setting((*name).to_owned(), value));
                }
                add(&cells);
            }
            Ok(())
        })
    }
}

fn setting(name: String, value: Node) -> Setting {
    Setting { name, line: 0, value }
}

/// Without quotes where the text stays the same without them.
fn variable(value: String) -> Node {
    match value.as_str() {
        "true" => Node::Flag(true),
        "false" => Node::Flag(false),
        text => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Node::Integer(number),
            _ => Node::Text(value),
        },
    }
}
