//! The class of a statement: its kind, and what it does to a session that a proxy must know before it forwards it.
//!
//! One pass over the tokens, no allocation. The answers err on the safe side: [`Flags::READ`] is set only for what can
//! be sent twice without anybody noticing. What a stored function does is not visible here; the server's session
//! tracking tells about that.

use crate::kind::Kind;
use crate::token::{Token, TokenKind, Tokenizer};

/// The class of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    pub kind: Kind,
    pub flags: Flags,
    pub detail: Detail<'a>,
}

impl Statement<'_> {
    /// Safe to send again when no answer came, and to send to a reader.
    pub fn is_read(&self) -> bool {
        self.flags.has(Flags::READ)
    }
}

/// The parts of a statement that the proxy itself acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail<'a> {
    None,
    /// `USE db`: the name as written, perhaps in backticks (see [`crate::token::unquote`]).
    Use(&'a [u8]),
    /// `KILL [CONNECTION|QUERY] id`.
    Kill {
        query_only: bool,
        id: u64,
    },
    /// `SELECT @@name [LIMIT n]` and nothing else: what clients ask on connecting.
    SystemVariable(&'a [u8]),
}

/// A set of properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    /// Changes nothing: safe to retry and to send to a reader.
    pub const READ: Flags = Flags(1);
    /// Names a user variable.
    pub const USER_VARIABLE: Flags = Flags(1 << 1);
    /// Assigns a user variable: `:=`, `SET @x`, `INTO @x`.
    pub const ASSIGNS_USER_VARIABLE: Flags = Flags(1 << 2);
    /// Creates or drops a temporary table.
    pub const TEMPORARY_TABLE: Flags = Flags(1 << 3);
    /// Calls GET_LOCK, RELEASE_LOCK or RELEASE_ALL_LOCKS.
    pub const ADVISORY_LOCK: Flags = Flags(1 << 4);
    /// SQL_CALC_FOUND_ROWS: the next statement may ask for the count on the same connection.
    pub const CALC_FOUND_ROWS: Flags = Flags(1 << 5);
    /// FOUND_ROWS() or ROW_COUNT(): about the previous statement of this connection.
    pub const FOUND_ROWS: Flags = Flags(1 << 6);
    /// LAST_INSERT_ID() or @@last_insert_id or @@identity.
    pub const LAST_INSERT_ID: Flags = Flags(1 << 7);
    /// LOCK TABLES, LOCK INSTANCE, FLUSH TABLES WITH READ LOCK.
    pub const LOCK_TABLES: Flags = Flags(1 << 8);
    /// UNLOCK TABLES or UNLOCK INSTANCE.
    pub const UNLOCK_TABLES: Flags = Flags(1 << 9);
    /// PREPARE, EXECUTE or DEALLOCATE as text.
    pub const PREPARE: Flags = Flags(1 << 10);
    /// BEGIN, START TRANSACTION, XA START, or a COMMIT or ROLLBACK with AND CHAIN.
    pub const STARTS_TRANSACTION: Flags = Flags(1 << 11);
    /// COMMIT or ROLLBACK (not to a savepoint).
    pub const ENDS_TRANSACTION: Flags = Flags(1 << 12);
    /// A `;` with more code after it; the body of a stored program counts too.
    pub const MULTI_STATEMENT: Flags = Flags(1 << 13);
    /// SHOW WARNINGS, SHOW ERRORS, GET DIAGNOSTICS, @@warning_count, @@error_count.
    pub const DIAGNOSTICS: Flags = Flags(1 << 14);
    /// Locks rows: FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE.
    pub const ROW_LOCK: Flags = Flags(1 << 15);
    /// HANDLER or XA: state of this connection that nothing can carry to another.
    pub const CONNECTION_STATE: Flags = Flags(1 << 16);
    /// LOAD DATA LOCAL: the server will ask the client for a file.
    pub const LOCAL_INFILE: Flags = Flags(1 << 17);
    /// INTO: of a SELECT, a file or variables.
    pub const INTO: Flags = Flags(1 << 18);

    /// Whether all of `other` is in it.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is in it.
    pub const fn any(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    fn insert(&mut self, other: Flags) {
        self.0 |= other.0;
    }
}

/// Classifies a statement; of several, the first, with the properties of all.
pub fn classify(sql: &[u8]) -> Statement<'_> {
    let mut tokens = Code(Tokenizer::new(sql));
    let head = tokens.clone();
    let (kind, detail, own) = head_kind(head);
    let mut flags = own;
    let mut scan = Scan::default();
    while let Some(token) = tokens.next() {
        scan.token(&mut tokens, token, &mut flags);
    }
    let kind = if kind == Kind::Select && flags.has(Flags::ROW_LOCK) { Kind::SelectForUpdate } else { kind };
    if reads(kind) && !flags.any(NOT_A_READ) && !scan.writes {
        flags.insert(Flags::READ);
    }
    Statement { kind, flags, detail: if flags.has(Flags::MULTI_STATEMENT) { Detail::None } else { detail } }
}

const NOT_A_READ: Flags = Flags::ASSIGNS_USER_VARIABLE
    .with(Flags::ADVISORY_LOCK)
    .with(Flags::CALC_FOUND_ROWS)
    .with(Flags::MULTI_STATEMENT)
    .with(Flags::ROW_LOCK)
    .with(Flags::DIAGNOSTICS)
    .with(Flags::FOUND_ROWS)
    .with(Flags::LAST_INSERT_ID)
    .with(Flags::CONNECTION_STATE)
    .with(Flags::INTO);

fn reads(kind: Kind) -> bool {
    matches!(kind, Kind::Select | Kind::Show | Kind::ShowTableStatus | Kind::Explain | Kind::Describe)
}

/// Tokens that are code: the marks of executable comments are left out.
#[derive(Clone)]
struct Code<'a>(Tokenizer<'a>);

impl<'a> Iterator for Code<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.0.find(|token| !matches!(token.kind, TokenKind::ExecutableOpen | TokenKind::ExecutableClose))
    }
}

impl<'a> Code<'a> {
    /// The next token, left in place.
    fn peek(&self) -> Option<Token<'a>> {
        self.clone().next()
    }

    /// Takes the next token if it is this word.
    fn eat(&mut self, word: &str) -> bool {
        let found = self.peek().is_some_and(|token| token.is_word(word));
        if found {
            self.next();
        }
        found
    }

    /// Takes the next token if it is one of these words, and says which.
    fn eat_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().copied().find(|word| self.eat(word))
    }
}

/// What the pass over all tokens has to remember.
#[derive(Default)]
struct Scan {
    semicolon: bool,
    /// Calls a function that writes.
    writes: bool,
}

impl Scan {
    fn token(&mut self, tokens: &mut Code<'_>, token: Token<'_>, flags: &mut Flags) {
        if self.semicolon && !token.is_op(";") {
            flags.insert(Flags::MULTI_STATEMENT);
        }
        match token.kind {
            TokenKind::UserVariable => flags.insert(Flags::USER_VARIABLE),
            TokenKind::SystemVariable => flags.insert(system_variable(token.text)),
            TokenKind::Operator if token.is_op(";") => self.semicolon = true,
            TokenKind::Operator if token.is_op(":=") && flags.has(Flags::USER_VARIABLE) => {
                flags.insert(Flags::ASSIGNS_USER_VARIABLE);
            }
            TokenKind::Word => self.word(tokens, token, flags),
            _ => {}
        }
    }

    fn word(&mut self, tokens: &mut Code<'_>, token: Token<'_>, flags: &mut Flags) {
        let call = tokens.peek().is_some_and(|next| next.is_op("("));
        let flag = match Keyword::of(token.text) {
            Some(Keyword::AdvisoryLock) if call => Flags::ADVISORY_LOCK,
            Some(Keyword::FoundRows) if call => Flags::FOUND_ROWS,
            Some(Keyword::LastInsertId) if call => Flags::LAST_INSERT_ID,
            Some(Keyword::CalcFoundRows) => Flags::CALC_FOUND_ROWS,
            Some(Keyword::For) if tokens.eat_any(&["UPDATE", "SHARE"]).is_some() => Flags::ROW_LOCK,
            Some(Keyword::Lock) if tokens.eat("IN") && tokens.eat("SHARE") => Flags::ROW_LOCK,
            Some(Keyword::Into) => match tokens.peek() {
                Some(next) if next.kind == TokenKind::UserVariable => {
                    Flags::INTO.with(Flags::ASSIGNS_USER_VARIABLE)
                }
                _ => Flags::INTO,
            },
            Some(Keyword::Sequence) if call || tokens.eat("VALUE") => {
                self.writes = true;
                return;
            }
            _ => return,
        };
        flags.insert(flag);
    }
}

/// Words that matter wherever they stand.
enum Keyword {
    AdvisoryLock,
    FoundRows,
    LastInsertId,
    CalcFoundRows,
    For,
    Lock,
    Into,
    /// NEXTVAL(), SETVAL(), NEXT VALUE FOR: takes a number from a sequence.
    Sequence,
}

impl Keyword {
    fn of(text: &[u8]) -> Option<Keyword> {
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        match text.first()?.to_ascii_uppercase() {
            b'G' if is("GET_LOCK") => Some(Keyword::AdvisoryLock),
            b'R' if is("RELEASE_LOCK") || is("RELEASE_ALL_LOCKS") => Some(Keyword::AdvisoryLock),
            b'R' if is("ROW_COUNT") => Some(Keyword::FoundRows),
            b'F' if is("FOUND_ROWS") => Some(Keyword::FoundRows),
            b'F' if is("FOR") => Some(Keyword::For),
            b'L' if is("LAST_INSERT_ID") => Some(Keyword::LastInsertId),
            b'L' if is("LOCK") => Some(Keyword::Lock),
            b'S' if is("SQL_CALC_FOUND_ROWS") => Some(Keyword::CalcFoundRows),
            b'S' if is("SETVAL") => Some(Keyword::Sequence),
            b'I' if is("INTO") => Some(Keyword::Into),
            b'N' if is("NEXTVAL") || is("NEXT") => Some(Keyword::Sequence),
            _ => None,
        }
    }
}

fn system_variable(text: &[u8]) -> Flags {
    let name = text.rsplit(|&byte| byte == b'.' || byte == b'@').next().unwrap_or_default();
    let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
    if is("last_insert_id") || is("identity") {
        Flags::LAST_INSERT_ID
    } else if is("warning_count") || is("error_count") {
        Flags::DIAGNOSTICS
    } else {
        Flags::default()
    }
}

type Head<'a> = (Kind, Detail<'a>, Flags);

/// Kind, detail and own properties, from the first words.
fn head_kind(mut tokens: Code<'_>) -> Head<'_> {
    let mut first = tokens.next();
    while first.is_some_and(|token| token.is_op("(") || token.is_op(";")) {
        first = tokens.next();
    }
    let Some(first) = first.filter(|token| token.kind == TokenKind::Word) else {
        return plain(Kind::Unknown);
    };
    let Some(verb) = Verb::of(first.text) else { return plain(Kind::Unknown) };
    verb_kind(verb, tokens)
}

fn plain<'a>(kind: Kind) -> Head<'a> {
    (kind, Detail::None, Flags::default())
}

fn flagged<'a>(kind: Kind, flags: Flags) -> Head<'a> {
    (kind, Detail::None, flags)
}

/// Declares the words a statement may begin with.
macro_rules! verbs {
    ($($verb:ident => $($word:literal)|+,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Verb {
            $($verb,)*
        }

        impl Verb {
            fn of(text: &[u8]) -> Option<Verb> {
                $($(if text.eq_ignore_ascii_case($word.as_bytes()) {
                    return Some(Verb::$verb);
                })+)*
                None
            }
        }
    };
}

verbs! {
    Select => "SELECT", Insert => "INSERT", Update => "UPDATE", Delete => "DELETE", Set => "SET",
    Begin => "BEGIN", Commit => "COMMIT", Rollback => "ROLLBACK", Start => "START", Show => "SHOW",
    Replace => "REPLACE", Use => "USE", With => "WITH", Call => "CALL", Savepoint => "SAVEPOINT",
    Release => "RELEASE", Prepare => "PREPARE", Execute => "EXECUTE", Deallocate => "DEALLOCATE",
    Kill => "KILL", Explain => "EXPLAIN", Describe => "DESCRIBE" | "DESC", Truncate => "TRUNCATE",
    Load => "LOAD", Flush => "FLUSH", Analyze => "ANALYZE", Optimize => "OPTIMIZE", Grant => "GRANT",
    Revoke => "REVOKE", Lock => "LOCK", Unlock => "UNLOCK", Create => "CREATE", Drop => "DROP",
    Alter => "ALTER", Rename => "RENAME", Change => "CHANGE", Reset => "RESET", Purge => "PURGE",
    Xa => "XA", Handler => "HANDLER", Get => "GET", Table => "TABLE", Values => "VALUES",
}

fn verb_kind(verb: Verb, mut tokens: Code<'_>) -> Head<'_> {
    match verb {
        Verb::Select => (Kind::Select, probe(tokens), Flags::default()),
        Verb::Table | Verb::Values => plain(Kind::Select),
        Verb::With => with_kind(tokens),
        Verb::Insert => plain(Kind::Insert),
        Verb::Update => plain(Kind::Update),
        Verb::Delete => plain(Kind::Delete),
        Verb::Replace => plain(Kind::Replace),
        Verb::Set => flagged(Kind::Set, set_flags(tokens)),
        Verb::Begin if tokens.eat("NOT") => plain(Kind::Unknown),
        Verb::Begin => flagged(Kind::Begin, Flags::STARTS_TRANSACTION),
        Verb::Start if tokens.eat("TRANSACTION") => {
            flagged(Kind::StartTransaction, Flags::STARTS_TRANSACTION)
        }
        Verb::Start => plain(Kind::Unknown),
        Verb::Commit => flagged(Kind::Commit, Flags::ENDS_TRANSACTION.with(chain(tokens))),
        Verb::Rollback => rollback_kind(tokens),
        Verb::Savepoint => plain(Kind::Savepoint),
        Verb::Release => plain(Kind::ReleaseSavepoint),
        Verb::Use => use_kind(tokens),
        Verb::Kill => kill_kind(tokens),
        Verb::Show => show_kind(tokens),
        Verb::Explain | Verb::Describe => explain_kind(verb, tokens),
        Verb::Call => plain(Kind::Call),
        Verb::Prepare => flagged(Kind::Prepare, Flags::PREPARE),
        Verb::Execute => flagged(Kind::Execute, Flags::PREPARE),
        Verb::Deallocate => flagged(Kind::Deallocate, Flags::PREPARE),
        Verb::Lock => flagged(Kind::LockTable, Flags::LOCK_TABLES),
        Verb::Unlock => flagged(Kind::UnlockTables, Flags::UNLOCK_TABLES),
        Verb::Flush => flagged(Kind::Flush, flush_flags(tokens)),
        Verb::Load => flagged(Kind::Load, load_flags(tokens)),
        Verb::Xa => flagged(Kind::Unknown, xa_flags(tokens)),
        Verb::Handler => flagged(Kind::Unknown, Flags::CONNECTION_STATE),
        Verb::Get => flagged(Kind::Unknown, Flags::DIAGNOSTICS),
        Verb::Truncate => plain(Kind::TruncateTable),
        Verb::Analyze => plain(Kind::AnalyzeTable),
        Verb::Optimize => plain(Kind::Optimize),
        Verb::Grant => plain(Kind::Grant),
        Verb::Revoke => plain(Kind::Revoke),
        Verb::Drop if tokens.eat("PREPARE") => flagged(Kind::Deallocate, Flags::PREPARE),
        Verb::Create | Verb::Drop | Verb::Alter | Verb::Rename => ddl_kind(verb, tokens),
        Verb::Change => plain(Kind::ChangeMaster),
        Verb::Reset if tokens.eat("MASTER") => plain(Kind::ResetMaster),
        Verb::Reset if tokens.eat_any(&["SLAVE", "REPLICA"]).is_some() => plain(Kind::ResetSlave),
        Verb::Reset => plain(Kind::Unknown),
        Verb::Purge => plain(Kind::Purge),
    }
}

/// `SELECT @@name [LIMIT n]` and nothing else.
fn probe(mut tokens: Code<'_>) -> Detail<'_> {
    let Some(variable) = tokens.next().filter(|token| token.kind == TokenKind::SystemVariable) else {
        return Detail::None;
    };
    if tokens.eat("LIMIT") && tokens.next().is_none_or(|token| token.kind != TokenKind::Number) {
        return Detail::None;
    }
    match tokens.find(|token| !token.is_op(";")) {
        None => Detail::SystemVariable(variable.text.get(2..).unwrap_or_default()),
        Some(_) => Detail::None,
    }
}

/// `WITH … verb`: the first verb outside parentheses decides.
fn with_kind(tokens: Code<'_>) -> Head<'_> {
    let mut depth = 0_usize;
    for token in tokens {
        match token.kind {
            TokenKind::Operator if token.is_op("(") => depth += 1,
            TokenKind::Operator if token.is_op(")") => depth = depth.saturating_sub(1),
            TokenKind::Word if depth == 0 => match Verb::of(token.text) {
                Some(Verb::Select | Verb::Table | Verb::Values) => return plain(Kind::Select),
                Some(Verb::Update) => return plain(Kind::Update),
                Some(Verb::Delete) => return plain(Kind::Delete),
                Some(Verb::Insert) => return plain(Kind::Insert),
                Some(Verb::Replace) => return plain(Kind::Replace),
                _ => {}
            },
            _ => {}
        }
    }
    plain(Kind::Unknown)
}

/// `SET @x = …`, anywhere in the list.
fn set_flags(tokens: Code<'_>) -> Flags {
    let mut target = true;
    let mut depth = 0_usize;
    for token in tokens {
        match token.kind {
            TokenKind::UserVariable if target => return Flags::ASSIGNS_USER_VARIABLE,
            TokenKind::Operator if token.is_op("(") => depth += 1,
            TokenKind::Operator if token.is_op(")") => depth = depth.saturating_sub(1),
            _ => {}
        }
        target = depth == 0 && token.is_op(",");
    }
    Flags::default()
}

/// `AND CHAIN` after COMMIT or ROLLBACK starts the next transaction.
fn chain(mut tokens: Code<'_>) -> Flags {
    tokens.eat("WORK");
    if tokens.eat("AND") && tokens.eat("CHAIN") { Flags::STARTS_TRANSACTION } else { Flags::default() }
}

fn rollback_kind(mut tokens: Code<'_>) -> Head<'_> {
    let all = tokens.clone();
    tokens.eat("WORK");
    if tokens.eat("TO") {
        return plain(Kind::RollbackSavepoint);
    }
    flagged(Kind::Rollback, Flags::ENDS_TRANSACTION.with(chain(all)))
}

fn use_kind(mut tokens: Code<'_>) -> Head<'_> {
    let name =
        tokens.next().filter(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedIdentifier));
    let alone = tokens.all(|token| token.is_op(";"));
    (
        Kind::Use,
        name.filter(|_| alone).map_or(Detail::None, |token| Detail::Use(token.text)),
        Flags::default(),
    )
}

fn kill_kind(mut tokens: Code<'_>) -> Head<'_> {
    let query_only = tokens.eat_any(&["QUERY", "CONNECTION"]) == Some("QUERY");
    let id = tokens.next().and_then(|token| std::str::from_utf8(token.text).ok()?.parse().ok());
    let alone = tokens.all(|token| token.is_op(";"));
    let detail = id.filter(|_| alone).map_or(Detail::None, |id| Detail::Kill { query_only, id });
    (Kind::Kill, detail, Flags::default())
}

fn show_kind(mut tokens: Code<'_>) -> Head<'_> {
    match tokens.eat_any(&["WARNINGS", "ERRORS", "COUNT", "TABLE"]) {
        Some("TABLE") if tokens.eat("STATUS") => plain(Kind::ShowTableStatus),
        Some("WARNINGS" | "ERRORS" | "COUNT") => flagged(Kind::Show, Flags::DIAGNOSTICS),
        _ => plain(Kind::Show),
    }
}

/// EXPLAIN runs nothing; EXPLAIN ANALYZE runs its statement, so only that of a SELECT is one.
fn explain_kind(verb: Verb, mut tokens: Code<'_>) -> Head<'_> {
    let analyze = tokens.eat("ANALYZE");
    let inner = tokens.find(|token| {
        token.kind == TokenKind::Word
            && matches!(
                Verb::of(token.text),
                Some(Verb::Select | Verb::Insert | Verb::Update | Verb::Delete | Verb::Replace)
            )
    });
    match inner {
        Some(token) if analyze && !token.is_word("SELECT") => plain(Kind::Unknown),
        None if verb == Verb::Describe => plain(Kind::Describe),
        _ => plain(Kind::Explain),
    }
}

fn flush_flags(tokens: Code<'_>) -> Flags {
    let mut with = false;
    for token in tokens {
        if (with && token.is_word("READ")) || token.is_word("EXPORT") {
            return Flags::LOCK_TABLES;
        }
        with = token.is_word("WITH");
    }
    Flags::default()
}

fn load_flags(mut tokens: Code<'_>) -> Flags {
    tokens.next();
    tokens.eat_any(&["LOW_PRIORITY", "CONCURRENT"]);
    if tokens.eat("LOCAL") { Flags::LOCAL_INFILE } else { Flags::default() }
}

fn xa_flags(mut tokens: Code<'_>) -> Flags {
    match tokens.eat_any(&["START", "BEGIN", "COMMIT", "ROLLBACK"]) {
        Some("START" | "BEGIN") => Flags::CONNECTION_STATE.with(Flags::STARTS_TRANSACTION),
        Some(_) => Flags::CONNECTION_STATE.with(Flags::ENDS_TRANSACTION),
        None => Flags::CONNECTION_STATE,
    }
}

fn ddl_kind(verb: Verb, mut tokens: Code<'_>) -> Head<'_> {
    const OBJECTS: [&str; 9] =
        ["TABLE", "TABLES", "VIEW", "INDEX", "DATABASE", "SCHEMA", "TRIGGER", "USER", "TEMPORARY"];
    // Between the verb and the object: OR REPLACE, UNIQUE, DEFINER = x, ALGORITHM = x … and never another object.
    let object = tokens
        .by_ref()
        .take(16)
        .find_map(|token| OBJECTS.into_iter().find(|object| token.is_word(object)))
        .unwrap_or("");
    let kind = match (verb, object) {
        (Verb::Create, "TEMPORARY") => return flagged(Kind::CreateTemporary, Flags::TEMPORARY_TABLE),
        (Verb::Drop, "TEMPORARY") => return flagged(Kind::DropTable, Flags::TEMPORARY_TABLE),
        (Verb::Create, "TABLE") => Kind::CreateTable,
        (Verb::Create, "VIEW") => Kind::CreateView,
        (Verb::Create, "INDEX") => Kind::CreateIndex,
        (Verb::Create, "DATABASE" | "SCHEMA") => Kind::CreateDatabase,
        (Verb::Create, "TRIGGER") => Kind::CreateTrigger,
        (Verb::Create, "USER") => Kind::CreateUser,
        (Verb::Drop, "TABLE" | "TABLES") => Kind::DropTable,
        (Verb::Drop, "VIEW") => Kind::DropView,
        (Verb::Drop, "INDEX") => Kind::DropIndex,
        (Verb::Drop, "DATABASE" | "SCHEMA") => Kind::DropDatabase,
        (Verb::Drop, "TRIGGER") => Kind::DropTrigger,
        (Verb::Drop, "USER") => Kind::DropUser,
        (Verb::Alter, "TABLE") => Kind::AlterTable,
        (Verb::Alter, "VIEW") => Kind::AlterView,
        (Verb::Rename, "TABLE" | "TABLES") => Kind::RenameTable,
        _ => Kind::Unknown,
    };
    plain(kind)
}

#[cfg(test)]
mod tests;
