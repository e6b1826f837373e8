//! The session state that a client has set and a backend must have before it runs the client's next statement. Pure.
//!
//! A client's settings and a backend's settings are the same small value; handing a backend over is replaying the
//! difference. A statement enters here only after a backend has accepted it.

use proxyd_sql::token::unquote;
use proxyd_sql::{Assignment, Scope, Target, Value, ValueKind};

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

/// A longer value of a variable is not carried to other connections.
const LONGEST_VALUE: usize = 4096;

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

    /// Takes in an assignment that a backend has accepted, by its text.
    pub fn assign(&mut self, assignment: &Assignment<'_>) -> Kept {
        let value = assignment.value;
        // Bytes of another character set mean something only under that one.
        let text = std::str::from_utf8(value.text).ok().filter(|_| value.is_literal());
        match assignment.target {
            Target::Variable { scope: Scope::Global | Scope::Persist, .. }
            | Target::Isolation { scope: Scope::Global | Scope::Persist }
            | Target::AccessMode { scope: Scope::Global | Scope::Persist } => Kept::Replayable,
            Target::Variable { scope: Scope::NextTransaction, .. }
            | Target::Isolation { scope: Scope::NextTransaction }
            | Target::AccessMode { scope: Scope::NextTransaction } => Kept::ForNextTransaction,
            Target::UserVariable(name) => self.assign_user_variable(plain_name(name), value, text),
            Target::Names { collation } => {
                let collation = match collation.map(|c| std::str::from_utf8(c.text)) {
                    Some(Err(_)) => return Kept::Unknown,
                    Some(Ok(collation)) => format!(" COLLATE {collation}"),
                    None => String::new(),
                };
                self.set_charset(text.map(|text| format!("NAMES {text}{collation}")))
            }
            Target::CharacterSet => self.set_charset(text.map(|text| format!("CHARACTER SET {text}"))),
            Target::Isolation { scope: Scope::Session } => {
                put(
                    &mut self.variables,
                    format!("{ISOLATION}{}", text.unwrap_or_default().to_lowercase()),
                    "",
                );
                Kept::Replayable
            }
            Target::AccessMode { scope: Scope::Session } => {
                put(&mut self.variables, format!("{ACCESS}{}", text.unwrap_or_default().to_lowercase()), "");
                Kept::Replayable
            }
            Target::Variable { scope: Scope::Session, name } => {
                self.assign_session_variable(&plain_name(name), value, text)
            }
        }
    }

    fn assign_session_variable(&mut self, name: &str, value: Value<'_>, text: Option<&str>) -> Kept {
        match (Nature::of(name), text) {
            (Nature::Tracker, _) => Kept::OwnTracking,
            // The status of the answer says what it is now.
            (Nature::Autocommit, _) => value.as_bool().map_or(Kept::Unknown, |_| Kept::Replayable),
            (Nature::Reported, _) => Kept::Replayable,
            (Nature::OneConnection, _) | (_, None) => Kept::Unknown,
            (_, Some(_)) if value.kind == ValueKind::Default => {
                self.note_dependants(name);
                self.variables.retain(|variable| *variable.name != *name);
                Kept::Replayable
            }
            (_, Some(text)) => {
                self.note_dependants(name);
                put(&mut self.variables, name, text);
                Kept::Replayable
            }
        }
    }

    fn assign_user_variable(&mut self, name: String, value: Value<'_>, text: Option<&str>) -> Kept {
        // A lone word may be a function (CURRENT_DATE).
        let is_constant = value.kind != ValueKind::Word || value.as_bool().is_some();
        match text.filter(|_| is_constant) {
            Some(text) => {
                put(&mut self.user_variables, name, text);
                Kept::Replayable
            }
            None => {
                self.user_variables.retain(|variable| *variable.name != *name);
                Kept::AtBackend
            }
        }
    }

    /// `SET NAMES` and `SET CHARACTER SET` with these words; `None` where the words do not say it.
    fn set_charset(&mut self, words: Option<String>) -> Kept {
        let Some(words) = words else { return Kept::Unknown };
        self.variables.retain(|variable| !is_charset(&variable.name));
        self.charset = Charset::Names(words.into());
        Kept::Replayable
    }

    /// Takes in a session variable whose value the backend has told.
    pub fn track(&mut self, name: &str, value: &str) -> Kept {
        match Nature::of(name) {
            Nature::Tracker => return Kept::OwnTracking,
            Nature::Autocommit | Nature::Reported => return Kept::Replayable,
            Nature::OneConnection => return Kept::Unknown,
            Nature::Plain => {}
        }
        let Some(literal) = literal(name, value) else { return Kept::Unknown };
        self.note_dependants(name);
        put(&mut self.variables, name, &literal);
        Kept::Replayable
    }

    /// Setting one of these two sets the other.
    fn note_dependants(&mut self, name: &str) {
        let other = match name {
            "character_set_connection" => "collation_connection",
            "collation_connection" => "character_set_connection",
            _ => return,
        };
        self.variables.retain(|variable| *variable.name != *other);
    }

    /// Whether user variables are set whose text means something else under another character set or `sql_mode`.
    pub fn has_text_variables(&self) -> bool {
        self.user_variables.iter().any(is_text)
    }

    /// Whether a text in a statement means the same under both: its character set, its collation, its escapes and quotes.
    pub fn reads_text_like(&self, other: &Settings) -> bool {
        let matters = |v: &&Variable| &*v.name == "sql_mode" || is_charset(&v.name);
        let (own, others) = (self.variables.iter().filter(matters), other.variables.iter().filter(matters));
        self.charset == other.charset && own.eq(others)
    }

    /// Whether `SET CHARACTER SET` has made the connection's collation that of the schema.
    pub fn follows_schema(&self) -> bool {
        matches!(&self.charset, Charset::Names(words) if words.starts_with("CHARACTER SET"))
    }

    /// A connection with these settings can be brought to `wanted`: a schema that was selected can be changed, but no
    /// statement gives it up.
    pub fn can_become(&self, wanted: &Settings) -> bool {
        self.schema.is_empty() || !wanted.schema.is_empty()
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
        let transaction = |v: &Variable| v.name.starts_with(TRANSACTION);
        if self.variables.iter().any(|v| transaction(v) && !wanted.variables.contains(v)) {
            return Difference::Reset;
        }
        // A user variable that is NULL again is not one that was never set: it keeps its type.
        let set_again = |v: &Variable| wanted.user_variables.iter().any(|w| w.name == v.name);
        if !self.user_variables.iter().all(set_again) {
            return Difference::Reset;
        }
        let mut clauses = Vec::new();
        // A single variable of a character set is taken back by setting all of them.
        let undone = |v: &Variable| is_charset(&v.name) && !wanted.variables.contains(v);
        let renamed = self.charset != wanted.charset || self.variables.iter().any(undone);
        if renamed {
            match charset::set_clause(&wanted.charset) {
                Some(clause) => clauses.push(clause),
                None if self.charset == Charset::Unknown => clauses.push("NAMES DEFAULT".to_owned()),
                None => return Difference::Reset,
            }
        }
        if self.autocommit != wanted.autocommit {
            clauses.push(format!("autocommit={}", u8::from(wanted.autocommit)));
        }
        let have = self.variables.iter().filter(|v| !(renamed && is_charset(&v.name)));
        clauses.extend(changes(have, &wanted.variables, "@@session."));
        let mut set = Vec::new();
        set.extend((!clauses.is_empty()).then(|| format!("SET {}", clauses.join(", "))));
        // Not assignments: each `SET SESSION TRANSACTION …` stands alone in its statement.
        let new = wanted.variables.iter().filter(|v| transaction(v) && !self.variables.contains(v));
        set.extend(new.map(|v| format!("SET SESSION {}", v.name.to_uppercase())));
        // Last, and in a statement of their own: their text is read under the character set and mode of before.
        let alike = self.reads_text_like(wanted);
        let have = self.user_variables.iter().filter(|v| alike || !is_text(v));
        let own: Vec<_> = changes(have, &wanted.user_variables, "@").collect();
        set.extend((!own.is_empty()).then(|| format!("SET {}", own.join(", "))));
        let schema =
            (self.schema != wanted.schema && !wanted.schema.is_empty()).then(|| wanted.schema.clone());
        Difference::Replay { schema, set }
    }
}

/// What kind of session variable a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nature {
    /// Its value can be replayed.
    Plain,
    Autocommit,
    /// It only reports: nothing is to be carried over.
    Reported,
    /// It switches on what the client is told of its session.
    Tracker,
    /// It means something on the connection where it was set only, or is used up there.
    OneConnection,
}

impl Nature {
    fn of(name: &str) -> Nature {
        match name {
            "autocommit" => Nature::Autocommit,
            "last_gtid" | "statement_id" | "last_insert_id" => Nature::Reported,
            "timestamp"
            | "insert_id"
            | "identity"
            | "rand_seed1"
            | "rand_seed2"
            | "pseudo_thread_id"
            | "pseudo_slave_mode"
            | "pseudo_replica_mode"
            | "gtid_next"
            | "gtid_seq_no"
            | "character_set_database"
            | "collation_database" => Nature::OneConnection,
            tracker if tracker.starts_with("session_track_") => Nature::Tracker,
            _ => Nature::Plain,
        }
    }
}

/// Whether a variable's value stands in quotes.
fn is_text(variable: &Variable) -> bool {
    variable.value.contains(['\'', '"'])
}

fn is_charset(name: &str) -> bool {
    matches!(
        name,
        "character_set_client"
            | "character_set_connection"
            | "character_set_results"
            | "collation_connection"
    )
}

/// A value as a server tells it, in the form that `SET` takes; `None` when it cannot be said the same everywhere.
fn literal(name: &str, value: &str) -> Option<String> {
    if value.is_empty() && is_charset(name) {
        return Some("NULL".to_owned());
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    let number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|c| c.is_ascii_digit() || c == b'.')
        && digits.bytes().filter(|&c| c == b'.').count() <= 1;
    if number {
        return Some(value.to_owned());
    }
    let plain = value.is_ascii() && !value.contains('\\') && value.len() <= LONGEST_VALUE;
    plain.then(|| format!("'{}'", value.replace('\'', "''")))
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

/// What takes a session variable back. Of two of them MySQL takes DEFAULT for the opposite of the default.
fn default_of(name: &str) -> &'static str {
    match name {
        "foreign_key_checks" => "@@global.foreign_key_checks",
        "unique_checks" => "@@global.unique_checks",
        _ => "DEFAULT",
    }
}

/// The assignments that turn `have` into `want`: new and changed values, and the default for what is no longer set.
fn changes<'a>(
    have: impl Iterator<Item = &'a Variable> + Clone,
    want: &'a [Variable],
    prefix: &'a str,
) -> impl Iterator<Item = String> {
    let plain = |v: &&Variable| !v.name.starts_with(TRANSACTION);
    let gone = have.clone().filter(plain).filter(|v| !want.iter().any(|w| w.name == v.name));
    let new = want.iter().filter(plain).filter(move |&v| !have.clone().any(|h| h == v));
    gone.map(move |v| format!("{prefix}{}={}", quoted(&v.name), default_of(&v.name)))
        .chain(new.map(move |v| format!("{prefix}{}={}", quoted(&v.name), v.value)))
}

/// A variable's name as SQL: plain where it may be, else in backticks (`@"x y"`).
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == '.';
    if name.chars().all(plain) { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
