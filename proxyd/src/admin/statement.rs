//! The grammar of admin statements: one statement in, what to do out. Pure: no rows, no rights, no I/O.
//!
//! What is not an admin command is SQL and goes to SQLite. Commands that only look at tables become SQL here.

use std::fmt;

use super::keywords::words;
use super::lexer::{Token, text_of, tokens};
use super::proxysql::{self, Order};
use super::route::Question;
use super::show;
use super::store::Module;

/// What one statement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// `LOAD …` and `SAVE …`.
    Move(Module, Move),
    /// `SET mysql-…=…` and `SET admin-…=…`: names and values for the memory layer.
    Set(Vec<(String, String)>),
    /// Answered OK without an effect: what clients say on every connection.
    Nothing,
    Use(String),
    /// `SELECT @@a, @@b AS c`: column label and name without scope.
    SelectVariables(Vec<(String, String)>),
    ShowWarnings,
    /// `SHOW PROMETHEUS METRICS`: the text of `/metrics`.
    ShowMetrics,
    Kill {
        session: u32,
        query_only: bool,
    },
    /// `PROXYSQL …`
    Order(Order),
    /// `TRUNCATE stats.stats_mysql_query_digest`.
    ResetDigests,
    /// `SAVE MYSQL DIGEST TO DISK`
    SaveDigests,
    /// `LOAD MYSQL USER … TO RUNTIME` and the like.
    MoveUser(String, Move),
    /// `SELECT GLOBAL_CHECKSUM()`
    GlobalChecksum,
    /// `CHECKSUM …`
    Checksum {
        disk: bool,
        table: &'static str,
        /// The rows that count.
        filter: &'static str,
    },
    /// `EXPLAIN ROUTE 'statement' [USER 'name'] [SCHEMA 'name'] [CLIENT 'address']`
    ExplainRoute(Question),
    /// `SELECT CONFIG FILE`
    ShowConfig,
    /// `SAVE CONFIG TO FILE …` and `SELECT CONFIG INTO OUTFILE …`
    SaveConfig(String),
    /// Understood, answered with this warning, and nothing else.
    NoEffect(&'static str),
    Sql(String),
}

impl Statement {
    /// It is done off the control thread, alone.
    pub fn takes_the_store(&self) -> bool {
        matches!(self, Statement::Move(..) | Statement::ShowConfig | Statement::SaveConfig(_))
    }
}

/// From which layer to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    MemoryToRuntime,
    RuntimeToMemory,
    MemoryToDisk,
    DiskToMemory,
    ConfigToMemory,
}

impl Move {
    pub fn writes_memory(self) -> bool {
        matches!(self, Move::RuntimeToMemory | Move::DiskToMemory | Move::ConfigToMemory)
    }
}

/// Why a statement cannot be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not in the grammar.
    Syntax(String),
    /// It is understood and not offered.
    NotOffered(String),
}

pub fn syntax<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Syntax(text.into()))
}

fn not_offered<T>(text: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::NotOffered(text.into()))
}

const NO_SUCH_SERVER: &str = "there is no SQLite server and no ClickHouse here";

fn no_effect(text: &'static str) -> Result<Statement, Refusal> {
    Ok(Statement::NoEffect(text))
}

/// Reads one statement (see [`super::lexer::split`]); `schema` is what `USE` chose.
pub fn parse(sql: &str, schema: &str) -> Result<Statement, Refusal> {
    let tokens = tokens(sql);
    let Some(Token::Word(first)) = tokens.first() else { return Ok(Statement::Sql(sql.to_owned())) };
    let rest = tokens.get(1..).unwrap_or_default();
    match first.to_ascii_uppercase().as_str() {
        "LOAD" => parse_load(rest),
        "SAVE" => parse_save(rest, sql),
        "CHECKSUM" => parse_checksum(rest),
        "EXPLAIN" if rest.first().is_some_and(|word| word.is("ROUTE")) => parse_explain_route(&rest[1..]),
        "PULL" | "SIGNAL" | "LOGENTRY" => Ok(Statement::NoEffect("this statement has no effect here")),
        "SET" => parse_set(rest),
        "SHOW" => show::parse(rest, sql, schema),
        "SELECT" => parse_select(rest, sql),
        "USE" => parse_use(rest),
        "TRUNCATE" => parse_truncate(rest),
        "KILL" => parse_kill(rest),
        "PROXYSQL" => proxysql::parse(rest),
        "DUMP" => no_effect("no buffer of events is kept: mysql-eventslog_filename names a file for them"),
        "BEGIN" | "COMMIT" | "ROLLBACK" | "START" | "LOCK" | "UNLOCK" | "FLUSH" => Ok(Statement::Nothing),
        "PRAGMA" | "ATTACH" | "DETACH" | "VACUUM" => {
            not_offered(format!("{} is not allowed here", first.to_ascii_uppercase()))
        }
        _ => Ok(Statement::Sql(sql.to_owned())),
    }
}

fn parse_load(rest: &[Token]) -> Result<Statement, Refusal> {
    let Some((what, direction)) = subject("LOAD", rest)? else { return no_effect(NO_SUCH_SERVER) };
    let direction = match words(direction).as_slice() {
        ["TO", "RUNTIME" | "RUN"] | ["FROM", "MEMORY" | "MEM"] => Move::MemoryToRuntime,
        ["TO", "MEMORY" | "MEM"] | ["FROM", "DISK"] => Move::DiskToMemory,
        ["FROM", "CONFIG"] => Move::ConfigToMemory,
        _ => return syntax(format!("LOAD {what} goes TO RUNTIME, TO MEMORY, FROM DISK or FROM CONFIG")),
    };
    Ok(what.moved(direction))
}

/// What a LOAD or SAVE moves.
enum Subject {
    Module(Module),
    User(String),
}

impl Subject {
    fn moved(self, direction: Move) -> Statement {
        match self {
            Subject::Module(module) => Statement::Move(module, direction),
            Subject::User(name) => Statement::MoveUser(name, direction),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Module(module) => f.write_str(module.words()),
            Subject::User(name) => write!(f, "MYSQL USER {name}"),
        }
    }
}

/// What stands before TO or FROM, and the tokens from there on; `None` for the modules of servers that are not here.
fn subject<'a>(verb: &str, rest: &'a [Token]) -> Result<Option<(Subject, &'a [Token])>, Refusal> {
    if let [mysql, user, name, direction @ ..] = rest
        && mysql.is("MYSQL")
        && user.is("USER")
    {
        return Ok(Some((Subject::User(text_of(name)), direction)));
    }
    match words(rest).as_slice() {
        ["SQLITESERVER" | "CLICKHOUSE", ..] => Ok(None),
        _ => parse_module(verb, rest).map(|(module, direction)| Some((Subject::Module(module), direction))),
    }
}

fn parse_save(rest: &[Token], sql: &str) -> Result<Statement, Refusal> {
    match words(rest).as_slice() {
        ["CONFIG", "TO", "FILE", ..] => return file_after("FILE", sql),
        ["MYSQL", "DIGEST", "TO", "DISK"] => return Ok(Statement::SaveDigests),
        _ => {}
    }
    let Some((what, direction)) = subject("SAVE", rest)? else { return no_effect(NO_SUCH_SERVER) };
    let direction = match words(direction).as_slice() {
        ["TO", "DISK"] | ["FROM", "MEMORY" | "MEM"] => Move::MemoryToDisk,
        ["TO", "MEMORY" | "MEM"] | ["FROM", "RUNTIME" | "RUN"] => Move::RuntimeToMemory,
        _ => return syntax(format!("SAVE {what} goes TO DISK, TO MEMORY or FROM RUNTIME")),
    };
    Ok(what.moved(direction))
}

/// The module and the tokens after it.
fn parse_module<'a>(verb: &str, rest: &'a [Token]) -> Result<(Module, &'a [Token]), Refusal> {
    let (module, length) = match words(rest).as_slice() {
        ["MYSQL", "USERS", ..] => (Module::Users, 2),
        ["MYSQL", "SERVERS", ..] => (Module::Servers, 2),
        ["MYSQL", "QUERY", "RULES", ..] => (Module::QueryRules, 3),
        ["MYSQL", "VARIABLES", ..] => (Module::MysqlVariables, 2),
        ["ADMIN", "VARIABLES", ..] => (Module::AdminVariables, 2),
        ["MYSQL", "FIREWALL", ..] => (Module::Firewall, 2),
        ["SCHEDULER", ..] => (Module::Scheduler, 1),
        ["RESTAPI", ..] => (Module::RestApi, 1),
        ["PROXYSQL", "SERVERS", ..] => (Module::ProxysqlServers, 2),
        ["LDAP", "VARIABLES", ..] => (Module::Ldap, 2),
        ["DEBUG", ..] => (Module::Debug, 1),
        ["COREDUMP", ..] => (Module::Coredump, 1),
        _ => {
            let known = Module::ALL.map(Module::words).join(", ");
            return syntax(format!("{verb} works on {known}"));
        }
    };
    Ok((module, rest.get(length..).unwrap_or_default()))
}

/// `SET` of our variables is a list of them; any other `SET` is a client setting its session up.
fn parse_set(rest: &[Token]) -> Result<Statement, Refusal> {
    let rest = match rest.first() {
        Some(scope) if scope.is("GLOBAL") => rest.get(1..).unwrap_or_default(),
        _ => rest,
    };
    if !rest.first().is_some_and(is_our_variable) {
        return Ok(Statement::Nothing);
    }
    let mut assignments = Vec::new();
    for assignment in rest.split(|token| *token == Token::Symbol(',')) {
        match assignment {
            [name, Token::Symbol('='), value @ ..] if is_our_variable(name) && !value.is_empty() => {
                assignments.push((text_of(name), value.iter().map(text_of).collect()));
            }
            _ => return syntax("SET takes name = value, separated by commas; quote a value with a comma"),
        }
    }
    Ok(Statement::Set(assignments))
}

fn is_our_variable(token: &Token) -> bool {
    let name = text_of(token).to_ascii_lowercase();
    name.starts_with("mysql-") || name.starts_with("admin-")
}

/// `CHECKSUM [DISK|MEM|MEMORY] MYSQL …`: one table each, as configuration management compares them.
fn parse_checksum(rest: &[Token]) -> Result<Statement, Refusal> {
    let keywords = words(rest);
    let (disk, what) = match keywords.as_slice() {
        ["DISK", what @ ..] => (true, what),
        ["MEM" | "MEMORY", what @ ..] => (false, what),
        what => (false, what),
    };
    let (table, filter) = match what {
        ["MYSQL", "SERVERS"] => ("mysql_servers", "1"),
        ["MYSQL", "USERS"] => ("mysql_users", "1"),
        ["MYSQL", "QUERY", "RULES"] => ("mysql_query_rules", "1"),
        ["MYSQL", "VARIABLES"] => ("global_variables", "variable_name LIKE 'mysql-%'"),
        ["ADMIN", "VARIABLES"] => ("global_variables", "variable_name LIKE 'admin-%'"),
        ["MYSQL", "REPLICATION", "HOSTGROUPS"] => ("mysql_replication_hostgroups", "1"),
        ["MYSQL", "GROUP", "REPLICATION", "HOSTGROUPS"] => ("mysql_group_replication_hostgroups", "1"),
        ["MYSQL", "GALERA", "HOSTGROUPS"] => ("mysql_galera_hostgroups", "1"),
        ["MYSQL", "AURORA", "HOSTGROUPS"] => ("mysql_aws_aurora_hostgroups", "1"),
        ["MYSQL", "HOSTGROUP", "ATTRIBUTES"] => ("mysql_hostgroup_attributes", "1"),
        ["MYSQL", "SERVERS", "SSL", "PARAMS"] => ("mysql_servers_ssl_params", "1"),
        _ => {
            return syntax(
                "CHECKSUM [DISK|MEMORY] MYSQL takes SERVERS, USERS, QUERY RULES, VARIABLES or a kind of HOSTGROUPS",
            );
        }
    };
    if keywords.len() != rest.len() {
        return syntax("nothing may follow the table of a CHECKSUM");
    }
    Ok(Statement::Checksum { disk, table, filter })
}

/// The path that stands behind a keyword at the end of a statement, quoted or not.
fn file_after(keyword: &str, sql: &str) -> Result<Statement, Refusal> {
    let at = sql.to_ascii_uppercase().find(keyword).map_or(sql.len(), |at| at + keyword.len());
    let path = sql.get(at..).unwrap_or_default().trim().trim_matches(['\'', '"']);
    match path.starts_with('/') {
        true => Ok(Statement::SaveConfig(path.to_owned())),
        false => syntax("the file is named by its whole path, from / on"),
    }
}

/// `EXPLAIN ROUTE [FOR] 'statement'`, and who would run it.
fn parse_explain_route(rest: &[Token]) -> Result<Statement, Refusal> {
    const FORM: &str = "EXPLAIN ROUTE 'statement' [USER 'name'] [SCHEMA 'name'] [CLIENT 'address']";
    let rest = match rest {
        [word, rest @ ..] if word.is("FOR") => rest,
        rest => rest,
    };
    let [Token::Text(sql), who @ ..] = rest else { return syntax(FORM) };
    let mut question = Question { sql: sql.clone(), ..Question::default() };
    for pair in who.chunks(2) {
        let [word, Token::Text(value)] = pair else { return syntax(FORM) };
        let place = match () {
            () if word.is("USER") => &mut question.user,
            () if word.is("SCHEMA") => &mut question.schema,
            () if word.is("CLIENT") => &mut question.client,
            () => return syntax(FORM),
        };
        place.clone_from(value);
    }
    Ok(Statement::ExplainRoute(question))
}

/// A select list of nothing but `@@variables` is answered here, everything else is SQL.
fn parse_select(rest: &[Token], sql: &str) -> Result<Statement, Refusal> {
    match words(rest).as_slice() {
        ["CONFIG", "FILE"] => return Ok(Statement::ShowConfig),
        ["GLOBAL_CHECKSUM"] if matches!(rest, [_, Token::Symbol('('), Token::Symbol(')')]) => {
            return Ok(Statement::GlobalChecksum);
        }
        ["CONFIG", "INTO", "OUTFILE", ..] => return file_after("OUTFILE", sql),
        _ => {}
    }
    if rest.first() != Some(&Token::Variable) {
        return Ok(Statement::Sql(sql.to_owned()));
    }
    let list = match rest.iter().position(|token| token.is("LIMIT")) {
        Some(limit) => rest.get(..limit).unwrap_or_default(),
        None => rest,
    };
    let mut variables = Vec::new();
    for item in list.split(|token| *token == Token::Symbol(',')) {
        variables.push(select_item(item)?);
    }
    Ok(Statement::SelectVariables(variables))
}

/// `@@[scope.]name [[AS] label]`.
fn select_item(item: &[Token]) -> Result<(String, String), Refusal> {
    let (scope, name, label) = match item {
        [Token::Variable, scope, Token::Symbol('.'), name, label @ ..] => (Some(scope), name, label),
        [Token::Variable, name, label @ ..] => (None, name, label),
        _ => return syntax("a list that begins with @@variables has only those"),
    };
    let name = text_of(name);
    let label = match label {
        [] => scope.map_or_else(|| format!("@@{name}"), |scope| format!("@@{}.{name}", text_of(scope))),
        [label] => text_of(label),
        [keyword, label] if keyword.is("AS") => text_of(label),
        _ => return syntax("a list that begins with @@variables has only those"),
    };
    Ok((label, name))
}

fn parse_use(rest: &[Token]) -> Result<Statement, Refusal> {
    match rest {
        [schema @ (Token::Word(_) | Token::Name(_))] => Ok(Statement::Use(text_of(schema))),
        _ => syntax("USE takes one schema: main, disk, stats or monitor"),
    }
}

fn parse_truncate(rest: &[Token]) -> Result<Statement, Refusal> {
    let table = match rest {
        [keyword, table @ ..] if keyword.is("TABLE") && !table.is_empty() => table,
        table => table,
    };
    if let Some(last) =
        table.last().filter(|_| table.len() == 1 || table.first().is_some_and(|t| t.is("stats")))
        && (last.is("stats_mysql_query_digest") || last.is("stats_mysql_query_digest_reset"))
    {
        return Ok(Statement::ResetDigests);
    }
    match qualified_name(table) {
        Some(name) => Ok(Statement::Sql(format!("DELETE FROM {name}"))),
        None => syntax("TRUNCATE takes one table"),
    }
}

/// `table` or `schema.table`, quoted for SQLite.
fn qualified_name(tokens: &[Token]) -> Option<String> {
    let quote = |token: &Token| match token {
        Token::Word(name) | Token::Name(name) => Some(format!("\"{}\"", name.replace('"', "\"\""))),
        Token::Text(_) | Token::Variable | Token::Symbol(_) => None,
    };
    match tokens {
        [table] => quote(table),
        [schema, Token::Symbol('.'), table] => Some(format!("{}.{}", quote(schema)?, quote(table)?)),
        _ => None,
    }
}

fn parse_kill(rest: &[Token]) -> Result<Statement, Refusal> {
    let (query_only, id) = match rest {
        [keyword, id] if keyword.is("CONNECTION") => (false, id),
        [keyword, id] if keyword.is("QUERY") => (true, id),
        [id] => (false, id),
        _ => return syntax("KILL [CONNECTION|QUERY] session"),
    };
    match text_of(id).parse() {
        Ok(session) => Ok(Statement::Kill { session, query_only }),
        Err(_) => syntax("KILL takes the number of a session, as in stats_mysql_processlist"),
    }
}
