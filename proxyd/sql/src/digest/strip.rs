//! The first pass: literals become `?`, comments go, runs of white space become one space.
//!
//! It looks at single bytes, as ProxySQL does, not at tokens: where a name ends is where a byte stands that is no ASCII
//! letter, digit, `_` or `$`.

use super::DigestOptions;

/// Of a comment that stays (`keep_comment`), so many bytes do.
const LONGEST_COMMENT: usize = 1023;

/// How far a statement has been read.
#[derive(Debug)]
pub(super) struct Strip<'a> {
    sql: &'a [u8],
    options: &'a DigestOptions,
    at: usize,
    /// What stands before `at`, as far as it matters: the byte itself, `?` after a literal, a space after a comment.
    before: u8,
    /// Inside `/*! … */`: its end is a token.
    executable: bool,
    /// Inside backticks quotes and comments are part of the name.
    backticks: bool,
    /// Where the text's last literal begins, if it is a number that ends the statement.
    pub(super) last_number: Option<usize>,
    /// The classes of all bytes that were written, and [`ODD`] for what was not.
    seen: u8,
}

impl<'a> Strip<'a> {
    pub(super) fn new(sql: &'a [u8], options: &'a DigestOptions) -> Strip<'a> {
        Strip {
            sql,
            options,
            at: 0,
            before: 0,
            executable: false,
            backticks: false,
            last_number: None,
            seen: 0,
        }
    }

    /// Whether later passes may take something out of what was written.
    pub(super) fn has_signs(&self) -> bool {
        self.seen & SIGN != 0
    }

    /// Whether nothing was left out but literals and white space, and the rest is ASCII without variables, `;` and backslashes.
    pub(super) fn is_plain(&self) -> bool {
        self.seen & ODD == 0
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.sql.len()
    }

    /// Goes on until the statement ends or `out` has `limit` bytes.
    pub(super) fn run(&mut self, out: &mut Vec<u8>, limit: usize) {
        let as_it_is = !self.options.lowercase && !self.options.replace_null;
        while !self.is_done() && out.len() < limit {
            if as_it_is && !self.executable && !self.backticks {
                self.words(out, limit);
            }
            if out.len() < limit {
                self.step(out);
            }
        }
    }

    /// Takes over what needs no more than a look at each byte: words with single spaces between them, and signs.
    fn words(&mut self, out: &mut Vec<u8>, limit: usize) {
        let rest = self.sql.get(self.at..).unwrap_or_default();
        let rest = rest.get(..limit - out.len()).unwrap_or(rest);
        let mut before = class_of(if out.is_empty() { b' ' } else { self.before });
        let (mut seen, mut length) = (0, 0);
        for &byte in rest {
            let class = class_of(byte);
            let stays = match class & (STOP | DIGIT | SPACE) {
                0 => true,
                DIGIT => before & NAME != 0,
                SPACE => before & SPACE == 0 && byte == b' ',
                _ => false,
            };
            if !stays {
                break;
            }
            before = class;
            seen |= class;
            length += 1;
        }
        let words = rest.get(..length).unwrap_or_default();
        if let Some(&last) = words.last() {
            out.extend_from_slice(words);
            self.at += words.len();
            self.before = last;
            self.seen |= seen;
        }
    }

    fn step(&mut self, out: &mut Vec<u8>) {
        let rest = self.sql.get(self.at..).unwrap_or_default();
        let Some(&byte) = rest.first() else { return };
        let marks = matches!(byte, b'\'' | b'"' | b'#' | b'-' | b'/' | b'*');
        if self.backticks && marks {
            return self.plain(byte, out);
        }
        match rest {
            [b'`', ..] => {
                self.backticks = !self.backticks;
                self.plain(byte, out);
            }
            [b'*', b'/', ..] if self.executable => {
                self.executable = false;
                self.after_comment(2, out);
            }
            [b'/', b'*', b'!', ..] if !self.options.keep_comment => self.open_executable(rest),
            [b'/', b'*', ..] => self.comment(rest, out),
            [b'#', ..] => self.line_comment(rest, 1),
            [b'-', b'-', b' ' | b'\t' | b'\r' | b'\n', ..] if self.before != b'-' => {
                self.line_comment(rest, 2);
            }
            [b'\'' | b'"', ..] => self.string(rest, byte, out),
            [b'0'..=b'9', ..] if !is_name(self.before) => self.number(rest, out),
            [b'n' | b'N', ..] if self.options.replace_null && !is_name(self.before) && is_null(rest) => {
                self.literal(4, out);
            }
            _ => self.plain(byte, out),
        }
    }

    fn plain(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.at += 1;
        self.seen |= class_of(byte);
        if byte == b'-' && self.before == b'-' {
            self.seen |= ODD;
        }
        if self.executable {
            out.push(byte);
        } else if !is_space(byte) {
            out.push(if self.options.lowercase { byte.to_ascii_lowercase() } else { byte });
        } else if !out.is_empty() && (!is_space(self.before) || out.last() != Some(&b' ')) {
            out.push(b' ');
        }
        self.before = byte;
    }

    fn literal(&mut self, length: usize, out: &mut Vec<u8>) {
        out.push(b'?');
        self.before = b'?';
        self.at += length;
    }

    /// `/*!40101`: what follows is code. The version, and what else is no word, goes with the mark.
    fn open_executable(&mut self, rest: &[u8]) {
        let inner = rest.get(3..).unwrap_or_default();
        let mut mark =
            inner.iter().take_while(|byte| matches!(byte, b'*' | b'/' | b'!' | b' ' | b'0'..=b'9')).count();
        let end = inner.windows(2).position(|pair| pair == b"*/");
        if let Some(end) = end {
            mark = mark.min(end);
        }
        self.executable = true;
        self.seen |= ODD;
        self.at += 3 + mark;
        self.before = b' ';
    }

    fn comment(&mut self, rest: &[u8], out: &mut Vec<u8>) {
        self.seen |= ODD;
        let inner = rest.get(2..).unwrap_or_default();
        let Some(length) = inner.windows(2).position(|pair| pair == b"*/") else {
            self.at = self.sql.len();
            return;
        };
        if self.options.keep_comment {
            let text = rest.get(..length + 4).unwrap_or_default();
            let has_words = text.iter().any(|byte| !matches!(byte, b'/' | b'*' | b'!' | b' ' | b'0'..=b'9'));
            if has_words {
                // The mark of an executable comment is not kept.
                let kept = text.iter().enumerate().filter(|&(at, &byte)| at != 2 || byte != b'!');
                out.extend(kept.take(LONGEST_COMMENT).map(|(_, byte)| *byte));
                self.seen |= SIGN;
            }
        }
        self.after_comment(length + 4, out);
    }

    fn after_comment(&mut self, length: usize, out: &mut Vec<u8>) {
        if out.last().is_some_and(|&last| last != b' ') {
            out.push(b' ');
        }
        self.before = b' ';
        self.at += length;
    }

    fn line_comment(&mut self, rest: &[u8], mark: usize) {
        self.seen |= ODD;
        let inner = rest.get(mark..).unwrap_or_default();
        let line =
            inner.iter().position(|byte| matches!(byte, b'\n' | b'\r')).map_or(inner.len(), |at| at + 1);
        self.at += mark + line;
        self.before = b' ';
    }

    /// Of a string that does not end nothing stays, nor of what would follow it.
    fn string(&mut self, rest: &[u8], quote: u8, out: &mut Vec<u8>) {
        match crate::token::quoted_end(rest, quote) {
            Some(end) => {
                self.literal(end, out);
                self.before = 0;
            }
            None => {
                self.seen |= ODD;
                self.at = self.sql.len();
            }
        }
    }

    fn number(&mut self, rest: &[u8], out: &mut Vec<u8>) {
        let mut length = 1;
        while let Some(&byte) = rest.get(length) {
            let sign = matches!(byte, b'+' | b'-') && matches!(rest.get(length - 1), Some(b'e' | b'E'));
            if !is_name(byte) && byte != b'.' && !sign {
                break;
            }
            length += 1;
        }
        let word = rest.get(..length).unwrap_or_default();
        match word.split_last() {
            // Where a word ends the statement, its last byte is not looked at: `1a` is a number there, `1.` one and a point.
            Some((&last, head)) if length == rest.len() && !head.is_empty() && !is_number(word) => {
                if is_number(head) {
                    self.last_number = is_name(last).then_some(out.len());
                    self.literal(if is_name(last) { length } else { length - 1 }, out);
                } else {
                    head.iter().for_each(|&byte| self.plain(byte, out));
                }
            }
            Some((b'.', _)) if length == rest.len() => self.literal(length - 1, out),
            _ if is_number(word) => {
                self.last_number = (length == rest.len()).then_some(out.len());
                self.literal(length, out);
            }
            _ => word.iter().for_each(|&byte| self.plain(byte, out)),
        }
    }
}

/// Whether a word that begins with a digit is a number. Any mixture of digits, points and exponents is.
fn is_number(word: &[u8]) -> bool {
    match word {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        [b'0', b'b' | b'B', digits @ ..] if !digits.is_empty() => {
            digits.iter().all(|digit| matches!(digit, b'0' | b'1'))
        }
        _ => {
            word.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'))
        }
    }
}

fn is_null(rest: &[u8]) -> bool {
    rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case(b"null"))
        && rest.get(4).is_none_or(|&next| !is_name(next))
}

/// A byte of a name.
pub(super) fn is_name(byte: u8) -> bool {
    class_of(byte) & NAME != 0
}

fn is_space(byte: u8) -> bool {
    class_of(byte) & SPACE != 0
}

const NAME: u8 = 1;
const DIGIT: u8 = 2;
const SPACE: u8 = 4;
/// May begin a literal, a comment or a quoted name.
const STOP: u8 = 8;
/// What spaces, signs and lists beside it may be left out.
const SIGN: u8 = 16;
/// What statements of one digest text may differ in, beside literals.
const ODD: u8 = 32;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut at = 0;
    while at < 256 {
        classes[at] = match at as u8 {
            b'0'..=b'9' => NAME | DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' | b'$' | b'_' => NAME,
            b' ' | b'\t' | b'\n' | b'\r' => SPACE,
            b'\'' | b'"' | b'#' | b'`' => STOP,
            b'-' | b'/' => STOP | SIGN,
            b'(' | b')' | b',' | b'+' | b'*' | b'%' => SIGN,
            0..=0x1f | b'\\' | b'@' | b';' | 0x7f.. => ODD,
            _ => 0,
        };
        at += 1;
    }
    classes
};

fn class_of(byte: u8) -> u8 {
    CLASSES[byte as usize]
}
