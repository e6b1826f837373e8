//! Interfaces, addresses and neighbours, by rtnetlink.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use vrrpd::arp::Mac;

use super::netlink;

/// `struct nlmsghdr`.
const HEADER: usize = 16;
const GROUP_LINK: u32 = 1;
const GROUP_IPV4_ADDRESS: u32 = 0x10;
const GROUP_IPV6_ADDRESS: u32 = 0x100;
const PATIENCE_MS: i64 = 1000;

/// One network interface and its addresses. An IPv6 address that duplicate address detection has not passed yet is
/// not among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mac: Option<Mac>,
    /// Administratively up, and with a carrier.
    pub(crate) running: bool,
    /// The interface that this one is on top of.
    pub(crate) below: Option<u32>,
    /// Address and prefix length.
    pub(crate) addresses: Vec<(IpAddr, u8)>,
}

impl Interface {
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|(other, _)| *other == address)
    }
}

/// Asks and changes.
pub(crate) struct Rtnl {
    socket: Socket,
    sequence: u32,
}

impl Rtnl {
    pub(crate) fn open() -> io::Result<Rtnl> {
        Ok(Rtnl { socket: netlink::open(NETLINK_ROUTE, PATIENCE_MS)?, sequence: 0 })
    }

    /// Every interface, as it is now.
    pub(crate) fn interfaces(&mut self) -> io::Result<Vec<Interface>> {
        let mut found = Vec::new();
        let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.request(links, NLM_F_DUMP, |answer| {
            if let RouteNetlinkMessage::NewLink(link) = answer {
                found.push(interface(link));
            }
        })?;
        let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.request(addresses, NLM_F_DUMP, |answer| {
            if let RouteNetlinkMessage::NewAddress(message) = answer
                && let Some(address) = local(&message)
                && let Some(to) = found.iter_mut().find(|it| it.index == message.header.index)
            {
                to.addresses.push((address, message.header.prefix_len));
            }
        })?;
        Ok(found)
    }

    /// Whom the kernel is asking for without an answer yet: the interface's index, and the address.
    pub(crate) fn unresolved(&mut self) -> io::Result<Vec<(u32, IpAddr)>> {
        let mut found = Vec::new();
        let neighbours = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
        self.request(neighbours, NLM_F_DUMP, |answer| {
            if let RouteNetlinkMessage::NewNeighbour(it) = answer
                && it.header.state == NeighbourState::Incomplete
            {
                let index = it.header.ifindex;
                found.extend(it.attributes.iter().filter_map(address).map(|address| (index, address)));
            }
        })?;
        Ok(found)
    }

    /// Adds an address; one that is there already is no error.
    pub(crate) fn add(&mut self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let message = RouteNetlinkMessage::NewAddress(message(index, address, prefix));
        let done = self.request(message, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, |_| {});
        unless(done, libc::EEXIST)
    }

    /// Removes an address; one that is not there is no error.
    pub(crate) fn remove(&mut self, index: u32, address: IpAddr, prefix: u8) -> io::Result<()> {
        let message = RouteNetlinkMessage::DelAddress(message(index, address, prefix));
        let done = self.request(message, NLM_F_ACK, |_| {});
        unless(done, libc::EADDRNOTAVAIL)
    }

    /// Sends one request and reads up to its acknowledgement or the end of its dump.
    pub(super) fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        mut answer: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        packet.finalize();
        let mut bytes = vec![0; packet.buffer_len()];
        packet.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while !rest.is_empty() {
                let (message, others) = split(rest)?;
                rest = others;
                // What this library cannot read is an interface of a kind that carries no VIP of ours.
                let Ok(reply) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else { continue };
                if reply.header.sequence_number != self.sequence {
                    continue;
                }
                match reply.payload {
                    NetlinkPayload::InnerMessage(inner) => answer(inner),
                    NetlinkPayload::Done(_) => return Ok(()),
                    NetlinkPayload::Error(error) if error.code.is_none() => return Ok(()),
                    NetlinkPayload::Error(error) => return Err(error.to_io()),
                    _ => {}
                }
            }
        }
    }
}

/// The first message of a datagram, by the length that it begins with, and the rest.
fn split(datagram: &[u8]) -> io::Result<(&[u8], &[u8])> {
    let length = datagram.first_chunk::<4>().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if length < HEADER {
        return Err(io::Error::other("a netlink message without a header"));
    }
    let message = datagram.get(..length).ok_or_else(|| io::Error::other("a netlink message that is cut"))?;
    Ok((message, datagram.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

/// A failure that means that there was nothing to do is none.
pub(super) fn unless(done: io::Result<()>, harmless: i32) -> io::Result<()> {
    match done {
        Err(error) if error.raw_os_error() == Some(harmless) => Ok(()),
        other => other,
    }
}

fn interface(link: LinkMessage) -> Interface {
    let both = LinkFlags::Up | LinkFlags::Running;
    let mut found = Interface {
        index: link.header.index,
        name: String::new(),
        mac: None,
        running: link.header.flags.contains(both),
        below: None,
        addresses: Vec::new(),
    };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => found.name = name,
            LinkAttribute::Link(below) => found.below = Some(below),
            LinkAttribute::Address(bytes) => found.mac = bytes.try_into().ok(),
            _ => {}
        }
    }
    found
}

fn local(message: &AddressMessage) -> Option<IpAddr> {
    if message.header.flags.intersects(AddressHeaderFlags::Tentative | AddressHeaderFlags::Dadfailed) {
        return None;
    }
    // IPv4 says Local, and by Address who is at the other end; IPv6 says Local only if there is another end.
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

/// Whom an entry of the neighbour table is about.
fn address(attribute: &NeighbourAttribute) -> Option<IpAddr> {
    match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(address)) => Some((*address).into()),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

fn message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    message.header.family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => {
            // Usable at once (the election is our duplicate address detection), and by nobody as a source address.
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            let mut lifetime = CacheInfo::default();
            (lifetime.ifa_preferred, lifetime.ifa_valid) = (0, u32::MAX);
            message.attributes.push(AddressAttribute::CacheInfo(lifetime));
            AddressFamily::Inet6
        }
    };
    message
}

/// Hears of changes. What exactly has changed does not matter: the truth is asked for again.
pub(crate) struct Monitor {
    socket: Socket,
}

impl Monitor {
    pub(crate) fn open() -> io::Result<Monitor> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, GROUP_LINK | GROUP_IPV4_ADDRESS | GROUP_IPV6_ADDRESS))?;
        socket.set_non_blocking(true)?;
        Ok(Monitor { socket })
    }

    /// Reads everything that is waiting. An overrun is a change like any other.
    pub(crate) fn drain(&self) {
        let mut buffer = [0_u8; 8192];
        for _ in 0..64 {
            match self.socket.recv(&mut buffer.as_mut_slice(), 0) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn messages_are_told_apart_by_their_length() {
        let message = |length: u32, bytes: usize| [&length.to_ne_bytes()[..], &vec![7; bytes - 4]].concat();
        let two = [message(18, 20), message(16, 16)].concat();
        let (first, rest) = split(&two).unwrap();
        assert_eq!((first.len(), rest.len()), (18, 16));
        assert_eq!(split(rest).unwrap().1.len(), 0);
        for (length, bytes) in [(15, 20), (0, 20), (24, 20), (u32::MAX, 20)] {
            assert!(split(&message(length, bytes)).is_err(), "{length}");
        }
        assert!(split(&[1, 2]).is_err());
    }
}
