//! The raw sockets for adverts on one interface.
//!
//! Two of them: a raw socket that is bound to an address hears no multicast, one that is not bound would send from
//! whatever address the kernel likes best, a VIP included.

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};
use vrrpd::packet::{GROUP, PROTOCOL, TTL};

/// Internetwork control (CS6), as routing protocols are marked.
const TOS: u32 = 0xc0;
/// The kernel's own queue for control traffic.
const PRIORITY: i32 = 6;

pub(crate) struct AdvertSocket {
    receiver: Socket,
    sender: Socket,
}

impl AdvertSocket {
    /// Opens both on the interface `name`; adverts leave from `source`, which that interface must have.
    pub(crate) fn open(
        name: &str,
        index: u32,
        source: Ipv4Addr,
        multicast: bool,
    ) -> io::Result<AdvertSocket> {
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
            socket.set_nonblocking(true)?;
            socket.bind_device(Some(name.as_bytes()))?;
            Ok(socket)
        };
        let receiver = open()?;
        receiver.set_multicast_all_v4(false)?;
        if multicast {
            receiver.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(index))?;
        }
        let sender = open()?;
        sender.set_multicast_all_v4(false)?;
        sender.set_recv_buffer_size(0)?;
        sender.set_multicast_loop_v4(false)?;
        sender.set_multicast_ttl_v4(u32::from(TTL))?;
        sender.set_multicast_if_v4(&source)?;
        sender.set_ttl_v4(u32::from(TTL))?;
        sender.set_tos_v4(TOS)?;
        setsockopt(&sender, sockopt::Priority, &PRIORITY)?;
        sender.bind(&SocketAddrV4::new(source, 0).into())?;
        Ok(AdvertSocket { receiver, sender })
    }

    pub(crate) fn send(&self, message: &[u8], destination: Ipv4Addr) -> io::Result<()> {
        let to = SockAddr::from(SocketAddrV4::new(destination, 0));
        self.sender.send_to(message, &to).map(|_| ())
    }

    /// One waiting packet, its IPv4 header first; `None` when there is none.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match (&self.receiver).read(buffer) {
            Ok(length) => Ok(buffer.get(..length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.receiver.as_raw_fd()
    }
}
