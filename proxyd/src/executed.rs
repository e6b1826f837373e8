//! What the servers have executed, as a worker knows it: it holds its own copy and is told what changes. Pure.
//!
//! Only what a binlog reader has told counts. A server whose reader is not connected is unknown, whatever was known of it.

use hashbrown::{Equivalent, HashMap};
use proxyd_gtid::{Executed, Range, Wanted};

use crate::runtime::Address;
use crate::snapshot::Server;

/// What a server's binlog reader says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Everything so far.
    Everything(Executed),
    /// So much more.
    More(Vec<Range>),
    /// Nothing any longer: the reader is not connected.
    Silence,
}

/// Whether a server has executed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    Has,
    /// Not that we knew of, yet.
    Behind,
    /// Nobody says what this server has.
    Unknown,
}

#[derive(Debug, Default)]
pub struct ExecutedSets {
    servers: HashMap<Address, Executed>,
}

impl ExecutedSets {
    pub fn learn(&mut self, address: &Address, news: &News) {
        match news {
            News::Everything(executed) => drop(self.servers.insert(address.clone(), executed.clone())),
            News::More(ranges) => {
                if let Some(executed) = self.servers.get_mut(address) {
                    ranges.iter().for_each(|range| executed.add(range.clone()));
                }
            }
            News::Silence => drop(self.servers.remove(address)),
        }
    }

    /// What is known of this server's having executed `wanted`.
    pub fn knows(&self, server: &Server, wanted: &Wanted) -> Knowledge {
        match self.servers.get(&Place(server)) {
            None => Knowledge::Unknown,
            Some(executed) if executed.contains(wanted) => Knowledge::Has,
            Some(_) => Knowledge::Behind,
        }
    }

    pub fn of(&self, address: &Address) -> Option<&Executed> {
        self.servers.get(address)
    }
}

/// A server's address, borrowed to look it up.
struct Place<'a>(&'a Server);

impl std::hash::Hash for Place<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        // As `Address` is hashed.
        self.0.hostname.hash(state);
        self.0.port.hash(state);
    }
}

impl Equivalent<Address> for Place<'_> {
    fn equivalent(&self, address: &Address) -> bool {
        self.0.hostname == address.hostname && self.0.port == address.port
    }
}

#[cfg(test)]
mod tests {
    use proxyd_gtid::Source;

    use super::*;

    #[test]
    fn a_server_is_known_while_its_reader_talks() {
        let address = Address::sample("db1");
        let (server, other) = (Server::new(2, "db1", 3306), Server::new(2, "db1", 3307));
        let mut sets = ExecutedSets::default();
        let wanted: Wanted = "0-1-7".parse().unwrap();
        let six = Range { source: Source::MariaDb { domain: 0 }, numbers: 1..=6 };
        let seven = Range { source: Source::MariaDb { domain: 0 }, numbers: 7..=7 };
        let mut executed = Executed::default();
        executed.add(six);
        for (news, knowledge) in [
            (News::More(vec![seven.clone()]), Knowledge::Unknown),
            (News::Everything(executed), Knowledge::Behind),
            (News::More(vec![seven]), Knowledge::Has),
            (News::Silence, Knowledge::Unknown),
        ] {
            sets.learn(&address, &news);
            assert_eq!(sets.knows(&server, &wanted), knowledge, "{news:?}");
            assert_eq!(sets.knows(&other, &wanted), Knowledge::Unknown);
        }
    }
}
