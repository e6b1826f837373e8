//! MariaDB: `domain-server-sequence`, and positions with one GTID a domain (`gtid_slave_pos`, `last_gtid`).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{ParseError, number};

/// One transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gtid {
    pub domain: u32,
    pub server: u32,
    pub sequence: u64,
}

impl FromStr for Gtid {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Gtid, ParseError> {
        let mut parts = text.trim().split('-');
        let mut part = || parts.next().ok_or(ParseError::Shape);
        let gtid = Gtid { domain: number(part()?)?, server: number(part()?)?, sequence: number(part()?)? };
        if parts.next().is_some() { Err(ParseError::Shape) } else { Ok(gtid) }
    }
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.sequence)
    }
}

/// How far each replication domain has come. Inside a domain the sequence numbers ascend, whichever server wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    domains: BTreeMap<u32, Gtid>,
}

impl Position {
    /// Whether the transaction has been applied here.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        self.domains.get(&gtid.domain).is_some_and(|last| last.sequence >= gtid.sequence)
    }

    /// Whether everything that `other` has been through has been applied here.
    pub fn contains_all(&self, other: &Position) -> bool {
        other.domains.values().all(|gtid| self.contains(gtid))
    }

    /// Takes a transaction in; an older one than the last of its domain changes nothing.
    pub fn add(&mut self, gtid: Gtid) {
        let last = self.domains.entry(gtid.domain).or_insert(gtid);
        if gtid.sequence > last.sequence {
            *last = gtid;
        }
    }

    /// How many domains are in it.
    pub fn domains(&self) -> usize {
        self.domains.len()
    }

    pub fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }
}

impl FromStr for Position {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Position, ParseError> {
        let mut position = Position::default();
        if !text.trim().is_empty() {
            for gtid in text.split(',') {
                position.add(gtid.parse()?);
            }
        }
        Ok(position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, gtid) in self.domains.values().enumerate() {
            write!(f, "{}{gtid}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(text: &str) -> Position {
        text.parse().unwrap()
    }

    #[test]
    fn parse_and_print() {
        for (text, printed) in
            [("", ""), ("0-7-9", "0-7-9"), (" 1-2-3 , 0-1-100 ", "0-1-100,1-2-3"), ("0-1-5,0-2-4", "0-1-5")]
        {
            assert_eq!(position(text).to_string(), printed);
        }
        for (text, error) in [
            ("0", ParseError::Shape),
            ("0-1", ParseError::Shape),
            ("0-1-2-3", ParseError::Shape),
            ("0-1--2", ParseError::Number),
            ("0-1-x", ParseError::Number),
            ("4294967296-1-1", ParseError::Number),
            ("0-1-2,", ParseError::Number),
            ("+0-1-2", ParseError::Number),
        ] {
            assert_eq!(text.parse::<Position>(), Err(error), "{text}");
        }
    }

    #[test]
    fn contains() {
        let at = position("0-1-10,5-2-3");
        for (gtid, expected) in
            [("0-1-10", true), ("0-9-9", true), ("0-1-11", false), ("5-2-3", true), ("1-1-1", false)]
        {
            assert_eq!(at.contains(&gtid.parse().unwrap()), expected, "{gtid}");
        }
        assert!(at.contains_all(&position("0-3-4")) && !at.contains_all(&position("0-3-4,2-1-1")));
        assert!(at.contains_all(&Position::default()) && Position::default().is_empty());
    }

    #[test]
    fn add() {
        let mut at = Position::default();
        for gtid in ["0-1-5", "0-2-6", "0-1-4", "3-1-1"] {
            at.add(gtid.parse().unwrap());
        }
        assert_eq!(at.to_string(), "0-2-6,3-1-1");
    }
}
