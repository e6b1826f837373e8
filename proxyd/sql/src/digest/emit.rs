//! Writes the digest text token by token: spacing, signs, and the abbreviation of lists.

use super::DigestOptions;
use crate::token::{Token, TokenKind};

/// What was written last, as far as the next token's spacing depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Literal,
    /// A name, or anything else an arithmetic operator can follow.
    Operand,
    /// A word after which a sign belongs to the number: SELECT, IN, BETWEEN …
    Keyword,
    Open,
    Close,
    Comma,
    /// Arithmetic; whether it was written without a space before it.
    Arithmetic {
        tight: bool,
    },
    Other,
}

impl Last {
    /// A sign that follows is binary.
    fn is_operand(self) -> bool {
        matches!(self, Last::Literal | Last::Operand | Last::Close)
    }
}

/// A run of elements, of which the first ones stay.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    length: usize,
    /// Length of the text up to and including the last element that stays.
    keep: usize,
}

impl Run {
    /// Counts an element that ends at `end`.
    fn push(&mut self, limit: usize, end: usize) {
        self.length += 1;
        if self.length <= limit {
            self.keep = end;
        }
    }
}

/// Signs that may turn out to belong to a literal. They are held back until the next token tells.
#[derive(Debug, Clone, Default)]
struct Signs {
    /// Length of the text without them.
    from: usize,
    /// What stood before them.
    before: Option<Last>,
    /// White space stood before the first.
    spaced: bool,
}

pub(super) struct Emitter<'a> {
    out: &'a mut Vec<u8>,
    options: &'a DigestOptions,
    last: Last,
    /// White space was seen and not yet written.
    spaced: bool,
    signs: Signs,
    /// Literals of the list being read.
    list: Option<Run>,
    /// The last token was a literal that is an element, if a comma or parenthesis follows.
    element: bool,
    /// Lists in a row; the flag is whether a comma may bring the next.
    groups: Option<Run>,
    /// A parenthesis is open that so far has only literals in it.
    group_open: bool,
}

impl<'a> Emitter<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>, options: &'a DigestOptions) -> Emitter<'a> {
        Emitter {
            out,
            options,
            last: Last::Nothing,
            spaced: false,
            signs: Signs::default(),
            list: None,
            element: false,
            groups: None,
            group_open: false,
        }
    }

    /// Nothing that follows can change the text that is kept.
    pub(super) fn full(&self) -> bool {
        let settled = self.list.is_none() && self.groups.is_none() && self.signs.before.is_none();
        settled && !self.group_open && self.out.len() > self.options.max_digest_length
    }

    /// White space, or what counts as such.
    pub(super) fn space(&mut self) {
        self.spaced = true;
    }

    pub(super) fn open_quote(&mut self, spaced: bool) {
        self.spaced |= spaced;
        self.break_list();
        self.put(b"`", Last::Other);
    }

    pub(super) fn close_quote(&mut self, closed: bool) {
        self.spaced = false;
        self.break_list();
        self.settle_signs();
        if closed {
            self.out.push(b'`');
        }
        self.last = Last::Operand;
    }

    pub(super) fn token(&mut self, token: &Token<'_>) {
        self.spaced |= token.spaced;
        match token.kind {
            TokenKind::String | TokenKind::Number | TokenKind::Placeholder => self.literal(),
            TokenKind::PrefixedString => {
                self.break_list();
                self.put(token.text.get(..1).unwrap_or_default(), Last::Operand);
                self.literal();
            }
            TokenKind::Word => self.word(token.text),
            TokenKind::UserVariable if quotes(token.text) => {
                self.break_list();
                self.put(b"@", Last::Other);
                self.literal();
            }
            TokenKind::Ellipsis => self.ellipsis(),
            TokenKind::Operator => self.operator(token.text),
            TokenKind::UserVariable | TokenKind::SystemVariable | TokenKind::QuotedIdentifier => {
                self.break_list();
                self.put(token.text, Last::Operand);
            }
            TokenKind::Comment | TokenKind::ExecutableOpen | TokenKind::ExecutableClose => {
                self.break_list();
                self.put(token.text, Last::Other);
            }
        }
    }

    /// Writes a token, with the space before it if there is to be one.
    fn put(&mut self, text: &[u8], next: Last) {
        self.settle_signs();
        // Two minus signs that come together would begin a comment.
        let dashes = text.starts_with(b"-") && self.out.ends_with(b"-");
        let space = dashes || (self.spaced && self.keeps_space(next));
        if space {
            self.out.push(b' ');
        }
        self.spaced = false;
        let start = self.out.len();
        self.out.extend_from_slice(text);
        if self.options.lowercase
            && let Some(written) = self.out.get_mut(start..)
        {
            written.make_ascii_lowercase();
        }
        self.last = match next {
            Last::Arithmetic { .. } => Last::Arithmetic { tight: !space },
            other => other,
        };
    }

    fn keeps_space(&self, next: Last) -> bool {
        match (self.last, next) {
            (Last::Nothing | Last::Comma | Last::Open, _) | (_, Last::Comma | Last::Close) => false,
            (Last::Literal, Last::Arithmetic { .. }) => false,
            (Last::Arithmetic { tight }, Last::Literal) => !tight,
            _ => true,
        }
    }

    /// The signs held back were no literal's: they stay where they were written.
    fn settle_signs(&mut self) {
        self.signs.before = None;
    }

    /// A literal: `?`, without the signs before it.
    fn literal(&mut self) {
        if let Some(before) = self.signs.before.take() {
            self.out.truncate(self.signs.from);
            self.last = before;
            self.spaced = self.signs.spaced;
        }
        let element = !self.last.is_operand() && !matches!(self.last, Last::Arithmetic { .. } | Last::Other);
        if self.last != Last::Comma {
            self.list = None;
        }
        self.put(b"?", Last::Literal);
        if element {
            self.list.get_or_insert_default();
        } else {
            self.break_list();
        }
        self.element = element;
    }

    fn word(&mut self, text: &[u8]) {
        self.break_list();
        let next = if takes_sign(text) { Last::Keyword } else { Last::Operand };
        if self.options.no_digits && text.iter().any(u8::is_ascii_digit) {
            self.put(b"", next);
            let mut in_digits = false;
            for &byte in text {
                let digit = byte.is_ascii_digit();
                if !digit {
                    self.out.push(if self.options.lowercase { byte.to_ascii_lowercase() } else { byte });
                } else if !in_digits {
                    self.out.push(b'?');
                }
                in_digits = digit;
            }
        } else {
            self.put(text, next);
        }
    }

    fn operator(&mut self, text: &[u8]) {
        match text {
            b"," => self.comma(),
            b"(" => {
                self.list = None;
                self.element = false;
                if self.last != Last::Comma {
                    self.groups = None;
                }
                self.put(text, Last::Open);
                self.group_open = true;
            }
            b")" => self.close(),
            b"+" | b"-" if !self.last.is_operand() => self.sign(text),
            b"+" | b"-" | b"*" | b"/" | b"%" => {
                self.break_list();
                self.put(text, Last::Arithmetic { tight: true });
            }
            _ => {
                self.break_list();
                self.put(text, Last::Other);
            }
        }
    }

    /// A sign where no operand stands: written for now, and taken back if a literal follows.
    fn sign(&mut self, text: &[u8]) {
        let held = self.signs.before.take();
        let (from, spaced) =
            if held.is_some() { (self.signs.from, self.signs.spaced) } else { (self.out.len(), self.spaced) };
        let before = held.unwrap_or(self.last);
        let kept = (self.list, self.groups, self.group_open, self.element);
        self.put(text, Last::Arithmetic { tight: true });
        (self.list, self.groups, self.group_open, self.element) = kept;
        self.signs = Signs { from, before: Some(before), spaced };
    }

    fn comma(&mut self) {
        self.end_element();
        let after_group = self.last == Last::Close && self.groups.is_some();
        if !after_group && !self.group_open {
            self.groups = None;
        }
        self.put(b",", Last::Comma);
    }

    fn close(&mut self) {
        let pure = self.group_open && self.element;
        self.end_element();
        self.list = None;
        self.put(b")", Last::Close);
        let limit = self.options.groups_grouping_limit;
        if !pure || limit == 0 {
            self.groups = None;
        } else {
            let end = self.out.len();
            let run = self.groups.get_or_insert_default();
            run.push(limit, end);
            if run.length > limit {
                let keep = run.keep;
                self.abbreviate(keep);
            }
        }
        self.group_open = false;
    }

    /// A comma or parenthesis follows: a literal before it is a whole element.
    fn end_element(&mut self) {
        let limit = self.options.grouping_limit;
        if !self.element || limit == 0 {
            self.element = false;
            return;
        }
        self.element = false;
        let end = self.out.len();
        let run = self.list.get_or_insert_default();
        run.push(limit, end);
        if run.length > limit + 1 {
            let keep = run.keep;
            self.abbreviate(keep);
        }
    }

    fn abbreviate(&mut self, keep: usize) {
        self.out.truncate(keep);
        self.out.extend_from_slice(b",...");
    }

    /// `...` of an earlier digest stands for elements, or for lists.
    fn ellipsis(&mut self) {
        let limit = self.options.grouping_limit;
        let after_comma = self.last == Last::Comma;
        let end = self.out.len().saturating_sub(1);
        match (&mut self.list, &mut self.groups) {
            (Some(run), _) if after_comma && limit > 0 && self.group_open => {
                if run.length < limit {
                    run.keep = end;
                }
                run.length = run.length.max(limit + 1);
                self.put(b"...", Last::Literal);
                self.element = true;
            }
            (None, Some(run)) if after_comma && !self.group_open => {
                let limit = self.options.groups_grouping_limit;
                if run.length < limit {
                    run.keep = end;
                }
                run.length = limit;
                let keep = run.keep;
                self.put(b"...", Last::Close);
                self.abbreviate(keep);
            }
            _ => {
                self.break_list();
                self.put(b"...", Last::Other);
            }
        }
    }

    /// Something that is no literal stands in the list.
    fn break_list(&mut self) {
        self.list = None;
        self.element = false;
        self.groups = None;
        self.group_open = false;
    }
}

/// `@'…'` holds a literal (a host, as in an account name); `` @`…` `` a name.
fn quotes(variable: &[u8]) -> bool {
    matches!(variable.get(1), Some(b'\'' | b'"'))
}

/// Words after which `-1` is a number and not a subtraction.
fn takes_sign(word: &[u8]) -> bool {
    const WORDS: [&str; 29] = [
        "SELECT", "VALUES", "VALUE", "IN", "BETWEEN", "AND", "OR", "XOR", "NOT", "LIMIT", "OFFSET", "WHEN",
        "THEN", "ELSE", "LIKE", "SET", "BY", "INTERVAL", "CASE", "DIV", "MOD", "WHERE", "HAVING", "ON",
        "DISTINCT", "DEFAULT", "RETURN", "IF", "ALL",
    ];
    WORDS.iter().any(|candidate| word.eq_ignore_ascii_case(candidate.as_bytes()))
}
