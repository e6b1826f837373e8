//! MySQL: `uuid:number`, since 8.3 `uuid:tag:number`, and sets of them (`gtid_executed`).
//!
//! In a set a tag holds for the intervals after it, up to the next tag or server: `uuid:1-6:backup:1-2:9`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::{ParseError, number};

/// Transaction numbers are 1 to this (Reference Manual, "GTID Format").
pub const MAX_NUMBER: u64 = i64::MAX as u64 - 1;
/// Longest tag.
pub const MAX_TAG: usize = 32;

/// `server_uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

impl FromStr for Uuid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Uuid, ParseError> {
        let mut groups = text.split('-');
        let mut uuid = [0; 16];
        let mut bytes = uuid.iter_mut();
        for length in [8, 4, 4, 4, 12] {
            let group = groups.next().filter(|group| group.len() == length).ok_or(ParseError::Uuid)?;
            for pair in group.as_bytes().chunks_exact(2) {
                let digit = |at: usize| pair.get(at).and_then(|&byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low), Some(byte)) = (digit(0), digit(1), bytes.next()) else {
                    return Err(ParseError::Uuid);
                };
                *byte = (high * 16 + low) as u8;
            }
        }
        if groups.next().is_some() { Err(ParseError::Uuid) } else { Ok(Uuid(uuid)) }
    }
}

impl Uuid {
    pub const fn from_bytes(bytes: [u8; 16]) -> Uuid {
        Uuid(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// 32 hexadecimal digits without a dash, as binlog readers write it.
    pub fn parse_plain(text: &str) -> Result<Uuid, ParseError> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ParseError::Uuid);
        }
        u128::from_str_radix(text, 16).map(|number| Uuid(number.to_be_bytes())).map_err(|_| ParseError::Uuid)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// The tag of a transaction; empty for most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tag(Box<str>);

impl Tag {
    /// A letter or underscore, then letters, digits and underscores, in any case.
    pub fn new(text: &str) -> Result<Tag, ParseError> {
        let valid = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !starts_tag(text) || !valid || text.len() > MAX_TAG {
            return Err(ParseError::Tag);
        }
        Ok(Tag(text.to_ascii_lowercase().into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

pub(crate) fn starts_tag(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
}

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gtid {
    pub source: Uuid,
    pub tag: Tag,
    pub number: u64,
}

impl FromStr for Gtid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Gtid, ParseError> {
        let mut parts = text.split(':').map(str::trim);
        let source = parts.next().ok_or(ParseError::Shape)?.parse()?;
        let middle = parts.next().ok_or(ParseError::Shape)?;
        let (tag, digits) = match parts.next() {
            Some(digits) => (Tag::new(middle)?, digits),
            None => (Tag::default(), middle),
        };
        let gtid = Gtid { source, tag, number: transaction(digits)? };
        if parts.next().is_some() { Err(ParseError::Shape) } else { Ok(gtid) }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag.as_str() {
            "" => write!(f, "{}:{}", self.source, self.number),
            tag => write!(f, "{}:{tag}:{}", self.source, self.number),
        }
    }
}

/// A set of transactions, as intervals that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GtidSet {
    sources: BTreeMap<Uuid, BTreeMap<Tag, Intervals>>,
}

impl GtidSet {
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.contains_range(&gtid.source, &gtid.tag, gtid.number..=gtid.number)
    }

    fn contains_range(&self, source: &Uuid, tag: &Tag, range: RangeInclusive<u64>) -> bool {
        let intervals = self.sources.get(source).and_then(|tags| tags.get(tag));
        intervals.is_some_and(|intervals| intervals.contains(&range))
    }

    /// Whether all of `other` is in it.
    pub fn contains_all(&self, other: &GtidSet) -> bool {
        other.sources.iter().all(|(source, tags)| {
            tags.iter().all(|(tag, intervals)| {
                intervals.0.iter().all(|(&first, &last)| self.contains_range(source, tag, first..=last))
            })
        })
    }

    /// Takes a transaction in.
    pub fn add(&mut self, gtid: Gtid) {
        self.add_range(gtid.source, gtid.tag, gtid.number..=gtid.number);
    }

    /// Takes the transactions of one source and tag in; an empty range changes nothing.
    pub fn add_range(&mut self, source: Uuid, tag: Tag, range: RangeInclusive<u64>) {
        if !range.is_empty() {
            self.sources.entry(source).or_default().entry(tag).or_default().add(*range.start(), *range.end());
        }
    }

    /// Takes all of `other` in.
    pub fn add_all(&mut self, other: &GtidSet) {
        for (source, tag, range) in other.ranges() {
            self.add_range(*source, tag.clone(), range);
        }
    }

    /// Its intervals, by source and tag, in ascending order.
    pub fn ranges(&self) -> impl Iterator<Item = (&Uuid, &Tag, RangeInclusive<u64>)> {
        self.sources.iter().flat_map(|(source, tags)| {
            tags.iter().flat_map(move |(tag, intervals)| {
                intervals.0.iter().map(move |(&first, &last)| (source, tag, first..=last))
            })
        })
    }

    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// How many transactions are in it.
    pub fn count(&self) -> u128 {
        self.ranges().map(|(_, _, range)| u128::from(range.end() - range.start()) + 1).sum()
    }
}

impl FromStr for GtidSet {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<GtidSet, ParseError> {
        let mut set = GtidSet::default();
        // `gtid_executed` is printed with a line break after each comma; an empty set is an empty text.
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let mut parts = one.split(':').map(str::trim);
            let source = parts.next().ok_or(ParseError::Shape)?.parse()?;
            let (mut tag, mut any) = (Tag::default(), false);
            for part in parts {
                any = !starts_tag(part);
                if any {
                    set.add_range(source, tag.clone(), interval(part)?);
                } else {
                    tag = Tag::new(part)?;
                }
            }
            if !any {
                return Err(ParseError::Shape);
            }
        }
        Ok(set)
    }
}

impl fmt::Display for GtidSet {
    /// As the server prints `gtid_executed`, on one line: the untagged intervals first, then tag by tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (source, tags)) in self.sources.iter().enumerate() {
            write!(f, "{}{source}", if index > 0 { "," } else { "" })?;
            for (tag, intervals) in tags {
                if !tag.as_str().is_empty() {
                    write!(f, ":{}", tag.as_str())?;
                }
                write!(f, "{intervals}")?;
            }
        }
        Ok(())
    }
}

/// `5` or `1-5`.
pub(crate) fn interval(text: &str) -> Result<RangeInclusive<u64>, ParseError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (transaction(first)?, transaction(last)?);
    if last < first { Err(ParseError::Interval) } else { Ok(first..=last) }
}

fn transaction(text: &str) -> Result<u64, ParseError> {
    number(text.trim()).and_then(|number| {
        if (1..=MAX_NUMBER).contains(&number) { Ok(number) } else { Err(ParseError::Number) }
    })
}

/// First to last of each interval.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Intervals(BTreeMap<u64, u64>);

impl Intervals {
    fn contains(&self, range: &RangeInclusive<u64>) -> bool {
        self.0.range(..=range.start()).next_back().is_some_and(|(_, last)| last >= range.end())
    }

    /// Joins the new interval with those it overlaps or touches.
    fn add(&mut self, mut first: u64, mut last: u64) {
        while let Some((&start, &end)) = self.0.range(..=last.saturating_add(1)).next_back() {
            if end.saturating_add(1) < first {
                break;
            }
            self.0.remove(&start);
            first = first.min(start);
            last = last.max(end);
        }
        self.0.insert(first, last);
    }
}

impl fmt::Display for Intervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (&first, &last) in &self.0 {
            if first == last {
                write!(f, ":{first}")?;
            } else {
                write!(f, ":{first}-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
