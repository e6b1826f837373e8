//! The tokenizer: slices of the statement with a kind, in order, without allocation.
//!
//! It follows MySQL's lexical rules (Reference Manual, chapter 11, and §11.7 for comments). Bytes of 0x80 and above
//! belong to words, so that UTF-8 and the single-byte character sets pass through untouched. Every step consumes at
//! least one byte, so any input ends.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A keyword or an unquoted identifier.
    Word,
    /// `` `name` ``, with its quotes.
    QuotedIdentifier,
    /// `'…'` or `"…"`, with its quotes.
    String,
    /// `x'…'`, `b'…'` or `n'…'`: one letter and a string.
    PrefixedString,
    /// Decimal, float, `0x…` or `0b…`; never with a sign.
    Number,
    /// `@name`, `@'name'`, `` @`name` ``.
    UserVariable,
    /// `@@name`, `@@scope.name`.
    SystemVariable,
    /// `?`
    Placeholder,
    /// `...`, which is how a digest text abbreviates.
    Ellipsis,
    /// Punctuation: one byte, or one of the operators of several.
    Operator,
    /// `-- …`, `# …` or `/* … */`; only from [`Tokenizer::with_comments`].
    Comment,
    /// `/*!`, with the version when there is one: what follows is code.
    ExecutableOpen,
    /// The `*/` that ends executable code.
    ExecutableClose,
}

/// A slice of the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub kind: TokenKind,
    pub text: &'a [u8],
    /// Offset of `text` in the statement.
    pub start: usize,
    /// White space or a comment stands before it.
    pub spaced: bool,
}

impl Token<'_> {
    /// Whether it is this unquoted word, in any case.
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it is this operator.
    pub fn is_op(&self, operator: &str) -> bool {
        self.kind == TokenKind::Operator && self.text == operator.as_bytes()
    }

    /// Offset of the first byte after it.
    pub fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// Iterates over the tokens of one statement.
#[derive(Debug, Clone)]
pub struct Tokenizer<'a> {
    sql: &'a [u8],
    pos: usize,
    comments: bool,
    /// Inside `/*! … */`, where `*/` is a token.
    executable: bool,
    /// The last token was an identifier and `.`: digits that follow belong to a name.
    qualified: bool,
    /// The last token could end an identifier.
    after_name: bool,
}

impl<'a> Tokenizer<'a> {
    /// Comments count as white space.
    pub fn new(sql: &'a [u8]) -> Tokenizer<'a> {
        Tokenizer { sql, pos: 0, comments: false, executable: false, qualified: false, after_name: false }
    }

    /// Comments are tokens.
    pub fn with_comments(sql: &'a [u8]) -> Tokenizer<'a> {
        Tokenizer { comments: true, ..Tokenizer::new(sql) }
    }

    fn rest(&self) -> &'a [u8] {
        self.sql.get(self.pos..).unwrap_or_default()
    }

    fn take(&mut self, kind: TokenKind, length: usize, spaced: bool) -> Token<'a> {
        let start = self.pos;
        let end = (start + length.max(1)).min(self.sql.len());
        self.pos = end;
        let text = self.sql.get(start..end).unwrap_or_default();
        self.qualified = self.after_name && text == b".";
        self.after_name = matches!(kind, TokenKind::Word | TokenKind::QuotedIdentifier);
        Token { kind, text, start, spaced }
    }

    /// The word that begins here.
    fn word(&mut self, spaced: bool) -> Token<'a> {
        let rest = self.rest();
        let text = rest.get(..count(rest, is_word_byte)).unwrap_or_default();
        let start = self.pos;
        self.pos += text.len();
        (self.after_name, self.qualified) = (true, false);
        Token { kind: TokenKind::Word, text, start, spaced }
    }

    /// Length of a comment that begins here, and 0 where none does.
    fn comment(&self) -> usize {
        let rest = self.rest();
        match rest {
            // What most tokens begin with, so that nobody has to ask further.
            [first, ..] if !matches!(first, b'#' | b'-' | b'/') => 0,
            [b'#', ..] => line_length(rest),
            [b'-', b'-'] => 2,
            [b'-', b'-', next, ..] if next.is_ascii_whitespace() || next.is_ascii_control() => {
                line_length(rest)
            }
            [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => 0,
            [b'/', b'*', inner @ ..] => {
                inner.windows(2).position(|pair| pair == b"*/").map_or(rest.len(), |at| at + 4)
            }
            _ => 0,
        }
    }

    /// Length and kind of a token that begins with a digit, or with `.` and a digit.
    fn number(&self) -> (TokenKind, usize) {
        let rest = self.rest();
        let word = count(rest, is_word_byte);
        if let [b'0', b'x' | b'X', digits @ ..] = rest {
            let length = count(digits, |byte| byte.is_ascii_hexdigit()) + 2;
            return if length > 2 && length == word {
                (TokenKind::Number, length)
            } else {
                (TokenKind::Word, word)
            };
        }
        if let [b'0', b'b' | b'B', digits @ ..] = rest {
            let length = count(digits, |byte| matches!(byte, b'0' | b'1')) + 2;
            return if length > 2 && length == word {
                (TokenKind::Number, length)
            } else {
                (TokenKind::Word, word)
            };
        }
        let whole = count(rest, |byte| byte.is_ascii_digit());
        let mut length = whole;
        if rest.get(length) == Some(&b'.') && !rest.get(length..).unwrap_or_default().starts_with(b"...") {
            length += 1 + count(rest.get(length + 1..).unwrap_or_default(), |byte| byte.is_ascii_digit());
        }
        length += exponent_length(rest.get(length..).unwrap_or_default());
        if length < word || (length == whole && whole < word) {
            (TokenKind::Word, word)
        } else {
            (TokenKind::Number, length)
        }
    }

    /// Length and kind of what begins with `@`.
    fn variable(&self) -> (TokenKind, usize) {
        let rest = self.rest();
        let (kind, sigil) = if rest.starts_with(b"@@") {
            (TokenKind::SystemVariable, 2)
        } else {
            (TokenKind::UserVariable, 1)
        };
        let name = rest.get(sigil..).unwrap_or_default();
        let mut length = 0;
        while let Some(&byte) = name.get(length) {
            match byte {
                b'`' => length += quoted_length(name.get(length..).unwrap_or_default()),
                b'\'' | b'"' if sigil == 1 && length == 0 => {
                    length = quoted_length(name);
                    break;
                }
                b'.' => length += 1,
                _ if is_word_byte(byte) => length += 1,
                _ => break,
            }
        }
        if length == 0 { (TokenKind::Operator, 1) } else { (kind, sigil + length) }
    }

    fn classify(&self) -> (TokenKind, usize) {
        let rest = self.rest();
        match rest {
            [b'/', b'*', b'!', ..] => (TokenKind::ExecutableOpen, 3 + version_length(rest.get(3..))),
            [b'/', b'*', b'M', b'!', ..] => (TokenKind::ExecutableOpen, 4 + version_length(rest.get(4..))),
            [b'*', b'/', ..] if self.executable => (TokenKind::ExecutableClose, 2),
            [b'.', b'.', b'.', ..] => (TokenKind::Ellipsis, 3),
            [b'\'' | b'"', ..] => (TokenKind::String, quoted_length(rest)),
            [b'`', ..] => (TokenKind::QuotedIdentifier, quoted_length(rest)),
            [b'x' | b'X' | b'b' | b'B' | b'n' | b'N', b'\'', ..] => {
                (TokenKind::PrefixedString, 1 + quoted_length(rest.get(1..).unwrap_or_default()))
            }
            [b'?', ..] => (TokenKind::Placeholder, 1),
            [b'@', ..] => self.variable(),
            [b'0'..=b'9', ..] if self.qualified => (TokenKind::Word, count(rest, is_word_byte)),
            [b'0'..=b'9', ..] => self.number(),
            [b'.', b'0'..=b'9', ..] if !self.after_name => self.number(),
            [byte, ..] if is_word_byte(*byte) => (TokenKind::Word, count(rest, is_word_byte)),
            _ => (TokenKind::Operator, operator_length(rest)),
        }
    }
}

impl<'a> Iterator for Tokenizer<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let mut spaced = false;
        while let Some(&byte) = self.sql.get(self.pos) {
            // Most tokens are words, most of what is between them is a space.
            if has(byte, PLAIN_WORD) {
                return Some(self.word(spaced));
            }
            if is_space(byte) {
                self.pos += 1;
                spaced = true;
                (self.after_name, self.qualified) = (false, false);
                continue;
            }
            let comment = self.comment();
            if comment > 0 && self.comments {
                return Some(self.take(TokenKind::Comment, comment, spaced));
            } else if comment > 0 {
                self.pos += comment;
                spaced = true;
                (self.after_name, self.qualified) = (false, false);
            } else {
                let (kind, length) = self.classify();
                match kind {
                    TokenKind::ExecutableOpen => self.executable = true,
                    TokenKind::ExecutableClose => self.executable = false,
                    _ => {}
                }
                return Some(self.take(kind, length, spaced));
            }
        }
        None
    }
}

/// Takes the quotes off a quoted token and undoes its escapes; other text comes back as it is.
///
/// `\n`, `\t`, `\r`, `\0`, `\b` and `\Z` become their byte; any other escaped byte stands for itself.
pub fn unquote(text: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let Some((&quote, inner)) = text.split_first().filter(|(byte, _)| matches!(byte, b'\'' | b'"' | b'`'))
    else {
        return text.into();
    };
    let inner = inner.strip_suffix(&[quote]).unwrap_or(inner);
    let escapes = quote != b'`';
    if !inner.iter().any(|&byte| byte == quote || (escapes && byte == b'\\')) {
        return inner.into();
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if escapes => out.extend(bytes.next().map(unescape)),
            _ if byte == quote => out.extend(bytes.next()),
            _ => out.push(byte),
        }
    }
    out.into()
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'0' => 0,
        b'b' => 8,
        b'Z' => 26,
        other => other,
    }
}

/// White space, and a zero byte.
const SPACE: u8 = 1;
/// Letters, digits, `_`, `$` and every byte beyond ASCII.
const IN_WORD: u8 = 2;
/// Begins a word whatever comes next: no digit, and no letter that makes a string of what follows.
const PLAIN_WORD: u8 = 4;

/// What each byte can be: every statement is read by this table, several times.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        if matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0) {
            classes[at] = SPACE;
        } else if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80 {
            let plain = !byte.is_ascii_digit() && !matches!(byte, b'x' | b'X' | b'b' | b'B' | b'n' | b'N');
            classes[at] = if plain { IN_WORD | PLAIN_WORD } else { IN_WORD };
        }
        at += 1;
    }
    classes
};

const fn has(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}

fn is_space(byte: u8) -> bool {
    has(byte, SPACE)
}

/// Letters, digits, `_`, `$` and every byte beyond ASCII.
pub(crate) fn is_word_byte(byte: u8) -> bool {
    has(byte, IN_WORD)
}

fn count(bytes: &[u8], accept: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !accept(byte)).unwrap_or(bytes.len())
}

fn line_length(rest: &[u8]) -> usize {
    count(rest, |byte| byte != b'\n')
}

/// Whether a quoted token has its closing quote, and nothing after it.
pub(crate) fn is_closed(text: &[u8]) -> bool {
    text.first().and_then(|&quote| quoted_end(text, quote)) == Some(text.len())
}

/// Length of a quoted run that begins with its quote; without an end it takes everything.
fn quoted_length(rest: &[u8]) -> usize {
    rest.first().and_then(|&quote| quoted_end(rest, quote)).unwrap_or(rest.len())
}

/// Where a run ends that begins with this quote, if it does.
pub(crate) fn quoted_end(rest: &[u8], quote: u8) -> Option<usize> {
    let escapes = quote != b'`';
    let mut at = 1;
    loop {
        let inner = rest.get(at..)?;
        at += inner.iter().position(|&byte| byte == quote || (escapes && byte == b'\\'))?;
        let doubled = rest.get(at + 1) == Some(&quote);
        if rest.get(at) == Some(&quote) && !doubled {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Up to six digits: the server version of `/*!50001`.
fn version_length(rest: Option<&[u8]>) -> usize {
    count(rest.unwrap_or_default(), |byte| byte.is_ascii_digit()).min(6)
}

fn exponent_length(rest: &[u8]) -> usize {
    let sign = match rest {
        [b'e' | b'E', b'+' | b'-', b'0'..=b'9', ..] => 2,
        [b'e' | b'E', b'0'..=b'9', ..] => 1,
        _ => return 0,
    };
    sign + count(rest.get(sign..).unwrap_or_default(), |byte| byte.is_ascii_digit())
}

fn operator_length(rest: &[u8]) -> usize {
    const LONG: [&[u8]; 12] =
        [b"<=>", b"->>", b":=", b"<=", b">=", b"<>", b"!=", b"<<", b">>", b"&&", b"||", b"->"];
    // Most operators are one byte; only these begin longer ones.
    if !matches!(rest, [b'<' | b'-' | b':' | b'>' | b'!' | b'&' | b'|', ..]) {
        return 1;
    }
    LONG.iter().find(|operator| rest.starts_with(operator)).map_or(1, |operator| operator.len())
}

#[cfg(test)]
mod tests;
