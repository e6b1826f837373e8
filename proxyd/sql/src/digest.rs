//! Digests: the text that statements of one shape share, and its hash, as ProxySQL prints them.
//!
//! The rules, taken from ProxySQL's documentation and from digests it has published:
//! - literals, with their sign, become `?`; `N'x'` keeps its letter; words keep their digits and their case;
//! - comments go, `/*! … */` stays; white space is one space, and none beside commas, inside parentheses, and around
//!   the arithmetic operators of a literal;
//! - of a list of more than `grouping_limit` + 1 literals the first ones stay and `...` stands for the others; of more
//!   than `groups_grouping_limit` such lists likewise;
//! - text in backticks is treated like any other.
//!
//! A digest of a digest text is the text itself, and no byte of a literal ever reaches it.

mod emit;

use crate::spooky;
use crate::token::{Token, TokenKind, Tokenizer};
use emit::Emitter;

/// The `mysql-query_digests_*` variables, with ProxySQL's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestOptions {
    /// Bytes of digest text that are kept.
    pub max_digest_length: usize,
    /// Bytes of the query that are looked at.
    pub max_query_length: usize,
    /// Literals of a list that are kept; 0 keeps all.
    pub grouping_limit: usize,
    /// Lists in a row that are kept; 0 keeps all.
    pub groups_grouping_limit: usize,
    pub lowercase: bool,
    /// Digits inside words become `?` too.
    pub no_digits: bool,
    /// NULL is a literal.
    pub replace_null: bool,
    /// `/* … */` stays.
    pub keep_comment: bool,
}

impl Default for DigestOptions {
    fn default() -> DigestOptions {
        DigestOptions {
            max_digest_length: 2048,
            max_query_length: 65000,
            grouping_limit: 3,
            groups_grouping_limit: 10,
            lowercase: false,
            no_digits: false,
            replace_null: false,
            keep_comment: false,
        }
    }
}

/// The hash of a digest text, printed by ProxySQL as `0x%016llX`.
pub fn digest(text: &str) -> u64 {
    spooky::hash64(text.as_bytes(), 0)
}

/// The digest text of one statement. Where many follow each other, a [`Digester`] saves the allocations.
pub fn digest_text(sql: &[u8], options: &DigestOptions) -> String {
    let mut digester = Digester::new(*options);
    digester.digest(sql).to_owned()
}

/// Makes digests in a buffer of its own, which it keeps.
#[derive(Debug, Default)]
pub struct Digester {
    options: DigestOptions,
    buf: Vec<u8>,
    hash: u64,
}

impl Digester {
    pub fn new(options: DigestOptions) -> Digester {
        Digester { options, buf: Vec::new(), hash: 0 }
    }

    pub fn options(&self) -> &DigestOptions {
        &self.options
    }

    /// The digest text; valid until the next call. Bytes that are not UTF-8 are shown as `_`.
    pub fn digest(&mut self, sql: &[u8]) -> &str {
        self.buf.clear();
        let sql = sql.get(..self.options.max_query_length).unwrap_or(sql);
        let mut emitter = Emitter::new(&mut self.buf, &self.options);
        write(sql, &mut emitter, &self.options, false);
        self.buf.truncate(self.options.max_digest_length);
        self.hash = spooky::hash64(&self.buf, 0);
        make_utf8(&mut self.buf);
        std::str::from_utf8(&self.buf).unwrap_or_default()
    }

    /// The hash of the last digest text, over its bytes as the client sent them.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last digest text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.buf).unwrap_or_default()
    }
}

/// Feeds the tokens of `sql` to the emitter. Inside backticks the tokens are those of the name; a name does not nest.
fn write(sql: &[u8], emitter: &mut Emitter<'_>, options: &DigestOptions, quoted: bool) {
    let keep_comment = options.keep_comment && !quoted;
    let mut tokens = if keep_comment { Tokenizer::with_comments(sql) } else { Tokenizer::new(sql) };
    while let Some(token) = tokens.next() {
        if emitter.full() {
            return;
        }
        match token.kind {
            TokenKind::QuotedIdentifier if !quoted => {
                let inner = token.text.strip_prefix(b"`").unwrap_or(token.text);
                let closed = inner.strip_suffix(b"`");
                emitter.open_quote(token.spaced);
                write(closed.unwrap_or(inner), emitter, options, true);
                emitter.close_quote(closed.is_some());
            }
            // `NULL.x` is a column.
            TokenKind::Word
                if options.replace_null
                    && token.is_word("NULL")
                    && tokens.clone().next().is_none_or(|next| !next.is_op(".")) =>
            {
                emitter.token(&Token { kind: TokenKind::Placeholder, ..token });
            }
            TokenKind::Comment if !token.text.starts_with(b"/*") => emitter.space(),
            _ => emitter.token(&token),
        }
    }
}

/// Replaces what is not UTF-8, byte by byte.
fn make_utf8(buf: &mut [u8]) {
    let mut from = 0;
    while let Some(Err(error)) = buf.get(from..).map(std::str::from_utf8) {
        let bad = from + error.valid_up_to();
        let length = error.error_len().unwrap_or(buf.len() - bad);
        if let Some(bytes) = buf.get_mut(bad..bad + length) {
            bytes.fill(b'_');
        }
        from = bad + length;
    }
}

#[cfg(test)]
mod tests;
