//! Pairs of hostgroups: where `read_only` puts a server, and how it leaves.

use std::time::Duration;

use super::super::servers::{Address, ReplicationHostgroup, ServerRow, membership};
use super::Runtime;
use super::follow::WITHOUT_WRITER;
use crate::snapshot::HostgroupId;

impl Runtime {
    /// Whether the server is where this answer puts it, in the pair of this writer hostgroup.
    pub(super) fn is_placed(&self, writer: HostgroupId, address: &Address, read_only: bool) -> bool {
        let Some(pair) = self.config.replication.iter().find(|pair| pair.writer == writer) else {
            return true;
        };
        let wants_one = self.attributes.get(&writer).is_some_and(|own| own.settings.single_writer);
        let is_in = |hostgroup| self.places_of(address).any(|member| member.row.hostgroup_id == hostgroup);
        let (writes, reads) = (is_in(pair.writer), is_in(pair.reader));
        let also_reads = self.variables.monitor.writer_is_also_reader;
        !wants_one && if read_only { !writes && reads } else { writes && (also_reads || !reads) }
    }

    /// How soon the servers of this pair are worth another check, if sooner than usual: while nobody writes.
    pub fn pair_haste(&self, pair: &ReplicationHostgroup) -> Option<Duration> {
        let writes = self.online.contains(&pair.writer);
        (!writes).then_some(WITHOUT_WRITER)
    }

    /// The configured rows where `read_only` puts them, and where there is to be a single writer.
    pub(super) fn pair_members(&mut self) -> Vec<ServerRow> {
        let Runtime { config, attributes, incumbents, read_only, monitor_status, .. } = self;
        let wants_one = |pair: &&ReplicationHostgroup| {
            attributes.get(&pair.writer).is_some_and(|attributes| attributes.settings.single_writer)
        };
        let is_shunned = |address: &Address| monitor_status.contains_key(address);
        incumbents.settle(
            config.replication.iter().filter(wants_one),
            &config.servers,
            read_only,
            is_shunned,
        );
        let is_configured = |writer, address: &Address| {
            config.servers.iter().any(|row| row.hostgroup_id == writer && row.address == *address)
        };
        let verdict = |writer, address: &Address| {
            if incumbents.is_quarantined(writer, address) {
                return Some(true);
            }
            let answered = read_only.get(&(writer, address.clone())).copied();
            // Who is only remembered as the writer has no place yet where it could write.
            let is_remembered =
                || incumbents.is_incumbent(writer, address) && !is_configured(writer, address);
            answered.or_else(|| is_remembered().then_some(false))
        };
        membership(config, verdict, self.variables.monitor.writer_is_also_reader)
    }

    /// What runs at a place that `read_only` has taken from a server may end: it answers, so it serves that place as before, or
    /// refuses by itself what it may not do any more.
    pub(super) fn leaves_pair_softly(&self, row: &ServerRow) -> bool {
        let is_of = |pair: &&ReplicationHostgroup| [pair.writer, pair.reader].contains(&row.hostgroup_id);
        let is_configured = self.config.servers.iter().any(|own| own.address == row.address);
        is_configured
            && !self.monitor_status.contains_key(&row.address)
            && self.config.replication.iter().filter(is_of).any(|pair| {
                let answered = self.read_only.contains_key(&(pair.writer, row.address.clone()));
                answered && !self.incumbents.is_unheard(pair.writer, &row.address)
            })
    }
}
