//! How a binlog reader tells what its server has executed: lines of text over TCP, one way.
//!
//! | line | says |
//! |---|---|
//! | `ST=<id>:<n>[-<m>][,…]` | everything so far; the first line |
//! | `I1=<id>:<n>` | one more transaction |
//! | `I2=<n>` | one more of the same source as the last |
//! | `I3=<id>:<n>-<m>` | several more |
//! | `I4=<n>-<m>` | several more of the same source |
//!
//! An id is a server's UUID (with dashes after `ST=`, without them elsewhere; read either way) or a domain of MariaDB.
//! This is the form of ProxySQL and its reader: the `I` lines up to 79 bytes, every interval of an `ST=` under its own
//! id. Ours alone is the tag of a MySQL transaction, between id and number (`<uuid>:<tag>:<n>`); ProxySQL hangs up on it,
//! so it is told only on request, and a transaction that is not told of is one that a server does not seem to have.

use std::fmt::Write;
use std::ops::RangeInclusive;

use crate::mysql::{self, GtidSet, Tag, Uuid};
use crate::{Executed, ParseError, Range, Source, number};

/// The longest `ST=` line: some hundred thousand intervals.
pub const MAX_SNAPSHOT: usize = 8 << 20;
/// The longest other line: a UUID, a tag and two numbers have 114 bytes.
const MAX_LINE: usize = 160;

/// What a line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Everything that has been executed.
    Executed(Executed),
    /// So much more.
    More(Range),
}

/// Why a reader is not to be listened to any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("a line is too long")]
    TooLong,
    #[error("an increment came before everything so far")]
    NoSnapshot,
    #[error("a line leaves out its source, and there is none before it")]
    NoSource,
    #[error("unknown kind of line")]
    Kind,
    #[error("not text")]
    NotText,
    #[error(transparent)]
    Gtid(#[from] ParseError),
}

/// One reader's lines, from its bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    /// A line that is not whole yet.
    begun: Vec<u8>,
    has_snapshot: bool,
    last: Option<Source>,
}

impl Decoder {
    /// Takes bytes as they come; `on` gets what each whole line says.
    ///
    /// # Errors
    /// The reader is broken; nothing it has said may be relied on.
    pub fn push(&mut self, mut bytes: &[u8], mut on: impl FnMut(Message)) -> Result<(), WireError> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (head, rest) = bytes.split_at(end);
            bytes = rest.get(1..).unwrap_or_default();
            let mut line = std::mem::take(&mut self.begun);
            line.extend_from_slice(head);
            check_length(&line)?;
            on(self.line(&line)?);
        }
        self.begun.extend_from_slice(bytes);
        check_length(&self.begun)
    }

    fn line(&mut self, line: &[u8]) -> Result<Message, WireError> {
        let text = std::str::from_utf8(line).map_err(|_| WireError::NotText)?.trim_end_matches('\r');
        let (kind, text) = text.split_once('=').ok_or(WireError::Kind)?;
        if kind == "ST" {
            self.has_snapshot = true;
            return Ok(Message::Executed(everything(text)?));
        }
        if !self.has_snapshot {
            return Err(WireError::NoSnapshot);
        }
        let (source, digits) = match kind {
            "I1" | "I3" => {
                let (source, digits) = text.rsplit_once(':').ok_or(ParseError::Shape)?;
                (parse_source(source)?, digits)
            }
            "I2" | "I4" => (self.last.take().ok_or(WireError::NoSource)?, text),
            _ => return Err(WireError::Kind),
        };
        let numbers = mysql::interval(digits)?;
        self.last = Some(source.clone());
        Ok(Message::More(Range { source, numbers }))
    }
}

/// An increment that goes on and on is refused before its end is there.
fn check_length(line: &[u8]) -> Result<(), WireError> {
    let limit = if line.starts_with(b"S") { MAX_SNAPSHOT } else { MAX_LINE };
    if line.len() > limit { Err(WireError::TooLong) } else { Ok(()) }
}

/// What follows `ST=`: as our own side and ProxySQL's write it, and as a server prints `gtid_executed`.
fn everything(text: &str) -> Result<Executed, ParseError> {
    let mut executed = Executed::default();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (id, intervals) = one.split_once(':').ok_or(ParseError::Shape)?;
        let mut source = parse_source(id)?;
        for part in intervals.split(':') {
            match &mut source {
                Source::MySql { tag, .. } if mysql::starts_tag(part) => *tag = Tag::new(part)?,
                _ => executed.add(Range { source: source.clone(), numbers: mysql::interval(part)? }),
            }
        }
    }
    Ok(executed)
}

/// `uuid`, `uuid:tag` or a domain.
fn parse_source(text: &str) -> Result<Source, ParseError> {
    let (id, tag) = match text.split_once(':') {
        Some((id, tag)) => (id, Tag::new(tag)?),
        None => (text, Tag::default()),
    };
    let uuid = Uuid::parse_plain(id).or_else(|_| id.parse());
    match uuid {
        Ok(uuid) => Ok(Source::MySql { uuid, tag }),
        Err(_) if tag == Tag::default() && id.len() <= 10 => Ok(Source::MariaDb { domain: number(id)? }),
        Err(error) => Err(error),
    }
}

/// How a reader tells of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Several in one line (`I3`, `I4`), which ProxySQL before 3.0 does not understand.
    pub ranges: bool,
    /// Those with a tag too, which ProxySQL does not understand.
    pub tags: bool,
}

impl Style {
    /// The `ST=` line.
    pub fn everything(self, executed: &GtidSet) -> String {
        let mut line = String::from("ST=");
        for (uuid, tag, numbers) in self.told(executed) {
            let comma = if line.len() > 3 { "," } else { "" };
            let _ = write!(line, "{comma}{uuid}{}:", Tagged(tag));
            put_numbers(&mut line, &numbers);
        }
        line.push('\n');
        line
    }

    /// The lines for transactions that have come to it. They name their source anew, whatever was told before.
    pub fn more(self, new: &GtidSet) -> String {
        let mut lines = String::new();
        let mut last = None;
        for (uuid, tag, numbers) in self.told(new) {
            let pieces = if self.ranges { 1 } else { numbers.end() - numbers.start() + 1 };
            for piece in 0..pieces {
                let numbers = match self.ranges {
                    true => numbers.clone(),
                    false => numbers.start() + piece..=numbers.start() + piece,
                };
                let kind = 1 + 2 * u8::from(numbers.start() != numbers.end());
                if last == Some((uuid, tag)) {
                    let _ = write!(lines, "I{}=", kind + 1);
                } else {
                    let _ = write!(lines, "I{kind}={}{}:", Plain(uuid), Tagged(tag));
                    last = Some((uuid, tag));
                }
                put_numbers(&mut lines, &numbers);
                lines.push('\n');
            }
        }
        lines
    }

    fn told(self, set: &GtidSet) -> impl Iterator<Item = (&Uuid, &Tag, RangeInclusive<u64>)> {
        set.ranges().filter(move |(_, tag, _)| self.tags || tag.as_str().is_empty())
    }
}

fn put_numbers(line: &mut String, numbers: &RangeInclusive<u64>) {
    let (first, last) = (numbers.start(), numbers.end());
    let _ = if first == last { write!(line, "{first}") } else { write!(line, "{first}-{last}") };
}

/// A UUID without dashes.
struct Plain<'a>(&'a Uuid);

impl std::fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A tag with its colon; nothing for none.
struct Tagged<'a>(&'a Tag);

impl std::fmt::Display for Tagged<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_str() {
            "" => Ok(()),
            tag => write!(f, ":{tag}"),
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
