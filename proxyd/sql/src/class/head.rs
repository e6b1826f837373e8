//! What the first words of a statement say: its kind, its detail and the properties of its own.

use super::{Code, Detail, Flags};
use crate::kind::Kind;
use crate::token::TokenKind;

/// Kind, detail and own properties.
pub(super) type Head<'a> = (Kind, Detail<'a>, Flags);

/// Reads the first words.
pub(super) fn head_kind(mut tokens: Code<'_>) -> Head<'_> {
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

/// `SELECT @@name [LIMIT n]` or `SELECT CONNECTION_ID()`, and nothing else.
fn probe(mut tokens: Code<'_>) -> Detail<'_> {
    if tokens.eat("CONNECTION_ID") {
        let rest = [tokens.next(), tokens.next(), tokens.next()];
        return match rest {
            [Some(open), Some(close), None] if open.is_op("(") && close.is_op(")") => Detail::ConnectionId,
            _ => Detail::None,
        };
    }
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
