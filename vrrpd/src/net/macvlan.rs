//! Interfaces with a virtual router's own MAC address, on top of the one that it uses (macvlan).

use std::io;

use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InetDevConf, InfoData, InfoKind, InfoMacVlan,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
};
use vrrpd::arp::Mac;
use vrrpd::netlink::attribute;

use super::rtnl::{Rtnl, unless};

/// `IFLA_INET_CONF`, as a nest; the library's own form of it cannot say 0.
const INET_CONF: u16 = 1 | 0x8000;
const ARP_ANNOUNCE: u16 = 18;
const ARP_IGNORE: u16 = 19;
/// Who is reached over the interface below is heard on the one above.
const LOOSE: i32 = 2;

/// Which ARP requests an interface answers, and in whose name it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArpSettings {
    pub(crate) ignore: i32,
    pub(crate) announce: i32,
}

impl ArpSettings {
    /// Answer only for addresses of the interface that was asked; ask in the name of an address of the interface, whatever
    /// address the packet has that waits for the answer.
    pub(crate) const APART: ArpSettings = ArpSettings { ignore: 1, announce: 2 };

    fn of(link: &LinkMessage) -> Option<ArpSettings> {
        let specs = link.attributes.iter().find_map(|it| match it {
            LinkAttribute::AfSpecUnspec(specs) => Some(specs),
            _ => None,
        })?;
        let inet = specs.iter().find_map(|it| match it {
            AfSpecUnspec::Inet(inet) => Some(inet),
            _ => None,
        })?;
        inet.iter().find_map(|it| match it {
            AfSpecInet::DevConf(conf) => {
                Some(ArpSettings { ignore: conf.arp_ignore, announce: conf.arp_announce })
            }
            _ => None,
        })
    }

    fn request(self) -> AfSpecUnspec {
        let mut bytes = Vec::new();
        attribute(&mut bytes, ARP_ANNOUNCE, &self.announce.to_ne_bytes());
        attribute(&mut bytes, ARP_IGNORE, &self.ignore.to_ne_bytes());
        AfSpecUnspec::Inet(vec![AfSpecInet::Other(DefaultNla::new(INET_CONF, bytes))])
    }
}

impl Rtnl {
    /// Makes one, down, that has no addresses but those that are added to it.
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
        let mut above = InetDevConf::default();
        (above.arp_ignore, above.arp_announce) = (ArpSettings::APART.ignore, ArpSettings::APART.announce);
        above.rp_filter = LOOSE;
        let no_address_of_its_own = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let settings = AfSpecUnspec::Inet(vec![AfSpecInet::DevConfRequest(above)]);
        let spec = vec![settings, no_address_of_its_own];
        self.set(0, vec![LinkAttribute::IfName(name.to_owned()), LinkAttribute::AfSpecUnspec(spec)])
    }

    pub(crate) fn arp_settings(&mut self, index: u32) -> io::Result<ArpSettings> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        let mut found = None;
        self.request(RouteNetlinkMessage::GetLink(message), NLM_F_ACK, |answer| {
            if let RouteNetlinkMessage::NewLink(link) = answer {
                found = ArpSettings::of(&link);
            }
        })?;
        found.ok_or_else(|| io::Error::other("the interface has no settings of IPv4"))
    }

    pub(crate) fn set_arp(&mut self, index: u32, settings: ArpSettings) -> io::Result<()> {
        self.set(index, vec![LinkAttribute::AfSpecUnspec(vec![settings.request()])])
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
