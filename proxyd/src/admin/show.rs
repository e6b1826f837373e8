//! `SHOW …` as SQL on the admin tables. Pure.

use super::keywords::words;
use super::lexer::{Token, text_of};
use super::statement::{Refusal, Statement, syntax};

/// What `USE` and `SHOW TABLES FROM` know.
pub const SCHEMAS: [&str; 5] = ["main", "disk", "stats", "monitor", "stats_history"];

/// Reads the tokens after `SHOW`; `sql` is the whole statement and `schema` is what `USE` chose.
pub fn parse(rest: &[Token], sql: &str, schema: &str) -> Result<Statement, Refusal> {
    let keywords = words(rest);
    let after = |count: usize| rest.get(count..).unwrap_or_default();
    match keywords.as_slice() {
        ["FULL", "TABLES", ..] => tables(after(2), schema),
        ["TABLES", ..] => tables(after(1), schema),
        ["DATABASES" | "SCHEMAS", ..] => databases(after(1)),
        ["CREATE", "TABLE", ..] => create_table(after(2)),
        ["GLOBAL" | "SESSION" | "ALL", "VARIABLES", ..] => variables("", after(2), sql),
        ["VARIABLES", ..] => variables("", after(1), sql),
        ["MYSQL", "VARIABLES", ..] => variables("mysql-", after(2), sql),
        ["ADMIN", "VARIABLES", ..] => variables("admin-", after(2), sql),
        ["LDAP", "VARIABLES", ..] => variables("ldap-", after(2), sql),
        ["MYSQL" | "GLOBAL" | "SESSION", "STATUS", ..] => status(after(2)),
        ["STATUS", ..] => status(after(1)),
        ["FULL", "PROCESSLIST"] => Ok(processlist("info")),
        ["PROCESSLIST"] => Ok(processlist("SUBSTR(info, 1, 100)")),
        ["MYSQL", "USERS"] => select("SELECT * FROM main.mysql_users ORDER BY username"),
        ["MYSQL", "SERVERS"] => {
            select("SELECT * FROM main.mysql_servers ORDER BY hostgroup_id, hostname, port")
        }
        ["PROMETHEUS", "METRICS"] => Ok(Statement::ShowMetrics),
        ["WARNINGS" | "ERRORS", ..] => Ok(Statement::ShowWarnings),
        ["CHARACTER", "SET", ..] => charsets(after(2)),
        ["CHARSET", ..] => charsets(after(1)),
        ["COLLATION", ..] => select(format!(
            "SELECT Collation, Charset, Id, `Default`, 'Yes' AS Compiled, 1 AS Sortlen FROM main.mysql_collations WHERE 1{} \
             ORDER BY Collation",
            like("Collation", after(1))?
        )),
        _ => syntax(
            "SHOW knows TABLES, DATABASES, CREATE TABLE, VARIABLES, STATUS, PROCESSLIST, MYSQL USERS, MYSQL SERVERS, PROMETHEUS METRICS and WARNINGS",
        ),
    }
}

fn select(sql: impl Into<String>) -> Result<Statement, Refusal> {
    Ok(Statement::Sql(sql.into()))
}

fn charsets(rest: &[Token]) -> Result<Statement, Refusal> {
    select(format!(
        "SELECT Charset, Charset AS Description, Collation AS \"Default collation\", \
         CASE WHEN Charset LIKE 'utf%' THEN 4 WHEN Charset = 'ucs2' THEN 2 ELSE 1 END AS Maxlen \
         FROM main.mysql_collations WHERE `Default` = 'Yes'{} ORDER BY Charset",
        like("Charset", rest)?
    ))
}

fn processlist(info: &str) -> Statement {
    Statement::Sql(format!(
        "SELECT SessionID, user, db, hostgroup, command, time_ms, {info} AS info FROM stats.stats_mysql_processlist"
    ))
}

fn tables(rest: &[Token], schema: &str) -> Result<Statement, Refusal> {
    let (schema, rest) = match rest {
        [from, name, rest @ ..] if from.is("FROM") || from.is("IN") => (text_of(name), rest),
        _ => (schema.to_owned(), rest),
    };
    let schema = match schema.as_str() {
        "" => "main",
        known if SCHEMAS.contains(&known) => known,
        other => return syntax(format!("there is no schema '{other}': {} are", SCHEMAS.join(", "))),
    };
    let like = like("name", rest)?;
    select(format!(
        "SELECT name AS tables FROM {schema}.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'{like} ORDER BY name"
    ))
}

fn databases(rest: &[Token]) -> Result<Statement, Refusal> {
    select(format!(
        "SELECT seq, name, file FROM pragma_database_list WHERE 1{} ORDER BY seq",
        like("name", rest)?
    ))
}

fn create_table(rest: &[Token]) -> Result<Statement, Refusal> {
    let (schemas, table) = match rest {
        [schema, Token::Symbol('.'), table] => (vec![text_of(schema)], text_of(table)),
        [table] => (SCHEMAS.map(str::to_owned).to_vec(), text_of(table)),
        _ => return syntax("SHOW CREATE TABLE takes one table"),
    };
    let part = |schema: &String| {
        let schema = schema.replace('"', "\"\"");
        let table = quote(&table);
        format!(
            "SELECT name AS \"table\", sql AS \"Create Table\" FROM \"{schema}\".sqlite_master WHERE type = 'table' AND name = {table}"
        )
    };
    select(format!("{} LIMIT 1", schemas.iter().map(part).collect::<Vec<_>>().join(" UNION ALL ")))
}

fn variables(prefix: &str, rest: &[Token], sql: &str) -> Result<Statement, Refusal> {
    let filter = match rest {
        [keyword, ..] if keyword.is("WHERE") => {
            let at = sql.to_ascii_uppercase().find("WHERE").unwrap_or(sql.len());
            format!(" AND ({})", sql.get(at + "WHERE".len()..).unwrap_or("1"))
        }
        _ => like("variable_name", rest)?,
    };
    select(format!(
        "SELECT variable_name AS Variable_name, variable_value AS Value FROM main.global_variables \
         WHERE variable_name LIKE '{prefix}%'{filter} ORDER BY variable_name"
    ))
}

fn status(rest: &[Token]) -> Result<Statement, Refusal> {
    select(format!(
        "SELECT Variable_Name AS Variable_name, Variable_Value AS Value FROM stats.stats_mysql_global WHERE 1{} ORDER BY 1",
        like("Variable_Name", rest)?
    ))
}

/// ` AND column LIKE 'pattern'` for a trailing `LIKE`, nothing for nothing.
fn like(column: &str, rest: &[Token]) -> Result<String, Refusal> {
    match rest {
        [] => Ok(String::new()),
        [keyword, pattern @ Token::Text(_)] if keyword.is("LIKE") => {
            // MySQL's default escape character is the backslash.
            Ok(format!(" AND {column} LIKE {} ESCAPE '\\'", quote(&text_of(pattern))))
        }
        _ => syntax("only LIKE 'pattern' may follow here"),
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
