//! The class of a statement: its kind, and what it does to a session that a proxy must know before it forwards it.
//!
//! One pass over the tokens, no allocation. The answers err on the safe side: [`Flags::READ`] is set only for what can
//! be sent twice without anybody noticing. What a stored function does is not visible here; the server's session
//! tracking tells about that.

mod head;

use crate::kind::Kind;
use crate::token::{Token, TokenKind, Tokenizer};
use head::head_kind;

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
    /// `SELECT CONNECTION_ID()` and nothing else.
    ConnectionId,
}

/// A set of properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

impl Flags {
    pub const NONE: Flags = Flags(0);
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
        let Some(keyword) = Keyword::of(token.text) else { return };
        let call = tokens.peek().is_some_and(|next| next.is_op("("));
        let flag = match keyword {
            Keyword::AdvisoryLock if call => Flags::ADVISORY_LOCK,
            Keyword::FoundRows if call => Flags::FOUND_ROWS,
            Keyword::LastInsertId if call => Flags::LAST_INSERT_ID,
            Keyword::CalcFoundRows => Flags::CALC_FOUND_ROWS,
            Keyword::For if tokens.eat_any(&["UPDATE", "SHARE"]).is_some() => Flags::ROW_LOCK,
            Keyword::Lock if tokens.eat("IN") && tokens.eat("SHARE") => Flags::ROW_LOCK,
            Keyword::Into => match tokens.peek() {
                Some(next) if next.kind == TokenKind::UserVariable => {
                    Flags::INTO.with(Flags::ASSIGNS_USER_VARIABLE)
                }
                _ => Flags::INTO,
            },
            Keyword::Sequence if call || tokens.eat("VALUE") => {
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

#[cfg(test)]
mod tests;
