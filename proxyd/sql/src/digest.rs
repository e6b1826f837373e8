//! Digests: the text that statements of one shape share, and its hash, as ProxySQL prints them.
//!
//! ProxySQL makes them in passes over bytes, not from tokens, and so does this: rules and dashboards that name a digest
//! must find the same one here. [`strip`] replaces literals and takes comments and white space out; [`compress`] takes
//! out what spaces and signs are left to say nothing, and shortens lists and rows of lists.
//!
//! Where ProxySQL lets bytes of a literal or a comment through, or loses what follows, this does not; `tests/digests.txt`
//! has vectors of both, and names the differences.

mod compress;
mod strip;

use crate::spooky;
use compress::compress;
use strip::Strip;

/// The `mysql-query_digests_*` variables, with ProxySQL's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestOptions {
    /// Bytes of digest text that are kept.
    pub max_digest_length: usize,
    /// Bytes of text while it is made; what is looked at is up to sixteen times as much.
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

/// How many times `max_query_length` of a statement is read, if it keeps getting shorter.
const LOOKED_AT: usize = 16;

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
    text: String,
    hash: u64,
    plain: bool,
}

/// A digest that somebody keeps.
#[derive(Debug, Default)]
pub struct Digest {
    pub hash: u64,
    pub text: Box<str>,
    options: DigestOptions,
}

impl Digester {
    pub fn new(options: DigestOptions) -> Digester {
        Digester { options, text: String::new(), hash: 0, plain: false }
    }

    pub fn options(&self) -> &DigestOptions {
        &self.options
    }

    /// The digest text; valid until the next call. Bytes that are not UTF-8 are shown as `_`.
    pub fn digest(&mut self, sql: &[u8]) -> &str {
        let options = &self.options;
        let mut bytes = std::mem::take(&mut self.text).into_bytes();
        bytes.clear();
        let buf = &mut bytes;
        // What is read of a statement is bounded by what a worker can read without keeping others waiting.
        let read = sql.get(..options.max_query_length.saturating_mul(LOOKED_AT)).unwrap_or(sql);
        let mut strip = Strip::new(read, options);
        loop {
            strip.run(buf, options.max_query_length);
            let end = strip.last_number.unwrap_or(buf.len());
            if strip.has_signs() || options.no_digits {
                compress(buf, end, options);
            }
            // A long statement of many rows becomes short enough to go on.
            if strip.is_done() || buf.len() >= options.max_query_length {
                break;
            }
        }
        while buf.len() > 1 && matches!(buf.last(), Some(b' ' | b';')) {
            buf.pop();
        }
        let whole = read.len() == sql.len() && strip.is_done() && buf.len() <= options.max_digest_length;
        self.plain = whole && strip.is_plain() && !options.no_digits;
        buf.truncate(options.max_digest_length);
        self.hash = spooky::hash64(buf, 0);
        self.text = String::from_utf8(bytes).unwrap_or_else(|error| utf8(error.into_bytes()));
        &self.text
    }

    /// The hash of the last digest text, over its bytes as the client sent them.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Whether the last statement and another one of the same digest text, plain as well, differ in literals and white space
    /// at most: no comment, no user variable, nothing cut off.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The last digest, to be kept.
    pub fn last(&self) -> Digest {
        Digest { hash: self.hash, text: self.text.as_str().into(), options: self.options }
    }

    /// Takes a kept digest for the last one. False if it was made under other options.
    pub fn put_back(&mut self, digest: &Digest) -> bool {
        let fits = digest.options == self.options;
        if fits {
            self.text.clear();
            self.text.push_str(&digest.text);
            (self.hash, self.plain) = (digest.hash, false);
        }
        fits
    }

    /// The last digest text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Replaces what is not UTF-8, byte by byte.
fn utf8(mut buf: Vec<u8>) -> String {
    let mut from = 0;
    while let Some(Err(error)) = buf.get(from..).map(std::str::from_utf8) {
        let bad = from + error.valid_up_to();
        let length = error.error_len().unwrap_or(buf.len() - bad);
        if let Some(bytes) = buf.get_mut(bad..bad + length) {
            bytes.fill(b'_');
        }
        from = bad + length;
    }
    String::from_utf8(buf).unwrap_or_default()
}

#[cfg(test)]
mod tests;
