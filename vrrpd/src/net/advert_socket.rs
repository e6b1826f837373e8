//! The raw sockets for adverts on one interface, of one address family.
//!
//! Two of them: a raw socket that is bound to an address hears no multicast, one that is not bound would send from
//! whatever address the kernel likes best, a VIP included.

use std::io::{self, IoSliceMut, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use vrrpd::packet::{Discard, GROUP, GROUP_V6, Ipv4Packet, PROTOCOL, TTL};

/// Internetwork control (CS6), as routing protocols are marked.
const TOS: u32 = 0xc0;
/// The kernel's own queue for control traffic.
const PRIORITY: i32 = 6;

/// What came, and what a raw socket knows about it.
pub(crate) struct Packet<'a> {
    /// IPv6: hop limit.
    pub(crate) ttl: u8,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) payload: &'a [u8],
}

pub(crate) struct AdvertSocket {
    receiver: Socket,
    sender: Socket,
    /// Of the interface: link-local addresses mean nothing without it.
    index: u32,
    is_ipv6: bool,
}

impl AdvertSocket {
    /// Opens both on the interface `name`; adverts leave from `source`, which that interface must have.
    pub(crate) fn open(name: &str, index: u32, source: IpAddr, multicast: bool) -> io::Result<AdvertSocket> {
        let domain = if source.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
            socket.set_nonblocking(true)?;
            socket.bind_device(Some(name.as_bytes()))?;
            Ok(socket)
        };
        let (receiver, sender) = (open()?, open()?);
        sender.set_recv_buffer_size(0)?;
        setsockopt(&sender, sockopt::Priority, &PRIORITY)?;
        match source {
            IpAddr::V4(source) => set_up_v4(&receiver, &sender, source, index, multicast)?,
            IpAddr::V6(_) => set_up_v6(&receiver, &sender, index, multicast)?,
        }
        let socket = AdvertSocket { receiver, sender, index, is_ipv6: source.is_ipv6() };
        socket.sender.bind(&socket.scoped(source))?;
        Ok(socket)
    }

    fn scoped(&self, address: IpAddr) -> SockAddr {
        match address {
            IpAddr::V4(_) => SockAddr::from(SocketAddr::new(address, 0)),
            IpAddr::V6(address) => SockAddr::from(SocketAddrV6::new(address, 0, 0, self.index)),
        }
    }

    pub(crate) fn send(&self, message: &[u8], destination: IpAddr) -> io::Result<()> {
        self.sender.send_to(message, &self.scoped(destination)).map(|_| ())
    }

    /// One waiting packet; `None` when there is none. `Some(Err)` is a packet that is none.
    pub(crate) fn receive<'a>(
        &self,
        buffer: &'a mut [u8],
    ) -> io::Result<Option<Result<Packet<'a>, Discard>>> {
        let received = if self.is_ipv6 { self.receive_v6(buffer) } else { self.receive_v4(buffer) };
        match received {
            Ok(packet) => Ok(Some(packet)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// IPv4 comes with its header.
    fn receive_v4<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Result<Packet<'a>, Discard>> {
        let length = (&self.receiver).read(buffer)?;
        let parsed = Ipv4Packet::parse(buffer.get(..length).unwrap_or_default());
        Ok(parsed.map(|it| Packet {
            ttl: it.ttl,
            source: it.source.into(),
            destination: it.destination.into(),
            payload: it.payload,
        }))
    }

    /// IPv6 comes without: what was in it is told beside the payload.
    fn receive_v6<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Result<Packet<'a>, Discard>> {
        let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let (mut ttl, mut destination) = (0, Ipv6Addr::UNSPECIFIED);
        let (length, source) = {
            let mut parts = [IoSliceMut::new(buffer)];
            let fd = self.receiver.as_raw_fd();
            let flags = MsgFlags::MSG_DONTWAIT;
            let message = recvmsg::<SockaddrIn6>(fd, &mut parts, Some(&mut control), flags)?;
            for told in message.cmsgs()? {
                match told {
                    ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).unwrap_or(0),
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        destination = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                    }
                    _ => {}
                }
            }
            (message.bytes, message.address.map(|address| address.ip()))
        };
        let source = source.ok_or(Errno::EINVAL)?;
        let payload = buffer.get(..length).unwrap_or_default();
        Ok(Ok(Packet { ttl, source: source.into(), destination: destination.into(), payload }))
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }
}

fn set_up_v4(
    receiver: &Socket,
    sender: &Socket,
    source: Ipv4Addr,
    index: u32,
    multicast: bool,
) -> io::Result<()> {
    receiver.set_multicast_all_v4(false)?;
    if multicast {
        receiver.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(index))?;
    }
    sender.set_multicast_all_v4(false)?;
    sender.set_multicast_loop_v4(false)?;
    sender.set_multicast_ttl_v4(u32::from(TTL))?;
    sender.set_multicast_if_v4(&source)?;
    sender.set_ttl_v4(u32::from(TTL))?;
    sender.set_tos_v4(TOS)
}

fn set_up_v6(receiver: &Socket, sender: &Socket, index: u32, multicast: bool) -> io::Result<()> {
    setsockopt(receiver, sockopt::Ipv6RecvPacketInfo, &true)?;
    setsockopt(receiver, sockopt::Ipv6RecvHopLimit, &true)?;
    receiver.set_multicast_all_v6(false)?;
    if multicast {
        receiver.join_multicast_v6(&GROUP_V6, index)?;
    }
    sender.set_multicast_all_v6(false)?;
    sender.set_multicast_loop_v6(false)?;
    sender.set_multicast_hops_v6(u32::from(TTL))?;
    sender.set_multicast_if_v6(index)?;
    sender.set_unicast_hops_v6(u32::from(TTL))?;
    sender.set_tclass_v6(TOS)
}
