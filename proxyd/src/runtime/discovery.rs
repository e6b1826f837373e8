//! Servers that the database names and the configuration does not. Pure.
//!
//! A member of a replication group names all members by the addresses that *they* report, which need not be the configured
//! ones: so members are told apart by their server's UUID. A member is new when every configured server of the cluster has been
//! heard of and none of them is it. A new one stays for as long as it is named or answers as a member itself.

use std::collections::{BTreeSet, HashMap};

use super::servers::Address;
use crate::snapshot::HostgroupId;

/// A member as another names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its server's UUID.
    pub id: Box<str>,
    pub address: Address,
}

/// What one answer changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    pub found: Vec<Address>,
    pub gone: Vec<Address>,
}

/// Who is who, by writer hostgroup and address, and which of them were discovered.
#[derive(Debug, Default)]
pub struct Discovery {
    identities: HashMap<(HostgroupId, Address), Box<str>>,
    found: BTreeSet<(HostgroupId, Address)>,
}

/// The cluster as it is known before an answer.
pub struct Known<'a> {
    pub writer: HostgroupId,
    pub nodes: &'a BTreeSet<Address>,
    /// It has been checked, whatever came of it.
    pub is_heard_of: &'a dyn Fn(&Address) -> bool,
    /// It answers, as a member.
    pub is_member: &'a dyn Fn(&Address) -> bool,
}

impl Discovery {
    /// The server at `address` is `own`, and names these members, itself among them.
    pub fn of_group(&mut self, known: &Known<'_>, address: &Address, own: &str, peers: &[Peer]) -> News {
        let key = |address: &Address| (known.writer, address.clone());
        self.identities.insert(key(address), own.into());
        let is_named = |node: &Address| {
            let id = self.identities.get(&key(node));
            peers.iter().any(|peer| peer.address == *node || Some(&peer.id) == id)
        };
        let is_double = |node: &Address| {
            let id = self.identities.get(&key(node));
            let others =
                known.nodes.iter().filter(|other| *other != node && !self.is_found(known.writer, other));
            id.is_some() && others.into_iter().any(|other| self.identities.get(&key(other)) == id)
        };
        let found_before = known.nodes.iter().filter(|node| self.is_found(known.writer, node));
        let gone: Vec<Address> = found_before
            .filter(|node| is_double(node) || !(is_named(node) || (known.is_member)(node)))
            .cloned()
            .collect();
        let mut found = Vec::new();
        if known.nodes.iter().all(|node| node == address || (known.is_heard_of)(node)) {
            let is_known = |peer: &&Peer| {
                known.nodes.contains(&peer.address)
                    || known.nodes.iter().any(|node| self.identities.get(&key(node)) == Some(&peer.id))
            };
            found = peers.iter().filter(|peer| !is_known(peer)).map(|peer| peer.address.clone()).collect();
        }
        self.note(known.writer, News { found, gone })
    }

    /// A cluster that names its servers by their only addresses.
    pub fn of_names<'a>(
        &mut self,
        writer: HostgroupId,
        nodes: &BTreeSet<Address>,
        named: impl Iterator<Item = &'a Address>,
    ) -> News {
        let named: BTreeSet<&Address> = named.collect();
        let found =
            named.iter().filter(|address| !nodes.contains(**address)).map(|it| (*it).clone()).collect();
        let is_gone = |node: &&Address| self.is_found(writer, node) && !named.contains(node);
        let gone = nodes.iter().filter(is_gone).cloned().collect();
        self.note(writer, News { found, gone })
    }

    fn note(&mut self, writer: HostgroupId, news: News) -> News {
        self.found.extend(news.found.iter().map(|address| (writer, address.clone())));
        for address in &news.gone {
            self.found.remove(&(writer, address.clone()));
            self.identities.remove(&(writer, address.clone()));
        }
        news
    }

    /// Whether a server of a cluster is there by discovery alone.
    pub fn is_found(&self, writer: HostgroupId, address: &Address) -> bool {
        !self.found.is_empty() && self.found.contains(&(writer, address.clone()))
    }

    /// A new configuration: discovered servers that it names are configured from now on.
    pub fn retain(
        &mut self,
        is_cluster: impl Fn(HostgroupId) -> bool,
        is_configured: impl Fn(&Address) -> bool,
    ) {
        self.found.retain(|(writer, address)| is_cluster(*writer) && !is_configured(address));
        self.identities.retain(|(writer, _), _| is_cluster(*writer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(hosts: &[(&str, &str)]) -> Vec<Peer> {
        hosts.iter().map(|(id, host)| Peer { id: (*id).into(), address: Address::sample(host) }).collect()
    }

    fn nodes(hosts: &[&str]) -> BTreeSet<Address> {
        hosts.iter().map(|host| Address::sample(host)).collect()
    }

    fn ask(
        discovery: &mut Discovery,
        hosts: &[&str],
        heard: bool,
        asked: (&str, &str),
        named: &[(&str, &str)],
    ) -> News {
        let known = Known { writer: 2, nodes: &nodes(hosts), is_heard_of: &|_| heard, is_member: &|_| false };
        discovery.of_group(&known, &Address::sample(asked.0), asked.1, &peers(named))
    }

    fn news(found: &[&str], gone: &[&str]) -> News {
        let all = |hosts: &[&str]| hosts.iter().map(|host| Address::sample(host)).collect();
        News { found: all(found), gone: all(gone) }
    }

    #[test]
    fn who_is_configured_by_another_name_is_not_new() {
        let mut discovery = Discovery::default();
        let named = [("A", "db-a"), ("B", "db-b"), ("C", "db-c")];
        let hosts = ["10.0.0.1", "10.0.0.2"];
        assert_eq!(
            ask(&mut discovery, &hosts, false, ("10.0.0.1", "A"), &named),
            News::default(),
            "B is not heard of"
        );
        assert_eq!(ask(&mut discovery, &hosts, true, ("10.0.0.2", "B"), &named), news(&["db-c"], &[]));
        assert!(discovery.is_found(2, &Address::sample("db-c")));
        let hosts = ["10.0.0.1", "10.0.0.2", "db-c"];
        assert_eq!(
            ask(&mut discovery, &hosts, true, ("10.0.0.1", "A"), &named),
            News::default(),
            "known now"
        );
        assert_eq!(ask(&mut discovery, &hosts, true, ("10.0.0.1", "A"), &named[..2]), news(&[], &["db-c"]));
        assert_eq!(ask(&mut discovery, &hosts[..2], true, ("10.0.0.1", "A"), &named), news(&["db-c"], &[]));
    }

    #[test]
    fn a_double_of_a_configured_server_goes() {
        let mut discovery = Discovery::default();
        let named = [("A", "db-a"), ("B", "db-b")];
        // 10.0.0.2 refused while it was down, so its name came in by discovery.
        assert_eq!(
            ask(&mut discovery, &["10.0.0.1", "10.0.0.2"], true, ("10.0.0.1", "A"), &named),
            news(&["db-b"], &[])
        );
        let hosts = ["10.0.0.1", "10.0.0.2", "db-b"];
        assert_eq!(ask(&mut discovery, &hosts, true, ("db-b", "B"), &named), News::default());
        assert_eq!(ask(&mut discovery, &hosts, true, ("10.0.0.2", "B"), &named), news(&[], &["db-b"]));
        assert_eq!(ask(&mut discovery, &hosts[..2], true, ("10.0.0.1", "A"), &named), News::default());
    }

    #[test]
    fn names_that_come_and_go() {
        let mut discovery = Discovery::default();
        let named = [Address::sample("a"), Address::sample("b")];
        assert_eq!(discovery.of_names(2, &nodes(&["a"]), named.iter()), news(&["b"], &[]));
        assert_eq!(discovery.of_names(2, &nodes(&["a", "b"]), named[..1].iter()), news(&[], &["b"]));
        assert_eq!(
            discovery.of_names(2, &nodes(&["a", "b"]), named[1..].iter()),
            News::default(),
            "a is configured"
        );
        discovery.of_names(2, &nodes(&["a"]), named.iter());
        discovery.retain(|_| true, |it| *it == Address::sample("b"));
        assert!(!discovery.is_found(2, &Address::sample("b")));
    }
}
