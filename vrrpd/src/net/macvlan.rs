//! Interfaces with a virtual router's own MAC address, on top of the one that it uses (macvlan).

use std::io;

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InetDevConf, InfoData, InfoKind, InfoMacVlan,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use vrrpd::arp::Mac;

use super::rtnl::{Rtnl, unless};

/// Answer ARP only for addresses of the interface that was asked.
const OWN_ADDRESSES_ONLY: i32 = 1;
/// Ask in the name of an address of the interface, whatever address the packet has that waits for the answer.
const OWN_ADDRESSES_FIRST: i32 = 2;
/// Who is reached over the interface below is heard on the one above.
const LOOSE: i32 = 2;

impl Rtnl {
    /// Makes one, down, that has no addresses but those that are added to it. The interface below no longer has any part in
    /// their ARP.
    pub(crate) fn add_macvlan(&mut self, below: u32, name: &str, mac: Mac) -> io::Result<()> {
        let mut message = LinkMessage::default();
        // Bridge mode: a private one would swallow what other hosts send from the same MAC address.
        let data = InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Bridge)]);
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Link(below),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::MacVlan), LinkInfo::Data(data)]),
        ];
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request(RouteNetlinkMessage::NewLink(message), flags, |_| {})?;
        let mut above = apart();
        above.rp_filter = LOOSE;
        let no_address_of_its_own = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let spec = vec![settings(above), no_address_of_its_own];
        self.set(0, vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::AfSpecUnspec(spec)])?;
        self.keep_arp_apart(below)
    }

    /// An interface has no part in the ARP of addresses that other interfaces of this host have.
    pub(crate) fn keep_arp_apart(&mut self, index: u32) -> io::Result<()> {
        self.set(index, vec![LinkAttribute::AfSpecUnspec(vec![settings(apart())])])
    }

    fn set(&mut self, index: u32, attributes: Vec<LinkAttribute>) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes = attributes;
        self.request(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, |_| {})
    }

    /// Up or down.
    pub(crate) fn switch(&mut self, index: u32, up: bool) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        message.header.change_mask = LinkFlags::Up;
        self.request(RouteNetlinkMessage::SetLink(message), NLM_F_ACK, |_| {})
    }

    /// Removes it, addresses and all. One that is not there is no error.
    pub(crate) fn remove_link(&mut self, name: &str) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        unless(self.request(RouteNetlinkMessage::DelLink(message), NLM_F_ACK, |_| {}), libc::ENODEV)
    }
}

fn apart() -> InetDevConf {
    let mut conf = InetDevConf::default();
    (conf.arp_ignore, conf.arp_announce) = (OWN_ADDRESSES_ONLY, OWN_ADDRESSES_FIRST);
    conf
}

fn settings(conf: InetDevConf) -> AfSpecUnspec {
    AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(conf)])
}
