//! What ties a session to one backend connection, and when it lets go. Pure.
//!
//! A *hard* pin keeps every statement of the session on that connection, because any of them may depend on what is
//! there. A *soft* pin only keeps the connection for the statements that name what is there; all others go where the
//! rules send them. This is why there is no error 9006: a session that is tied down is served where it is tied.

use std::time::{Duration, Instant};

use proxyd_sql::{Flags, Kind, Statement};

use super::settings::Kept;
use crate::route::Multiplex;

/// After an INSERT that made an id, `LAST_INSERT_ID()` stays answerable for so many statements or so long
/// (`mysql-auto_increment_delay_multiplex` and its time-out).
const INSERT_ID_STATEMENTS: u8 = 5;
const INSERT_ID_TIME: Duration = Duration::from_secs(10);

/// What an answer says about the connection it came from.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// SERVER_STATUS_IN_TRANS; `None` when the answer carried no status (an error).
    pub in_transaction: Option<bool>,
    /// SERVER_STATUS_IN_TRANS_READONLY.
    pub read_only: bool,
    pub failed: bool,
    pub warnings: u16,
    pub last_insert_id: u64,
}

/// What is known of the last insert id that a connection holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InsertId {
    /// It stays there for a while: the next statements are likely to ask for it.
    Kept { statements: u8, until: Instant },
    /// It is to be fetched, so that the connection can go.
    Due,
    /// The session has made a newer one elsewhere.
    Stale,
}

/// The ties of one session to one backend connection.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Pins {
    pub transaction: bool,
    /// The transaction is READ ONLY: servers refuse to prepare what writes.
    read_only: bool,
    next_transaction: bool,
    /// SET TRANSACTION was said for the transaction that is open, or for the next one.
    shaped: bool,
    temporary_table: bool,
    table_locks: bool,
    /// GET_LOCK, HANDLER, XA.
    connection_state: bool,
    unknown_set: bool,
    /// The client has switched on what it wants to be told of its session.
    pub own_tracking: bool,
    /// The server says that something has changed, and nothing says what.
    unknown_state: bool,
    text_prepared: bool,
    user_variables: bool,
    found_rows: bool,
    warnings: bool,
    insert_id: Option<InsertId>,
    /// A rule said `multiplex=0` or `sticky_conn=1`: the connection stays, the rules go on routing.
    pub rule: bool,
    /// A rule said `multiplex=2`, or 1: what the statement under way does to user variables, or an unknown SET of it, ties
    /// nothing.
    excused: Excuse,
    /// A cursor is open on the connection.
    pub cursor: bool,
}

/// What a rule's `multiplex` lets one statement do without being tied.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Excuse {
    #[default]
    Nothing,
    UnknownSets,
    VariablesAndUnknownSets,
}

impl Pins {
    /// Why the connection is kept, in a word for operators; empty when it is not.
    pub fn reason(&self) -> &'static str {
        match self {
            p if p.transaction => "transaction",
            p if p.next_transaction => "set-transaction",
            p if p.temporary_table => "temporary-table",
            p if p.table_locks || p.connection_state => "lock",
            p if p.unknown_set => "set",
            p if p.own_tracking => "session-track",
            p if p.unknown_state => "session-state",
            p if p.text_prepared => "prepare",
            p if p.cursor => "cursor",
            p if p.user_variables => "user-variable",
            p if p.found_rows => "found-rows",
            p if p.insert_id.is_some() => "last-insert-id",
            p if p.warnings => "warnings",
            p if p.rule => "rule",
            _ => "",
        }
    }

    pub fn is_free(&self) -> bool {
        self.reason().is_empty()
    }

    /// Every statement must come here.
    pub fn is_hard(&self) -> bool {
        self.transaction
            || self.next_transaction
            || self.temporary_table
            || self.table_locks
            || self.connection_state
            || self.unknown_set
            || self.own_tracking
            || self.unknown_state
            || self.text_prepared
    }

    /// Statements may mean something else on this connection than on others: other tables, another grammar, no writes.
    pub fn changes_meaning(&self) -> bool {
        self.temporary_table
            || self.table_locks
            || self.connection_state
            || self.unknown_set
            || self.own_tracking
            || self.unknown_state
            || self.shaped
            || self.read_only
    }

    /// This statement must come here, by what it names.
    pub fn wants(&self, statement: &Statement<'_>) -> bool {
        self.is_hard()
            || (self.user_variables && statement.flags.has(Flags::USER_VARIABLE))
            || (self.found_rows && statement.flags.has(Flags::FOUND_ROWS))
            || (self.has_insert_id() && statement.flags.has(Flags::LAST_INSERT_ID))
            || (self.warnings && statement.flags.has(Flags::DIAGNOSTICS))
    }

    /// Takes in what the rules say of ties, before anything else of a statement's answer.
    pub fn heed(&mut self, sticky: bool, multiplex: Option<Multiplex>) {
        self.excused = match multiplex {
            Some(Multiplex::IgnoreVariables) => Excuse::VariablesAndUnknownSets,
            Some(Multiplex::Enable) => Excuse::UnknownSets,
            Some(Multiplex::Disable) | None => Excuse::Nothing,
        };
        match multiplex {
            Some(Multiplex::Disable) => self.rule = true,
            Some(Multiplex::Enable) => self.rule = false,
            Some(Multiplex::IgnoreVariables) | None => {}
        }
        self.rule |= sticky;
    }

    /// The tie that an assignment makes which cannot be replayed elsewhere.
    pub fn note_assignment(&mut self, kept: Kept) {
        match kept {
            Kept::Replayable => {}
            Kept::AtBackend => self.user_variables |= self.excused != Excuse::VariablesAndUnknownSets,
            Kept::ForNextTransaction => (self.next_transaction, self.shaped) = (true, true),
            Kept::Unknown => self.note_unknown_set(),
            Kept::OwnTracking => self.own_tracking = true,
        }
    }

    /// A SET statement that could not be taken apart.
    pub fn note_unknown_set(&mut self) {
        self.unknown_set |= self.excused == Excuse::Nothing;
    }

    /// The server says that something has changed that nothing explains.
    pub fn note_unknown_state(&mut self) {
        self.unknown_state |= self.excused == Excuse::Nothing;
    }

    /// Whether the next transaction has characteristics of its own, by the server's word.
    pub fn next_transaction(&mut self, has_some: bool) {
        self.next_transaction = has_some;
        self.shaped &= has_some || self.transaction;
    }

    /// Takes in that `statement` was answered on this connection.
    pub fn after(&mut self, statement: &Statement<'_>, reply: &Reply, now: Instant) {
        let has = |flag| statement.flags.has(flag);
        let excused = std::mem::take(&mut self.excused) == Excuse::VariablesAndUnknownSets;
        let was_in_transaction = self.transaction;
        let shaped = self.shaped || self.read_only;
        if let Some(in_transaction) = reply.in_transaction {
            self.transaction = in_transaction;
            self.read_only = reply.read_only;
        }
        if was_in_transaction && !self.transaction {
            // `SET autocommit=1` commits, but servers keep what was said of this transaction for the next one.
            self.next_transaction = shaped && statement.kind == Kind::Set;
            self.shaped = self.next_transaction;
        }
        let keeps_warnings = has(Flags::DIAGNOSTICS) || leaves_warnings(statement.kind);
        self.warnings = reply.warnings > 0 || reply.failed || (self.warnings && keeps_warnings);
        if is_select(statement.kind) {
            self.found_rows = has(Flags::CALC_FOUND_ROWS) && !reply.failed;
        }
        self.age_insert_id(now);
        if reply.failed {
            return;
        }
        // A procedure's inserts count too, and whoever asks may have set it (`LAST_INSERT_ID(7)`).
        if reply.last_insert_id > 0 || statement.kind == Kind::Call || has(Flags::LAST_INSERT_ID) {
            self.keep_insert_id(now);
        }
        self.temporary_table |= has(Flags::TEMPORARY_TABLE);
        self.user_variables |= has(Flags::ASSIGNS_USER_VARIABLE) && statement.kind != Kind::Set && !excused;
        self.text_prepared |= has(Flags::PREPARE);
        self.connection_state |= statement.flags.any(Flags::ADVISORY_LOCK.with(Flags::CONNECTION_STATE));
        self.table_locks |= has(Flags::LOCK_TABLES);
        if has(Flags::UNLOCK_TABLES) && !has(Flags::LOCK_TABLES) {
            self.table_locks = false;
        }
    }

    /// Takes in that `statement` was answered on another connection of the session.
    pub fn superseded(&mut self, statement: &Statement<'_>, reply: &Reply) {
        self.warnings &= statement.flags.has(Flags::DIAGNOSTICS);
        self.found_rows &= !is_select(statement.kind);
        if reply.last_insert_id > 0 && self.insert_id.is_some() {
            self.insert_id = Some(InsertId::Stale);
        }
    }

    /// The session has set its last insert id by the variable's name.
    pub fn note_variable(&mut self, name: &str, now: Instant) {
        if matches!(name, "last_insert_id" | "identity") {
            self.keep_insert_id(now);
        }
    }

    /// Whether the session's last insert id is on this connection.
    pub fn has_insert_id(&self) -> bool {
        self.insert_id.is_some_and(|id| id != InsertId::Stale)
    }

    /// Whether nothing ties the session but an insert id whose time is over.
    pub fn insert_id_is_due(&self) -> bool {
        // Fetching it would wipe out warnings.
        matches!(self.insert_id, Some(InsertId::Due | InsertId::Stale))
            && self.reason() == "last-insert-id"
            && !self.warnings
    }

    /// Whether the session has made a newer one elsewhere.
    pub fn insert_id_is_stale(&self) -> bool {
        self.insert_id == Some(InsertId::Stale)
    }

    /// The insert id was fetched: it is not on the connection any more.
    pub fn insert_id_taken(&mut self) {
        self.insert_id = None;
    }

    /// Whether SHOW WARNINGS has something to say of the session's last statement.
    pub fn has_warnings(&self) -> bool {
        self.warnings
    }

    /// When a tie ends by itself.
    pub fn deadline(&self) -> Option<Instant> {
        match self.insert_id {
            Some(InsertId::Kept { until, .. }) if self.reason() == "last-insert-id" => Some(until),
            _ => None,
        }
    }

    /// Lets go of what has run out by now.
    pub fn expire(&mut self, now: Instant) {
        if let Some(InsertId::Kept { until, .. }) = self.insert_id
            && now >= until
        {
            self.insert_id = Some(InsertId::Due);
        }
    }

    fn keep_insert_id(&mut self, now: Instant) {
        let until = now + INSERT_ID_TIME;
        self.insert_id = Some(InsertId::Kept { statements: INSERT_ID_STATEMENTS, until });
    }

    fn age_insert_id(&mut self, now: Instant) {
        self.expire(now);
        if let Some(InsertId::Kept { statements, until }) = self.insert_id {
            let left = statements.saturating_sub(1);
            self.insert_id = Some(match left {
                0 => InsertId::Due,
                _ => InsertId::Kept { statements: left, until },
            });
        }
    }
}

/// Statements after which MariaDB still shows the warnings of the one before. (It does so after all that have no table.)
fn leaves_warnings(kind: Kind) -> bool {
    matches!(kind, Kind::Set | Kind::Use)
}

fn is_select(kind: Kind) -> bool {
    matches!(kind, Kind::Select | Kind::SelectForUpdate)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pins: &mut Pins, sql: &str, reply: Reply) {
        pins.after(&proxyd_sql::classify(sql.as_bytes()), &reply, Instant::now());
    }

    fn wants(pins: &Pins, sql: &str) -> bool {
        pins.wants(&proxyd_sql::classify(sql.as_bytes()))
    }

    /// Each row: what ran, the reason it leaves, whether it ties every statement.
    #[test]
    fn what_ties_and_how_hard() {
        let rows = [
            ("SELECT 1", "", false),
            ("CREATE TEMPORARY TABLE t (a INT)", "temporary-table", true),
            ("LOCK TABLES t READ", "lock", true),
            ("SELECT GET_LOCK('a', 1)", "lock", true),
            ("PREPARE s FROM 'SELECT 1'", "prepare", true),
            ("SELECT @a := 1", "user-variable", false),
            ("SELECT a INTO @a FROM t", "user-variable", false),
            ("SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1", "found-rows", false),
        ];
        for (sql, reason, hard) in rows {
            let mut pins = Pins::default();
            after(&mut pins, sql, Reply { in_transaction: Some(false), ..Reply::default() });
            assert_eq!((pins.reason(), pins.is_hard()), (reason, hard), "{sql}");
        }
    }

    #[test]
    fn a_transaction_ties_until_the_server_says_that_it_is_over() {
        let mut pins = Pins::default();
        let open = Reply { in_transaction: Some(true), ..Reply::default() };
        after(&mut pins, "BEGIN", open);
        assert!(pins.is_hard());
        after(&mut pins, "INSERT INTO t VALUES (1)", Reply { in_transaction: None, failed: true, ..open });
        assert_eq!(pins.reason(), "transaction");
        after(&mut pins, "COMMIT", Reply { in_transaction: Some(false), ..Reply::default() });
        assert!(pins.is_free());
    }

    #[test]
    fn a_rule_has_the_last_word_on_ties() {
        let open = Reply { in_transaction: Some(false), ..Reply::default() };
        let mut pins = Pins::default();
        pins.heed(false, Some(Multiplex::Disable));
        after(&mut pins, "SELECT 1", open);
        assert_eq!(pins.reason(), "rule");
        pins.heed(false, None);
        assert_eq!(pins.reason(), "rule", "it stays");
        pins.heed(false, Some(Multiplex::Enable));
        assert!(pins.is_free());
        pins.heed(true, None);
        assert_eq!(pins.reason(), "rule");

        let mut pins = Pins::default();
        pins.heed(false, Some(Multiplex::IgnoreVariables));
        pins.note_assignment(Kept::AtBackend);
        pins.note_assignment(Kept::Unknown);
        after(&mut pins, "SELECT @a := 1", open);
        assert!(pins.is_free());
        after(&mut pins, "SELECT @a := 1", open);
        assert_eq!(pins.reason(), "user-variable", "the next statement has no such rule");
        let mut pins = Pins::default();
        pins.heed(false, Some(Multiplex::Enable));
        pins.note_unknown_set();
        assert!(pins.is_free());
    }

    #[test]
    fn a_read_only_transaction_that_set_autocommit_ends_leaves_its_access_mode() {
        let open = Reply { in_transaction: Some(true), read_only: true, ..Reply::default() };
        let closed = Reply { in_transaction: Some(false), ..Reply::default() };
        let mut pins = Pins::default();
        after(&mut pins, "START TRANSACTION READ ONLY", open);
        assert!(pins.changes_meaning());
        after(&mut pins, "SET autocommit=1", closed);
        assert_eq!(pins.reason(), "set-transaction");
        after(&mut pins, "BEGIN", Reply { read_only: false, ..open });
        after(&mut pins, "COMMIT", closed);
        assert!(pins.is_free());
        after(&mut pins, "BEGIN", Reply { read_only: false, ..open });
        after(&mut pins, "SET autocommit=1", closed);
        assert!(pins.is_free(), "nothing was said of it");
    }

    #[test]
    fn soft_ties_hold_only_what_names_them() {
        let mut pins = Pins::default();
        after(&mut pins, "SELECT @a := 1", Reply { in_transaction: Some(false), ..Reply::default() });
        assert!(wants(&pins, "SELECT @a"));
        assert!(!wants(&pins, "SELECT * FROM t"));
    }

    #[test]
    fn warnings_are_kept_for_whoever_asks_next() {
        let mut pins = Pins::default();
        after(
            &mut pins,
            "SELECT 1/0",
            Reply { in_transaction: Some(false), warnings: 1, ..Reply::default() },
        );
        assert!(wants(&pins, "SHOW WARNINGS"));
        after(&mut pins, "SELECT 1", Reply { in_transaction: Some(false), ..Reply::default() });
        assert!(pins.is_free());
    }

    #[test]
    fn an_insert_id_is_kept_for_five_statements() {
        let mut pins = Pins::default();
        let plain = Reply { in_transaction: Some(false), ..Reply::default() };
        after(&mut pins, "INSERT INTO t VALUES (1)", Reply { last_insert_id: 7, ..plain });
        assert!(wants(&pins, "SELECT LAST_INSERT_ID()"));
        for _ in 0..4 {
            after(&mut pins, "SELECT 1", plain);
        }
        assert_eq!(pins.reason(), "last-insert-id");
        assert!(!pins.insert_id_is_due());
        after(&mut pins, "SELECT 1", plain);
        assert!(pins.insert_id_is_due() && wants(&pins, "SELECT LAST_INSERT_ID()"));
        pins.insert_id_taken();
        assert!(pins.is_free());
        after(&mut pins, "INSERT INTO t VALUES (1)", Reply { last_insert_id: 8, ..plain });
        pins.expire(Instant::now() + Duration::from_secs(11));
        assert!(pins.insert_id_is_due());
    }

    #[test]
    fn what_runs_elsewhere_ends_what_only_the_next_statement_may_ask_for() {
        let plain = Reply { in_transaction: Some(false), ..Reply::default() };
        let mut pins = Pins::default();
        after(&mut pins, "SELECT SQL_CALC_FOUND_ROWS a FROM t LIMIT 1", Reply { warnings: 1, ..plain });
        let insert = proxyd_sql::classify(b"INSERT INTO t VALUES (1)");
        pins.superseded(&insert, &plain);
        assert!(!pins.has_warnings() && wants(&pins, "SELECT FOUND_ROWS()"));
        pins.superseded(&proxyd_sql::classify(b"SELECT 1"), &plain);
        assert!(pins.is_free());
        after(&mut pins, "INSERT INTO t VALUES (1)", Reply { last_insert_id: 8, ..plain });
        pins.superseded(&insert, &Reply { last_insert_id: 9, ..plain });
        assert!(pins.insert_id_is_due() && !wants(&pins, "SELECT LAST_INSERT_ID()"));
    }

    #[test]
    fn table_locks_and_other_locks_are_not_mixed_up() {
        let plain = Reply { in_transaction: Some(false), ..Reply::default() };
        let mut pins = Pins::default();
        after(&mut pins, "LOCK TABLES t READ", plain);
        after(&mut pins, "UNLOCK TABLES", plain);
        assert!(pins.is_free());
        after(&mut pins, "SELECT GET_LOCK('a', 1)", plain);
        after(&mut pins, "UNLOCK TABLES", plain);
        assert_eq!(pins.reason(), "lock");
    }
}
