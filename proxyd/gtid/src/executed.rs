//! What one server has executed, whichever kind of server it is, and what a session wants of it.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::mysql::{GtidSet, Tag, Uuid};
use crate::{ParseError, mariadb, mysql};

/// Where transactions were numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    MySql { uuid: Uuid, tag: Tag },
    MariaDb { domain: u32 },
}

/// Transactions of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    pub source: Source,
    pub numbers: RangeInclusive<u64>,
}

/// What a server has executed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Executed {
    mysql: GtidSet,
    mariadb: mariadb::Position,
}

impl Executed {
    pub fn contains(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::MySql(gtid) => self.mysql.contains(gtid),
            Wanted::MySqlSet(set) => self.mysql.contains_all(set),
            Wanted::MariaDb(gtid) => self.mariadb.contains(gtid),
        }
    }

    /// Takes transactions in. In a domain of MariaDB those before them are in it too.
    pub fn add(&mut self, range: Range) {
        match range.source {
            Source::MySql { uuid, tag } => self.mysql.add_range(uuid, tag, range.numbers),
            // Readers leave the server out, and it does not matter for what has been executed.
            Source::MariaDb { domain } => {
                self.mariadb.add(mariadb::Gtid { domain, server: 0, sequence: *range.numbers.end() });
            }
        }
    }

    /// How many pieces it is held in: what it costs in memory.
    pub fn pieces(&self) -> usize {
        self.mysql.ranges().count() + self.mariadb.domains()
    }
}

impl From<GtidSet> for Executed {
    fn from(mysql: GtidSet) -> Executed {
        Executed { mysql, ..Executed::default() }
    }
}

impl fmt::Display for Executed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let both = !self.mysql.is_empty() && !self.mariadb.is_empty();
        write!(f, "{}{}{}", self.mysql, if both { "," } else { "" }, self.mariadb)
    }
}

/// What a server must have executed for a session to read there what it has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// By far the most: the transaction of the last commit.
    MySql(mysql::Gtid),
    /// One statement with several commits.
    MySqlSet(GtidSet),
    MariaDb(mariadb::Gtid),
}

impl FromStr for Wanted {
    type Err = ParseError;

    /// As servers name it in an OK packet, or a person in a comment.
    fn from_str(text: &str) -> Result<Wanted, ParseError> {
        if let Ok(gtid) = text.parse() {
            return Ok(Wanted::MySql(gtid));
        }
        if let Ok(gtid) = text.parse() {
            return Ok(Wanted::MariaDb(gtid));
        }
        let set: GtidSet = text.parse()?;
        if set.is_empty() { Err(ParseError::Shape) } else { Ok(Wanted::MySqlSet(set)) }
    }
}

impl fmt::Display for Wanted {
    /// Only digits, letters, `_`, `-`, `:` and `,`: fit for a quoted string of SQL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::MySql(gtid) => gtid.fmt(f),
            Wanted::MySqlSet(set) => set.fmt(f),
            Wanted::MariaDb(gtid) => gtid.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn what_is_wanted_is_read_as_servers_write_it() {
        for text in [
            format!("{A}:7"),
            format!("{A}:tag:7"),
            format!("{A}:5-7"),
            format!("{A}:5:tag:1-2"),
            "0-1-9".to_owned(),
        ] {
            assert_eq!(text.parse::<Wanted>().unwrap().to_string(), text);
        }
        for text in ["", " ", "0-1", "7", "'; DROP", &format!("{A}:0")] {
            assert!(text.parse::<Wanted>().is_err(), "{text}");
        }
    }

    #[test]
    fn both_kinds_of_servers() {
        let mut executed = Executed::from(format!("{A}:1-5").parse::<GtidSet>().unwrap());
        let has = |executed: &Executed, text: &str| executed.contains(&text.parse().unwrap());
        assert!(has(&executed, &format!("{A}:5")) && !has(&executed, &format!("{A}:5-6")));
        executed.add(Range { source: Source::MariaDb { domain: 2 }, numbers: 1..=9 });
        assert!(has(&executed, "2-7-9") && !has(&executed, "2-7-10") && !has(&executed, "0-7-1"));
        assert_eq!((executed.to_string(), executed.pieces()), (format!("{A}:1-5,2-0-9"), 2));
    }
}
