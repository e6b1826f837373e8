//! The configuration as ProxySQL's configuration file spells it (libconfig): groups of variables, lists of rows. Pure.

use std::fmt::Write as _;

/// One table's rows; a cell without a value is left out.
pub struct Section {
    pub name: String,
    pub rows: Vec<Vec<Cell>>,
}

/// A named value.
pub struct Cell {
    pub name: String,
    pub value: String,
    /// It stands without quotes.
    pub number: bool,
}

/// Variables of one prefix, as a group.
pub fn variables(name: &str, values: &[(String, String)]) -> String {
    let mut out = format!("{name}=\n{{\n");
    for (name, value) in values {
        let bare = value.parse::<i64>().is_ok() || matches!(value.as_str(), "true" | "false");
        line(&mut out, "\t", name, value, bare);
    }
    out.push_str("}\n");
    out
}

/// A table, as a list of groups.
pub fn section(section: &Section) -> String {
    let mut out = format!("{}=\n(\n", section.name);
    for (index, row) in section.rows.iter().enumerate() {
        out.push_str(if index == 0 { "\t{\n" } else { ",\n\t{\n" });
        for cell in row {
            line(&mut out, "\t\t", &cell.name, &cell.value, cell.number);
        }
        out.push_str("\t}");
    }
    if !section.rows.is_empty() {
        out.push('\n');
    }
    out.push_str(")\n");
    out
}

fn line(out: &mut String, indent: &str, name: &str, value: &str, bare: bool) {
    // Writing to a String cannot fail.
    let _ = match bare {
        true => writeln!(out, "{indent}{name}={value}"),
        false => writeln!(out, "{indent}{name}=\"{}\"", escaped(value)),
    };
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_lists() {
        let cell = |name: &str, value: &str, number| Cell { name: name.into(), value: value.into(), number };
        let rows = vec![
            vec![cell("port", "3306", true), cell("comment", "a \"b\" \\ c\n", false)],
            vec![cell("password", "123", false)],
        ];
        assert_eq!(
            section(&Section { name: "t".into(), rows }),
            "t=\n(\n\t{\n\t\tport=3306\n\t\tcomment=\"a \\\"b\\\" \\\\ c\\n\"\n\t},\n\t{\n\t\tpassword=\"123\"\n\t}\n)\n"
        );
        assert_eq!(section(&Section { name: "none".into(), rows: vec![] }), "none=\n(\n)\n");
        let values =
            [("threads".to_owned(), "4".to_owned()), ("server_version".to_owned(), "8.0".to_owned())];
        assert_eq!(
            variables("mysql_variables", &values),
            "mysql_variables=\n{\n\tthreads=4\n\tserver_version=\"8.0\"\n}\n"
        );
    }
}
