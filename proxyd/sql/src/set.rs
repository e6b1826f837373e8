//! SET statements, taken apart completely.
//!
//! The result says for each assignment what it sets, and keeps the value as written, so that the proxy can replay it
//! on another backend connection. What cannot be replayed as it stands (a function, a variable, arithmetic) is
//! [`ValueKind::Expression`]. SET statements that assign nothing of the kind (PASSWORD, ROLE, STATEMENT …) and those
//! beyond the limits below are [`Unparsed`], with the reason.

use std::borrow::Cow;

use crate::token::{Token, TokenKind, Tokenizer, is_closed, unquote};

/// Longer statements are not taken apart.
pub const MAX_STATEMENT: usize = 64 * 1024;
/// More assignments are not taken apart.
pub const MAX_ASSIGNMENTS: usize = 64;
/// MySQL's own limit for the name of a variable.
pub const MAX_NAME: usize = 64;

/// One `target = value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment<'a> {
    pub target: Target<'a>,
    pub value: Value<'a>,
}

/// What is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `@name`: the name as written, without `@`, perhaps quoted.
    UserVariable(&'a [u8]),
    /// A system variable: the name as written, without scope.
    Variable { scope: Scope, name: &'a [u8] },
    /// `SET NAMES charset [COLLATE collation]`; the value is the charset.
    Names { collation: Option<Value<'a>> },
    /// `SET CHARACTER SET charset`.
    CharacterSet,
    /// `SET [scope] TRANSACTION ISOLATION LEVEL …`; the value is the level's words.
    Isolation { scope: Scope },
    /// `SET [scope] TRANSACTION READ ONLY | READ WRITE`; the value is the two words.
    AccessMode { scope: Scope },
}

/// Whom an assignment concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Session,
    /// The next transaction of this session only.
    NextTransaction,
    /// All sessions from now on: nothing for the proxy to track.
    Global,
    /// GLOBAL, and after a restart too (PERSIST, PERSIST_ONLY).
    Persist,
}

/// The right side, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    pub text: &'a [u8],
    pub kind: ValueKind,
}

/// What the right side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// `'…'` or `"…"`.
    String,
    /// Digits with or without sign, hexadecimal, `b'…'`, `x'…'`.
    Number,
    Null,
    /// `DEFAULT`.
    Default,
    /// One word (ON, utf8mb4), or the words of a transaction characteristic.
    Word,
    /// Anything else: its value is the server's to say.
    Expression,
}

impl<'a> Value<'a> {
    /// Whether the text means the same wherever and whenever it is replayed.
    pub fn is_literal(&self) -> bool {
        self.kind != ValueKind::Expression
    }

    /// The text without quotes and escapes.
    pub fn unquoted(&self) -> Cow<'a, [u8]> {
        unquote(self.text)
    }

    /// The switch it stands for, if it is one: 0, 1, ON, OFF, TRUE, FALSE, quoted or not.
    pub fn as_bool(&self) -> Option<bool> {
        let text = self.unquoted();
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if is("1") || is("ON") || is("TRUE") {
            Some(true)
        } else if is("0") || is("OFF") || is("FALSE") {
            Some(false)
        } else {
            None
        }
    }
}

impl Assignment<'_> {
    /// Whether it sets this system variable for the session.
    pub fn sets_session(&self, variable: &str) -> bool {
        matches!(self.target, Target::Variable { scope: Scope::Session, name }
            if unquote(name).eq_ignore_ascii_case(variable.as_bytes()))
    }
}

/// Why a statement was not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unparsed {
    #[error("not a SET statement")]
    NotSet,
    #[error("a form of SET that assigns no variable")]
    OtherForm,
    #[error("a statement after the SET")]
    MultiStatement,
    #[error("more than {MAX_STATEMENT} bytes, {MAX_ASSIGNMENTS} assignments or {MAX_NAME} bytes of name")]
    TooLarge,
    #[error("syntax not understood")]
    Syntax,
}

/// Takes a SET statement apart.
pub fn parse_set(sql: &[u8]) -> Result<Vec<Assignment<'_>>, Unparsed> {
    if sql.len() > MAX_STATEMENT {
        return Err(Unparsed::TooLarge);
    }
    let mut parser = Parser::new(sql);
    if !parser.eat_word("SET") {
        return Err(Unparsed::NotSet);
    }
    let mut out = Vec::new();
    let mut scope = Scope::Session;
    loop {
        parser.assignments(&mut scope, out.is_empty(), &mut out)?;
        if out.len() > MAX_ASSIGNMENTS {
            return Err(Unparsed::TooLarge);
        }
        if !parser.eat_op(",") {
            break;
        }
    }
    while parser.eat_op(";") {}
    if parser.next.is_some() { Err(parser.unexpected()) } else { Ok(out) }
}

struct Parser<'a> {
    sql: &'a [u8],
    tokens: Tokenizer<'a>,
    next: Option<Token<'a>>,
    /// A `;` was taken: what follows is another statement.
    ended: bool,
}

impl<'a> Parser<'a> {
    fn new(sql: &'a [u8]) -> Parser<'a> {
        let mut parser = Parser { sql, tokens: Tokenizer::new(sql), next: None, ended: false };
        parser.advance();
        parser
    }

    fn advance(&mut self) -> Option<Token<'a>> {
        let taken = self.next;
        self.next = self
            .tokens
            .find(|token| !matches!(token.kind, TokenKind::ExecutableOpen | TokenKind::ExecutableClose));
        taken
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.next.is_some_and(|token| token.is_word(word));
        if found {
            self.advance();
        }
        found
    }

    fn eat_op(&mut self, operator: &str) -> bool {
        let found = self.next.is_some_and(|token| token.is_op(operator));
        if found {
            self.ended |= operator == ";";
            self.advance();
        }
        found
    }

    fn unexpected(&self) -> Unparsed {
        if self.ended { Unparsed::MultiStatement } else { Unparsed::Syntax }
    }

    /// One element of the list; `SET TRANSACTION` is one that may give two.
    fn assignments(
        &mut self,
        scope: &mut Scope,
        first: bool,
        out: &mut Vec<Assignment<'a>>,
    ) -> Result<(), Unparsed> {
        let explicit = self.scope_keyword();
        if let Some(explicit) = explicit {
            *scope = explicit;
        }
        let Some(token) = self.next else { return Err(Unparsed::Syntax) };
        match token.kind {
            TokenKind::UserVariable => {
                self.advance();
                let name = bounded(token.text.get(1..).unwrap_or_default())?;
                self.equals()?;
                out.push(Assignment { target: Target::UserVariable(name), value: self.value()? });
            }
            TokenKind::SystemVariable => {
                self.advance();
                let target = system_target(token.text)?;
                self.equals()?;
                out.push(Assignment { target, value: self.value()? });
            }
            TokenKind::Word | TokenKind::QuotedIdentifier => {
                self.advance();
                self.named(token, explicit, *scope, first, out)?;
            }
            _ => return Err(Unparsed::Syntax),
        }
        Ok(())
    }

    /// `SESSION`, `LOCAL`, `GLOBAL`, `PERSIST`, `PERSIST_ONLY`: stays in force for the rest of the list.
    fn scope_keyword(&mut self) -> Option<Scope> {
        let word = self.next.filter(|token| token.kind == TokenKind::Word)?;
        let scope = scope_of(word.text)?;
        self.advance();
        Some(scope)
    }

    /// What begins with a word: one of the special forms, or a variable.
    fn named(
        &mut self,
        word: Token<'a>,
        explicit: Option<Scope>,
        scope: Scope,
        first: bool,
        out: &mut Vec<Assignment<'a>>,
    ) -> Result<(), Unparsed> {
        let assigned = self.next.is_some_and(|next| next.is_op("=") || next.is_op(":=") || next.is_op("."));
        if assigned {
            let name = bounded(self.dotted(word)?)?;
            self.equals()?;
            out.push(Assignment { target: Target::Variable { scope, name }, value: self.value()? });
            return Ok(());
        }
        if word.is_word("NAMES") && explicit.is_none() {
            let value = self.value()?;
            let collation = if self.eat_word("COLLATE") { Some(self.value()?) } else { None };
            out.push(Assignment { target: Target::Names { collation }, value });
            return Ok(());
        }
        let charset = word.is_word("CHARSET") || (word.is_word("CHARACTER") && self.eat_word("SET"));
        if charset && explicit.is_none() {
            out.push(Assignment { target: Target::CharacterSet, value: self.value()? });
            return Ok(());
        }
        if word.is_word("TRANSACTION") && first {
            return self.transaction(explicit.unwrap_or(Scope::NextTransaction), out);
        }
        Err(if first { Unparsed::OtherForm } else { Unparsed::Syntax })
    }

    /// `name` or `component.name`.
    fn dotted(&mut self, word: Token<'a>) -> Result<&'a [u8], Unparsed> {
        let mut end = word.end();
        while self.eat_op(".") {
            end = self.advance().filter(|token| token.kind == TokenKind::Word).ok_or(Unparsed::Syntax)?.end();
        }
        Ok(self.sql.get(word.start..end).unwrap_or_default())
    }

    fn equals(&mut self) -> Result<(), Unparsed> {
        if self.eat_op("=") || self.eat_op(":=") { Ok(()) } else { Err(Unparsed::Syntax) }
    }

    fn transaction(&mut self, scope: Scope, out: &mut Vec<Assignment<'a>>) -> Result<(), Unparsed> {
        const LEVELS: [&[&str]; 4] =
            [&["READ", "UNCOMMITTED"], &["READ", "COMMITTED"], &["REPEATABLE", "READ"], &["SERIALIZABLE"]];
        const MODES: [&[&str]; 2] = [&["READ", "ONLY"], &["READ", "WRITE"]];
        loop {
            let (target, choices): (_, &[&[&str]]) = if self.eat_word("ISOLATION") {
                if !self.eat_word("LEVEL") {
                    return Err(Unparsed::Syntax);
                }
                (Target::Isolation { scope }, &LEVELS)
            } else {
                (Target::AccessMode { scope }, &MODES)
            };
            let text = self.one_of(choices).ok_or(Unparsed::Syntax)?;
            out.push(Assignment { target, value: Value { text, kind: ValueKind::Word } });
            if out.len() > 1 || !self.eat_op(",") {
                return Ok(());
            }
        }
    }

    /// Takes one of these sequences of words, and gives the text from the first to the last.
    fn one_of(&mut self, choices: &[&[&str]]) -> Option<&'a [u8]> {
        let first = self.next?;
        let second = self.tokens.clone().next();
        for words in choices {
            let matches = match **words {
                [one] => first.is_word(one),
                [one, two] => first.is_word(one) && second.is_some_and(|token| token.is_word(two)),
                _ => false,
            };
            if matches {
                let mut end = first.end();
                for _ in *words {
                    end = self.advance()?.end();
                }
                return self.sql.get(first.start..end);
            }
        }
        None
    }

    /// The right side, up to the comma, semicolon or COLLATE that ends it.
    fn value(&mut self) -> Result<Value<'a>, Unparsed> {
        let Some(first) = self.next else { return Err(Unparsed::Syntax) };
        let (mut count, mut depth, mut end) = (0_usize, 0_usize, first.start);
        let mut last = first;
        while let Some(token) = self.next {
            let boundary = token.is_op(",") || token.is_op(";") || (count > 0 && token.is_word("COLLATE"));
            if depth == 0 && boundary {
                break;
            }
            if token.is_op("(") {
                depth += 1;
            } else if token.is_op(")") {
                depth = depth.checked_sub(1).ok_or(Unparsed::Syntax)?;
            }
            (count, end, last) = (count + 1, token.end(), token);
            self.advance();
        }
        if count == 0 || depth > 0 {
            return Err(Unparsed::Syntax);
        }
        let signed = first.is_op("-") || first.is_op("+");
        let kind = match (count, signed) {
            (1, _) => single(first),
            (2, true) if last.kind == TokenKind::Number => ValueKind::Number,
            _ => ValueKind::Expression,
        };
        Ok(Value { text: self.sql.get(first.start..end).unwrap_or_default(), kind })
    }
}

/// What one token on the right side is.
fn single(token: Token<'_>) -> ValueKind {
    match token.kind {
        TokenKind::String if is_closed(token.text) => ValueKind::String,
        TokenKind::PrefixedString => match token.text.split_first() {
            Some((b'x' | b'X' | b'b' | b'B', quoted)) if is_closed(quoted) => ValueKind::Number,
            _ => ValueKind::Expression,
        },
        TokenKind::Number => ValueKind::Number,
        TokenKind::Word if token.is_word("NULL") => ValueKind::Null,
        TokenKind::Word if token.is_word("DEFAULT") => ValueKind::Default,
        TokenKind::Word => ValueKind::Word,
        TokenKind::QuotedIdentifier if is_closed(token.text) => ValueKind::Word,
        _ => ValueKind::Expression,
    }
}

fn scope_of(word: &[u8]) -> Option<Scope> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("SESSION") || is("LOCAL") {
        Some(Scope::Session)
    } else if is("GLOBAL") {
        Some(Scope::Global)
    } else if is("PERSIST") || is("PERSIST_ONLY") {
        Some(Scope::Persist)
    } else {
        None
    }
}

/// `@@name`, `@@scope.name`. Without a scope it is the session's, save that the two transaction characteristics then
/// concern the next transaction only (Reference Manual, SET TRANSACTION).
fn system_target(text: &[u8]) -> Result<Target<'_>, Unparsed> {
    let name = text.get(2..).unwrap_or_default();
    let dot = name.iter().position(|&byte| byte == b'.');
    let scoped = dot.and_then(|dot| Some((scope_of(name.get(..dot)?)?, name.get(dot + 1..)?)));
    if let Some((scope, name)) = scoped {
        return Ok(Target::Variable { scope, name: bounded(name)? });
    }
    let bare = unquote(name);
    let one_shot = ["transaction_isolation", "tx_isolation", "transaction_read_only", "tx_read_only"];
    let next = one_shot.iter().any(|variable| bare.eq_ignore_ascii_case(variable.as_bytes()));
    let scope = if next { Scope::NextTransaction } else { Scope::Session };
    Ok(Target::Variable { scope, name: bounded(name)? })
}

/// A name of a length that MySQL would take.
fn bounded(name: &[u8]) -> Result<&[u8], Unparsed> {
    match name.len() {
        0 => Err(Unparsed::Syntax),
        length if length > MAX_NAME * 2 => Err(Unparsed::TooLarge),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests;
