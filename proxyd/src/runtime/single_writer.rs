//! One writer a pair, where `hostgroup_settings` of the writer hostgroup has `"single_writer": 1`. Pure.
//!
//! Of several servers that say `read_only=0`, the **incumbent** writes and the others are in quarantine: in the reader hostgroup,
//! SHUNNED, until an operator or the database's own management makes one of them `read_only`. The incumbent is who wrote until
//! now, or wrote when the proxy that ran here before last knew ([`Incumbents::restore`]); at first, who is configured as writer,
//! then by weight and address, so that three proxies agree without talking.
//!
//! It yields when it answers `read_only=1`, when it is taken out of service, and when it **cannot be heard** while another says
//! that it may write: a dead writer's successor takes over, and the dead one is a newcomer when it is back. With no other, it stays.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::servers::{Address, ReadOnlyVerdicts, ReplicationHostgroup, ServerRow};
use crate::snapshot::{HostgroupId, Status};

/// Who writes where, and whom the monitors cannot hear.
#[derive(Debug, Default)]
pub struct Incumbents {
    writers: HashMap<HostgroupId, Address>,
    /// Who wrote before this proxy was started, until its pair is settled for the first time.
    remembered: HashMap<HostgroupId, Address>,
    unheard: HashSet<(HostgroupId, Address)>,
    /// By the writer hostgroup from which it is kept: why.
    quarantined: HashMap<(HostgroupId, Address), String>,
}

/// A server that may write, by its own word or, before the first, by the configuration.
struct Candidate {
    weight: u32,
    is_configured: bool,
    is_heard: bool,
}

impl Incumbents {
    /// Who wrote when the proxy before this one last looked. One that has not answered yet writes on that alone, as a configured
    /// writer does on being configured.
    pub fn restore(&mut self, writers: impl IntoIterator<Item = (HostgroupId, Address)>) {
        self.remembered.extend(writers);
    }

    /// Who writes where there is to be one writer.
    pub fn writers(&self) -> impl Iterator<Item = (HostgroupId, &Address)> {
        self.writers.iter().map(|(writer, address)| (*writer, address))
    }

    pub fn is_incumbent(&self, writer: HostgroupId, address: &Address) -> bool {
        self.writers.get(&writer) == Some(address)
    }

    /// It answered; true when it could not be heard until now.
    pub fn heard(&mut self, writer: HostgroupId, address: &Address) -> bool {
        self.unheard.remove(&(writer, address.clone()))
    }

    /// It does not answer, or nobody listens there; true when that is new.
    pub fn unheard(&mut self, writer: HostgroupId, address: Address) -> bool {
        self.unheard.insert((writer, address))
    }

    pub fn is_unheard(&self, writer: HostgroupId, address: &Address) -> bool {
        self.unheard.contains(&(writer, address.clone()))
    }

    /// Keeps what is known of the servers that are still configured.
    pub fn retain(&mut self, is_known: impl Fn(HostgroupId, &Address) -> bool) {
        self.writers.retain(|writer, address| is_known(*writer, address));
        self.unheard.retain(|(writer, address)| is_known(*writer, address));
    }

    /// Decides for all pairs that want a single writer. `is_shunned`: the monitors have given the server up.
    pub fn settle<'a>(
        &mut self,
        pairs: impl Iterator<Item = &'a ReplicationHostgroup>,
        rows: &[ServerRow],
        verdicts: &ReadOnlyVerdicts,
        is_shunned: impl Fn(&Address) -> bool,
    ) {
        self.quarantined.clear();
        let mut settled = HashSet::new();
        for pair in pairs {
            settled.insert(pair.writer);
            let before = self.writers.get(&pair.writer).or(self.remembered.get(&pair.writer)).cloned();
            let candidates = self.candidates(pair, before.as_ref(), rows, verdicts, &is_shunned);
            let Some(incumbent) = choose(&candidates, before.as_ref()).cloned() else {
                continue;
            };
            self.remembered.remove(&pair.writer);
            let rivals = candidates.iter().filter(|(address, candidate)| {
                let has_said = verdicts.contains_key(&(pair.writer, (*address).clone()));
                **address != incumbent && (candidate.is_configured || has_said)
            });
            for (address, _) in rivals {
                let reason = format!("quarantined: read_only is 0 beside the writer {incumbent}");
                self.quarantined.insert((pair.writer, address.clone()), reason);
            }
            if self.writers.insert(pair.writer, incumbent.clone()).as_ref() != Some(&incumbent) {
                let before = before.map_or_else(String::new, |address| address.to_string());
                tracing::info!(hostgroup = pair.writer, before, writer = %incumbent, "the single writer");
            }
        }
        self.writers.retain(|writer, _| settled.contains(writer));
    }

    fn candidates(
        &self,
        pair: &ReplicationHostgroup,
        incumbent: Option<&Address>,
        rows: &[ServerRow],
        verdicts: &ReadOnlyVerdicts,
        is_shunned: impl Fn(&Address) -> bool,
    ) -> BTreeMap<Address, Candidate> {
        let mut candidates = BTreeMap::new();
        let in_pair = |row: &&ServerRow| [pair.writer, pair.reader].contains(&row.hostgroup_id);
        let out_of_service: HashSet<&Address> = rows
            .iter()
            .filter(in_pair)
            .filter(|row| row.status != Status::Online)
            .map(|row| &row.address)
            .collect();
        for row in rows.iter().filter(in_pair).filter(|row| !out_of_service.contains(&row.address)) {
            let is_configured = row.hostgroup_id == pair.writer;
            let key = (pair.writer, row.address.clone());
            let is_trusted = is_configured || incumbent == Some(&row.address);
            if verdicts.get(&key).map_or(!is_trusted, |read_only| *read_only) {
                continue;
            }
            let is_heard = !self.unheard.contains(&key) && !is_shunned(&row.address);
            let weight = row.effective_weight();
            let candidate = candidates.entry(key.1).or_insert(Candidate { weight, is_configured, is_heard });
            if is_configured {
                (candidate.weight, candidate.is_configured) = (weight, true);
            }
        }
        candidates
    }

    /// Whether `read_only` lets it write, and it may not all the same.
    pub fn is_quarantined(&self, writer: HostgroupId, address: &Address) -> bool {
        !self.quarantined.is_empty() && self.quarantined.contains_key(&(writer, address.clone()))
    }

    /// Why a reader's place is shunned, if its server is in quarantine.
    pub fn reason(&self, pairs: &[ReplicationHostgroup], row: &ServerRow) -> Option<&str> {
        if self.quarantined.is_empty() {
            return None;
        }
        let pair = pairs.iter().find(|pair| pair.reader == row.hostgroup_id)?;
        self.quarantined.get(&(pair.writer, row.address.clone())).map(String::as_str)
    }
}

/// The incumbent while it can be heard, else the best of those that can, else the incumbent.
fn choose<'a>(
    candidates: &'a BTreeMap<Address, Candidate>,
    incumbent: Option<&Address>,
) -> Option<&'a Address> {
    let incumbent = incumbent.and_then(|address| candidates.get_key_value(address));
    let best = || {
        let rank = |(address, c): &(&'a Address, &Candidate)| {
            (
                !c.is_heard,
                incumbent.is_none_or(|(own, _)| own != *address),
                !c.is_configured,
                Reverse(c.weight),
                *address,
            )
        };
        candidates.iter().min_by_key(rank)
    };
    incumbent.filter(|(_, candidate)| candidate.is_heard).or_else(best).map(|(address, _)| address)
}

#[cfg(test)]
#[path = "single_writer_tests.rs"]
mod tests;
