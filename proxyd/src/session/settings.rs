//! The session state that a client has set and a backend must have before it runs the client's next statement. Pure.
//!
//! A client's settings and a backend's settings are the same small value; handing a backend over is replaying the
//! difference. A statement enters here only after a backend has accepted it.

use proxyd_sql::token::unquote;
use proxyd_sql::{Assignment, Scope, Target};

use super::charset;

/// What a client's connection is set to, or what a backend's is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Empty on a backend that has selected none yet.
    pub schema: Box<str>,
    pub charset: Charset,
    pub autocommit: bool,
    /// Session variables with a literal value, sorted by name.
    variables: Vec<Variable>,
    /// User variables with a literal value, sorted by name.
    user_variables: Vec<Variable>,
}

impl Settings {
    /// The literal that was set for a session variable, by its name in lower case.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|variable| *variable.name == *name).map(|variable| &*variable.value)
    }
}

/// A name in lower case and its value as SQL text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    name: Box<str>,
    value: Box<str>,
}

/// The character set and collation of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charset {
    /// Not known: the next user must set it.
    Unknown,
    /// The collation id of a handshake.
    Id(u16),
    /// The words after `SET NAMES`, or `SET CHARACTER SET` (with its keyword).
    Names(Box<str>),
}

/// How to make a backend fit a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    /// Nothing to do.
    None,
    /// Change the schema and run the `SET` statements, each if there is one.
    Replay { schema: Option<Box<str>>, set: Vec<String> },
    /// The backend holds something that no statement takes back: reset it first, then replay.
    Reset,
}

/// What became of an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It can be replayed on any backend (or concerns no session at all).
    Replayable,
    /// A user variable whose value only the backend knows.
    AtBackend,
    /// It holds for the next transaction, on this backend.
    ForNextTransaction,
    /// A session variable whose value only the backend knows.
    Unknown,
    /// What the client wants to be told of its session: others must not be told so.
    OwnTracking,
}

/// `SET SESSION TRANSACTION …` is kept under pseudo variables whose name is the whole clause and whose value is empty.
const TRANSACTION: &str = "transaction ";
const ISOLATION: &str = "transaction isolation level ";
const ACCESS: &str = "transaction ";

impl Settings {
    pub fn new(schema: &str, charset: Charset) -> Settings {
        Settings {
            schema: schema.into(),
            charset,
            autocommit: true,
            variables: Vec::new(),
            user_variables: Vec::new(),
        }
    }

    /// A backend's settings after COM_RESET_CONNECTION: as new, but its character set is the server's default.
    pub fn after_reset(&self) -> Settings {
        Settings::new(&self.schema, Charset::Unknown)
    }

    /// Everything here that an answer's bytes may depend on, for the key of a cache.
    pub fn write_key(&self, key: &mut Vec<u8>) {
        let mut field = |text: &str| {
            key.extend_from_slice(text.as_bytes());
            key.push(0);
        };
        field(&self.schema);
        match &self.charset {
            Charset::Unknown => field(""),
            Charset::Id(id) => field(&id.to_string()),
            Charset::Names(words) => field(words),
        }
        for variable in &self.variables {
            field(&variable.name);
            field(&variable.value);
        }
        key.push(0);
    }

    /// What a prepared statement keeps of the settings that it was prepared under.
    pub fn environment(&self) -> Settings {
        let variables = self.variables.iter().filter(|v| !v.name.starts_with(TRANSACTION)).cloned().collect();
        Settings { variables, ..Settings::new(&self.schema, self.charset.clone()) }
    }

    /// These settings, with what [`Settings::environment`] kept in place of what it is now.
    pub fn under(&self, environment: &Settings) -> Settings {
        let own = self.variables.iter().filter(|v| v.name.starts_with(TRANSACTION));
        let mut variables: Vec<_> = own.chain(&environment.variables).cloned().collect();
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        let (schema, charset) = (environment.schema.clone(), environment.charset.clone());
        Settings { schema, charset, variables, ..self.clone() }
    }

    /// Takes in an assignment that a backend has accepted.
    pub fn assign(&mut self, assignment: &Assignment<'_>) -> Kept {
        let value = assignment.value;
        let text = String::from_utf8_lossy(value.text);
        match assignment.target {
            Target::Variable { scope: Scope::Global | Scope::Persist, .. }
            | Target::Isolation { scope: Scope::Global | Scope::Persist }
            | Target::AccessMode { scope: Scope::Global | Scope::Persist } => {}
            Target::Variable { scope: Scope::NextTransaction, .. }
            | Target::Isolation { scope: Scope::NextTransaction }
            | Target::AccessMode { scope: Scope::NextTransaction } => return Kept::ForNextTransaction,
            Target::UserVariable(name) if !value.is_literal() => {
                let name = plain_name(name);
                self.user_variables.retain(|v| *v.name != *name);
                return Kept::AtBackend;
            }
            Target::Variable { scope: Scope::Session, name }
                if plain_name(name).starts_with("session_track_") =>
            {
                return Kept::OwnTracking;
            }
            _ if !value.is_literal() => return Kept::Unknown,
            Target::UserVariable(name) => put(&mut self.user_variables, plain_name(name), &text),
            Target::Names { collation } => {
                let collation = collation.map(|c| format!(" COLLATE {}", String::from_utf8_lossy(c.text)));
                self.charset =
                    Charset::Names(format!("NAMES {text}{}", collation.unwrap_or_default()).into());
            }
            Target::CharacterSet => self.charset = Charset::Names(format!("CHARACTER SET {text}").into()),
            Target::Isolation { scope: Scope::Session } => {
                put(&mut self.variables, format!("{ISOLATION}{}", text.to_lowercase()), "");
            }
            Target::AccessMode { scope: Scope::Session } => {
                put(&mut self.variables, format!("{ACCESS}{}", text.to_lowercase()), "");
            }
            Target::Variable { scope: Scope::Session, name } => {
                let name = plain_name(name);
                if name == "autocommit" {
                    // The status of the answer says what it is now.
                    return value.as_bool().map_or(Kept::Unknown, |_| Kept::Replayable);
                }
                put(&mut self.variables, name, &text);
            }
        }
        Kept::Replayable
    }

    /// Forgets the user variables: a statement has assigned some, and only one backend knows what.
    pub fn forget_user_variables(&mut self) {
        self.user_variables.clear();
    }

    /// What to run on a backend with settings `self` to make it fit `wanted`.
    pub fn difference(&self, wanted: &Settings) -> Difference {
        if self == wanted {
            return Difference::None;
        }
        let mut clauses = Vec::new();
        if self.charset != wanted.charset {
            match charset::set_clause(&wanted.charset) {
                Some(clause) => clauses.push(clause),
                None if self.charset == Charset::Unknown => clauses.push("NAMES DEFAULT".to_owned()),
                None => return Difference::Reset,
            }
        }
        if self.autocommit != wanted.autocommit {
            clauses.push(format!("autocommit={}", u8::from(wanted.autocommit)));
        }
        let transaction = |v: &Variable| v.name.starts_with(TRANSACTION);
        if self.variables.iter().any(|v| transaction(v) && !wanted.variables.contains(v)) {
            return Difference::Reset;
        }
        clauses.extend(changes(&self.variables, &wanted.variables, "@@session.", "DEFAULT"));
        clauses.extend(changes(&self.user_variables, &wanted.user_variables, "@", "NULL"));
        let mut set: Vec<String> =
            (!clauses.is_empty()).then(|| format!("SET {}", clauses.join(", "))).into_iter().collect();
        // Not assignments: each `SET SESSION TRANSACTION …` stands alone in its statement.
        let new = wanted.variables.iter().filter(|v| transaction(v) && !self.variables.contains(v));
        set.extend(new.map(|v| format!("SET SESSION {}", v.name.to_uppercase())));
        let schema = (self.schema != wanted.schema).then(|| wanted.schema.clone());
        Difference::Replay { schema, set }
    }
}

fn put(list: &mut Vec<Variable>, name: impl Into<Box<str>>, value: &str) {
    let new = Variable { name: name.into(), value: value.into() };
    if new.name.starts_with(TRANSACTION) {
        // A later isolation level replaces an earlier one, and a later access mode an earlier one.
        let is_isolation = new.name.starts_with(ISOLATION);
        list.retain(|v| !v.name.starts_with(TRANSACTION) || v.name.starts_with(ISOLATION) != is_isolation);
    }
    match list.binary_search_by(|v| v.name.cmp(&new.name)) {
        Ok(at) => list[at] = new,
        Err(at) => list.insert(at, new),
    }
}

fn plain_name(name: &[u8]) -> String {
    String::from_utf8_lossy(&unquote(name)).to_lowercase()
}

/// The assignments that turn `have` into `want`: new and changed values, and `reset` for what is no longer set.
fn changes<'a>(
    have: &'a [Variable],
    want: &'a [Variable],
    prefix: &'a str,
    reset: &'a str,
) -> impl Iterator<Item = String> + 'a {
    let plain = |v: &&Variable| !v.name.starts_with(TRANSACTION);
    let gone = have.iter().filter(plain).filter(|v| !want.iter().any(|w| w.name == v.name));
    let new = want.iter().filter(plain).filter(|v| !have.contains(v));
    gone.map(move |v| format!("{prefix}{}={reset}", quoted(&v.name)))
        .chain(new.map(move |v| format!("{prefix}{}={}", quoted(&v.name), v.value)))
}

/// A variable's name as SQL: plain where it may be, else in backticks (`@"x y"`).
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '.';
    if name.chars().all(plain) { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &mut Settings, sql: &str) -> Vec<Kept> {
        let assignments = proxyd_sql::parse_set(sql.as_bytes()).unwrap();
        assignments.iter().map(|assignment| settings.assign(assignment)).collect()
    }

    fn fresh() -> Settings {
        Settings::new("test", Charset::Id(45))
    }

    fn replay(have: &Settings, want: &Settings) -> (Option<String>, Option<String>) {
        match have.difference(want) {
            Difference::Replay { schema, set } => (schema.map(String::from), set.first().cloned()),
            Difference::None => (None, None),
            Difference::Reset => panic!("reset"),
        }
    }

    #[test]
    fn literals_are_replayed_and_taken_back() {
        let (plain, mut client) = (fresh(), fresh());
        let kept =
            set(&mut client, "SET SESSION sql_mode='ANSI', @a = 'x', @@time_zone='+00:00', NAMES latin1");
        assert_eq!(kept, [Kept::Replayable; 4]);
        let (schema, sql) = replay(&plain, &client);
        assert_eq!(schema, None);
        assert_eq!(
            sql.unwrap(),
            "SET NAMES latin1, @@session.sql_mode='ANSI', @@session.time_zone='+00:00', @a='x'"
        );
        let (_, back) = replay(&client, &plain);
        assert_eq!(
            back.unwrap(),
            "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci, @@session.sql_mode=DEFAULT, \
             @@session.time_zone=DEFAULT, @a=NULL"
        );
    }

    #[test]
    fn what_only_the_backend_knows_is_not_kept() {
        let mut client = fresh();
        assert_eq!(set(&mut client, "SET @a=1"), [Kept::Replayable]);
        assert_eq!(set(&mut client, "SET @a=@b+1"), [Kept::AtBackend]);
        assert_eq!(client, fresh());
        assert_eq!(set(&mut client, "SET sql_mode=CONCAT(@@sql_mode,',ANSI')"), [Kept::Unknown]);
        assert_eq!(set(&mut client, "SET sql_mode=?, @b=?"), [Kept::Unknown, Kept::AtBackend]);
        assert_eq!(set(&mut client, "SET TRANSACTION READ ONLY"), [Kept::ForNextTransaction]);
        assert_eq!(set(&mut client, "SET GLOBAL max_connections=5"), [Kept::Replayable]);
        assert_eq!(client, fresh());
    }

    #[test]
    fn transaction_characteristics_replace_each_other_and_need_a_reset_to_go() {
        let (plain, mut client) = (fresh(), fresh());
        set(&mut client, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
        set(&mut client, "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE");
        assert_eq!(
            replay(&plain, &client).1.unwrap(),
            "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"
        );
        assert_eq!(client.difference(&plain), Difference::Reset);
    }

    #[test]
    fn a_statement_is_prepared_again_under_the_settings_of_its_first_time() {
        let mut client = fresh();
        set(&mut client, "SET sql_mode='ANSI', @a=1, NAMES latin1");
        set(&mut client, "SET SESSION TRANSACTION READ ONLY");
        let environment = client.environment();
        client.schema = "other".into();
        set(&mut client, "SET sql_mode='', time_zone='+00:00', NAMES utf8mb4");
        let under = client.under(&environment);
        assert_eq!(under.environment(), environment);
        assert_eq!((&*under.schema, under.variable("sql_mode")), ("test", Some("'ANSI'")));
        let (schema, sql) = replay(&under, &client);
        assert_eq!(schema.as_deref(), Some("other"));
        assert_eq!(sql.unwrap(), "SET NAMES utf8mb4, @@session.sql_mode='', @@session.time_zone='+00:00'");
    }

    #[test]
    fn a_schema_and_autocommit_are_replayed() {
        let (plain, mut client) = (fresh(), fresh());
        client.schema = "other".into();
        client.autocommit = false;
        let (schema, sql) = replay(&plain, &client);
        assert_eq!((schema.as_deref(), sql.as_deref()), (Some("other"), Some("SET autocommit=0")));
        assert_eq!(plain.difference(&plain.clone()), Difference::None);
    }
}
