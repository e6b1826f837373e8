//! What binlog readers have told of the servers: for the statistics here, and passed on to the workers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::registry::Runtime;
use super::servers::Address;
use crate::control::WorkerCommand;
use crate::executed::{ExecutedSets, News};

/// A reader that tells of more pieces than this is not listened to: they are held once for each worker.
const MAX_PIECES: usize = 1_000_000;

/// The servers whose readers are connected.
#[derive(Debug, Default)]
pub struct ExecutedBook {
    sets: ExecutedSets,
    /// How many transactions were told of one by one, by server; also of those whose reader is not connected.
    events: BTreeMap<Address, u64>,
}

impl ExecutedBook {
    /// Takes it in; false when the reader has told of too much.
    fn learn(&mut self, address: &Address, news: &News) -> bool {
        self.sets.learn(address, news);
        let events = self.events.entry(address.clone()).or_default();
        match news {
            News::More(ranges) => {
                let count = |range: &proxyd_gtid::Range| range.numbers.end() - range.numbers.start() + 1;
                let before = *events;
                *events = ranges.iter().map(count).fold(*events, u64::saturating_add);
                // Counting the pieces takes a while; they do not become many in a moment.
                let looked_at = before / 1024 != *events / 1024;
                !looked_at || self.is_bearable(address)
            }
            News::Everything(_) => self.is_bearable(address),
            News::Silence => true,
        }
    }

    fn is_bearable(&self, address: &Address) -> bool {
        self.sets.of(address).is_none_or(|executed| executed.pieces() <= MAX_PIECES)
    }

    /// The rows of `stats_mysql_gtid_executed`: the server, what it has executed while somebody says so, and how many
    /// transactions it was told of.
    pub fn rows(&self) -> impl Iterator<Item = (&Address, Option<String>, u64)> {
        let row =
            |(address, events): (_, &u64)| (address, self.sets.of(address).map(ToString::to_string), *events);
        self.events.iter().map(row)
    }
}

impl Runtime {
    /// Takes in what a server's reader says, and passes it on; false when the reader is not to be listened to.
    pub fn learn_executed(&mut self, address: &Address, news: News) -> bool {
        let bearable = self.executed.learn(address, &news);
        let told = Arc::new((address.clone(), news));
        for worker in self.workers() {
            // A worker that is gone has its own alarm: the heartbeat.
            let _ = worker.commands.send(WorkerCommand::Executed(told.clone()));
        }
        bearable
    }

    /// A server that has no reader any longer is forgotten.
    pub fn forget_executed(&mut self, address: &Address) {
        self.learn_executed(address, News::Silence);
        self.executed.events.remove(address);
    }

    pub fn executed(&self) -> &ExecutedBook {
        &self.executed
    }

    /// The binlog readers to listen to: a server's address and the port of its reader, which is on the same host.
    pub fn binlog_readers(&self) -> BTreeMap<Address, u16> {
        let with_reader = self.members().iter().filter(|member| !member.removed && member.row.gtid_port > 0);
        with_reader.map(|member| (member.row.address.clone(), member.row.gtid_port)).collect()
    }
}
