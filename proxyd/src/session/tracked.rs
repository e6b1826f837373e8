//! What a statement has changed of its session: by what it says, and by what the server says of it.
//!
//! The server's word counts where there is one: it names the variables that a procedure, a trigger or an expression has
//! set, with their values. What it says without saying what ([`Change::StateChange`]), and what a statement does that
//! neither tells, ties the session to its connection.

use proxyd_sql::{Assignment, Flags, Kind, Scope, Statement, Target, Unparsed, ValueKind, parse_set};
use proxyd_wire::Status;
use proxyd_wire::response::session_track::{Change, changes};
use proxyd_wire::response::{Outcome, SchemaDebt};

use super::settings::{Kept, Settings};
use super::{Session, local};

/// What an answer's session state changes say, taken apart.
#[derive(Debug, Default)]
struct Told<'a> {
    variables: Vec<(&'a str, &'a str)>,
    schema: Option<&'a str>,
    /// Something changed that may be none of the above.
    something: bool,
    /// The characteristics of the transaction that is open or, with none open, of the next one.
    characteristics: Option<&'a [u8]>,
    gtid: Option<&'a [u8]>,
}

impl<'a> Told<'a> {
    fn of(outcome: &'a Outcome) -> Told<'a> {
        let mut told = Told { something: outcome.tail_lost, ..Told::default() };
        for change in changes(outcome.session_track.as_deref().unwrap_or_default()).map_while(Result::ok) {
            match change {
                Change::Gtids(gtid) | Change::SystemVariable { name: b"last_gtid", value: gtid } => {
                    told.gtid = Some(gtid);
                }
                Change::SystemVariable { name: b"statement_id", .. } => {}
                Change::SystemVariable { name, value } => {
                    match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                        (Ok(name), Ok(value)) => told.variables.push((name, value)),
                        _ => told.something = true,
                    }
                }
                Change::Schema(name) => match std::str::from_utf8(name) {
                    Ok(name) => told.schema = Some(name),
                    Err(_) => told.something = true,
                },
                Change::StateChange(changed) => told.something |= changed,
                Change::TransactionCharacteristics(text) => told.characteristics = Some(text),
                Change::TransactionState(_) | Change::Other { .. } => {}
            }
        }
        told
    }

    /// Whether the server has told the value of what this assignment sets.
    fn tells(&self, assignment: &Assignment<'_>) -> bool {
        let named = |wanted: &dyn Fn(&str) -> bool| self.variables.iter().any(|(name, _)| wanted(name));
        // A default is the server's own; kept as what it is, it needs no replay.
        if assignment.value.kind == ValueKind::Default {
            return false;
        }
        match assignment.target {
            Target::Variable { scope: Scope::Session, name } => {
                named(&|told| name.eq_ignore_ascii_case(told.as_bytes()))
            }
            Target::Isolation { scope: Scope::Session } => {
                named(&|told| told.ends_with("x_isolation") || told == "transaction_isolation")
            }
            Target::AccessMode { scope: Scope::Session } => {
                named(&|told| told.ends_with("x_read_only") || told == "transaction_read_only")
            }
            _ => false,
        }
    }
}

/// What one statement is, for what it may have changed.
#[derive(Clone, Copy)]
pub(super) struct Ran<'a> {
    /// The command with its text.
    pub head: &'a [u8],
    pub text: &'a [u8],
    pub statement: &'a Statement<'a>,
}

impl Session {
    /// What a statement that a backend has answered has changed of the session.
    pub(super) fn note_session_changes(&mut self, ran: Ran<'_>, outcome: &Outcome) {
        let told = Told::of(outcome);
        if let Some(held) = self.attached.last() {
            self.note_commit(told.gtid, ran.statement, outcome, &held.backend);
        }
        let Some(held) = self.attached.last_mut() else { return };
        self.schema_debt = match outcome.schema_debt {
            // MySQL's own debts come with its next OK, whatever that is.
            SchemaDebt::Nobody
                if outcome.is_err() && ran.statement.kind == Kind::Call && held.backend.is_mariadb() =>
            {
                SchemaDebt::Server
            }
            debt => debt,
        };
        let may_matter = ran.statement.kind == Kind::Set || !told.variables.is_empty();
        let before = may_matter.then(|| self.settings.clone());
        let kept = match outcome.is_err() {
            true => failed(ran),
            false => said(ran, &told, &mut self.settings),
        };
        kept.into_iter().for_each(|kept| held.pins.note_assignment(kept));
        let skipped = match ran.statement.kind {
            Kind::Set if !outcome.is_err() => assigned(ran.text),
            _ => Vec::new(),
        };
        for (name, value) in &told.variables {
            let own = skipped.iter().any(|assignment| overrules(assignment, name));
            if !own {
                held.pins.note_assignment(self.settings.track(name, value));
            }
            held.pins.note_variable(name, std::time::Instant::now());
        }
        if let Some(schema) = new_schema(ran, &told, outcome) {
            if self.settings.follows_schema() {
                held.pins.note_unknown_set();
            }
            self.settings.schema = schema.clone();
            self.record.names.borrow_mut().schema = schema;
        }
        if let Some(text) = told.characteristics {
            held.pins.next_transaction(!text.is_empty());
        }
        if told.something && !explains_itself(ran) {
            held.pins.note_unknown_state();
        }
        let other_words = before.is_some_and(|before| !before.reads_text_like(&self.settings));
        if other_words && self.settings.has_text_variables() {
            // Their text would mean something else now; the connection has their values.
            self.settings.forget_user_variables();
            held.pins.note_assignment(Kept::AtBackend);
        }
        if held.backend.settings != self.settings {
            held.backend.settings.clone_from(&self.settings);
        }
    }
}

/// What a statement that worked says of itself.
fn said(ran: Ran<'_>, told: &Told<'_>, settings: &mut Settings) -> Vec<Kept> {
    let mut kept = Vec::new();
    let flags = ran.statement.flags;
    if ran.statement.kind == Kind::Set {
        match parse_set(ran.text) {
            Ok(list) => {
                let untold = list.iter().filter(|assignment| !told.tells(assignment));
                kept.extend(untold.map(|assignment| settings.assign(assignment)));
            }
            Err(Unparsed::OtherForm) if local::is_harmless_set(ran.text) => {}
            Err(_) => kept.push(Kept::Unknown),
        }
    } else if flags.has(Flags::ASSIGNS_USER_VARIABLE) {
        settings.forget_user_variables();
        kept.push(Kept::AtBackend);
    }
    if flags.has(Flags::MULTI_STATEMENT) && local::sets_something(ran.text) {
        kept.push(Kept::Unknown);
    }
    kept
}

/// What a statement that failed may have changed all the same.
fn failed(ran: Ran<'_>) -> Vec<Kept> {
    let partly = match ran.statement.kind {
        Kind::Set => parse_set(ran.text).map_or(true, |list| list.len() > 1),
        Kind::Call => true,
        _ => ran.statement.flags.has(Flags::MULTI_STATEMENT) && local::sets_something(ran.text),
    };
    if partly { vec![Kept::Unknown] } else { Vec::new() }
}

/// The assignments of a SET; none of what is not understood.
fn assigned(text: &[u8]) -> Vec<Assignment<'_>> {
    parse_set(text).unwrap_or_default()
}

/// Whether this assignment says more of a variable than its value does: a default, or the words of a character set.
fn overrules(assignment: &Assignment<'_>, name: &str) -> bool {
    match assignment.target {
        Target::Names { .. } | Target::CharacterSet => {
            name.starts_with("character_set_") || name == "collation_connection"
        }
        Target::Variable { scope: Scope::Session, name: set } => {
            assignment.value.kind == ValueKind::Default && set.eq_ignore_ascii_case(name.as_bytes())
        }
        _ => false,
    }
}

/// The schema that the session has now, if it has another one.
fn new_schema(ran: Ran<'_>, told: &Told<'_>, outcome: &Outcome) -> Option<Box<str>> {
    match told.schema {
        Some(name) if !name.is_empty() => return Some(name.into()),
        // MySQL says an empty name for other reasons too.
        Some(_) if outcome.status.is_some_and(|status| status.contains(Status::DB_DROPPED)) => {
            return Some("".into());
        }
        _ => {}
    }
    if outcome.is_err() { None } else { local::schema_of(ran.head, ran.statement) }
}

/// Whether a change of state is what the statement is for, and is followed by its text.
fn explains_itself(ran: Ran<'_>) -> bool {
    let flags = ran.statement.flags;
    ran.statement.kind == Kind::Set
        || local::schema_of(ran.head, ran.statement).is_some()
        || (flags.any(Flags::TEMPORARY_TABLE.with(Flags::PREPARE)) && !flags.has(Flags::MULTI_STATEMENT))
}
