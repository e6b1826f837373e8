//! Says where a VIP is (gratuitous ARP, unsolicited neighbour advertisements), and asks where somebody is.

use std::io;
use std::mem::size_of;
use std::net::IpAddr;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};
use vrrpd::arp::{self, Form, Mac};
use vrrpd::ndp;

const ETHERTYPE_ARP: u16 = 0x0806;
const ETHERTYPE_IPV6: u16 = 0x86dd;

pub(crate) struct Announcer {
    socket: Socket,
}

impl Announcer {
    /// A packet socket that receives nothing (protocol 0).
    pub(crate) fn open() -> io::Result<Announcer> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(Announcer { socket })
    }

    /// "`address` is at `mac`", in both forms of ARP or in the one of IPv6, on the interface with this index.
    pub(crate) fn announce(&self, index: u32, mac: Mac, address: IpAddr) -> io::Result<()> {
        match address {
            IpAddr::V4(address) => {
                self.send(index, ETHERTYPE_ARP, &arp::gratuitous(Form::Request, mac, address))?;
                self.send(index, ETHERTYPE_ARP, &arp::gratuitous(Form::Reply, mac, address))
            }
            IpAddr::V6(address) => self.send(index, ETHERTYPE_IPV6, &ndp::unsolicited(mac, address)),
        }
    }

    /// "Who has `target`? Tell `source`, which is at `mac`." Both are of one family; nothing is asked otherwise.
    pub(crate) fn ask(&self, index: u32, mac: Mac, source: IpAddr, target: IpAddr) -> io::Result<()> {
        match (source, target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                self.send(index, ETHERTYPE_ARP, &arp::question(mac, source, target))
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                self.send(index, ETHERTYPE_IPV6, &ndp::question(mac, source, target))
            }
            _ => Ok(()),
        }
    }

    fn send(&self, index: u32, ethertype: u16, frame: &[u8]) -> io::Result<()> {
        let to = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).unwrap_or_default(),
            sll_protocol: ethertype.to_be(),
            sll_ifindex: i32::try_from(index).map_err(io::Error::other)?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
        };
        let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).map_err(io::Error::other)?;
        // SAFETY: both pointers are to live values of the lengths given, and the kernel only reads them.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                frame.as_ptr().cast(),
                frame.len(),
                0,
                std::ptr::from_ref(&to).cast(),
                length,
            )
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}
