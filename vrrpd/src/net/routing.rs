//! The routes and rules of a VIP, by rtnetlink. All carry the mark of VRRP, so that nobody else's are taken for ours.

use std::io;

use configs::{Route, RouteKind, Rule};
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::rtnl::{Rtnl, unless};

/// Who made a route or a rule (`proto 112` in iproute2): VRRP's number among the protocols.
const MARK: RouteProtocol = RouteProtocol::Other(112);
/// Tables beyond are named by an attribute.
const LAST_SHORT_TABLE: u32 = 255;

impl Rtnl {
    /// Adds a route over the interface with this index. One with the same destination, metric and table that is not
    /// ours is an error.
    pub(crate) fn add_route(&mut self, route: &Route, index: Option<u32>) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewRoute(route_message(route, index));
        self.request(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, |_| {})
    }

    /// Removes it if it is ours.
    pub(crate) fn remove_route(&mut self, route: &Route) -> io::Result<()> {
        let message = RouteNetlinkMessage::DelRoute(route_message(route, None));
        unless(self.request(message, NLM_F_ACK, |_| {}), libc::ESRCH)
    }

    pub(crate) fn add_rule(&mut self, rule: &Rule) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewRule(rule_message(rule));
        unless(self.request(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, |_| {}), libc::EEXIST)
    }

    pub(crate) fn remove_rule(&mut self, rule: &Rule) -> io::Result<()> {
        let message = RouteNetlinkMessage::DelRule(rule_message(rule));
        unless(self.request(message, NLM_F_ACK, |_| {}), libc::ENOENT)
    }
}

fn family(is_ipv6: bool) -> AddressFamily {
    if is_ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet }
}

/// The short form of a table's number, if it has one.
fn short(table: u32) -> u8 {
    if table <= LAST_SHORT_TABLE {
        u8::try_from(table).unwrap_or_default()
    } else {
        RouteHeader::RT_TABLE_UNSPEC
    }
}

fn route_message(route: &Route, index: Option<u32>) -> RouteMessage {
    let mut message = RouteMessage::default();
    let (destination, prefix) = route.destination;
    let header = &mut message.header;
    header.address_family = family(destination.is_ipv6());
    header.destination_prefix_length = prefix;
    header.table = short(route.table);
    header.protocol = MARK;
    header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
    };
    // What has no next hop is on the link itself.
    let direct = route.kind == RouteKind::Unicast && route.via.is_none() && destination.is_ipv4();
    header.scope = if direct { RouteScope::Link } else { RouteScope::Universe };
    if route.onlink {
        header.flags = RouteFlags::Onlink;
    }
    let attributes = &mut message.attributes;
    attributes.push(RouteAttribute::Table(route.table));
    if prefix > 0 {
        attributes.push(RouteAttribute::Destination(destination.into()));
    }
    attributes.extend(route.via.map(|via| RouteAttribute::Gateway(via.into())));
    attributes.extend(route.source.map(|source| RouteAttribute::PrefSource(source.into())));
    attributes.extend(route.metric.map(RouteAttribute::Priority));
    attributes.extend(index.map(RouteAttribute::Oif));
    message
}

fn rule_message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(rule.is_ipv6);
    message.header.action = RuleAction::ToTable;
    message.header.table = short(rule.table);
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Table(rule.table));
    attributes.push(RuleAttribute::Protocol(MARK));
    if let Some((address, prefix)) = rule.from {
        message.header.src_len = prefix;
        attributes.push(RuleAttribute::Source(address));
    }
    if let Some((address, prefix)) = rule.to {
        message.header.dst_len = prefix;
        attributes.push(RuleAttribute::Destination(address));
    }
    attributes.extend(rule.iif.clone().map(RuleAttribute::Iifname));
    attributes.extend(rule.oif.clone().map(RuleAttribute::Oifname));
    attributes.extend(rule.fwmark.map(RuleAttribute::FwMark));
    attributes.extend(rule.priority.map(RuleAttribute::Priority));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_says_where_it_is_and_whose() {
        let route = Route::parse("default via 10.0.0.1 src 10.0.0.88 metric 7 table 300", false).unwrap();
        let message = route_message(&route, Some(3));
        let header = &message.header;
        assert_eq!((header.table, header.protocol, header.scope), (0, MARK, RouteScope::Universe));
        assert!(message.attributes.contains(&RouteAttribute::Table(300)));
        assert!(message.attributes.contains(&RouteAttribute::Priority(7)));
        assert!(message.attributes.contains(&RouteAttribute::Oif(3)));
        assert!(!message.attributes.iter().any(|it| matches!(it, RouteAttribute::Destination(_))));
        let direct = Route::parse("10.1.0.0/16 dev eth1", false).unwrap();
        assert_eq!(route_message(&direct, Some(3)).header.scope, RouteScope::Link);
    }

    #[test]
    fn a_rule_says_whom_it_is_for() {
        let rule = Rule::parse("from 10.0.0.88 table 100 priority 9", false).unwrap();
        let message = rule_message(&rule);
        assert_eq!((message.header.src_len, message.header.dst_len, message.header.table), (32, 0, 100));
        assert!(message.attributes.contains(&RuleAttribute::Priority(9)));
        assert!(message.attributes.contains(&RuleAttribute::Protocol(MARK)));
    }
}
