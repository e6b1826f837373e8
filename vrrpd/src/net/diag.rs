//! Resets TCP connections that are bound to a VIP (`SOCK_DESTROY` of sock_diag(7)), so that clients learn at once
//! that their server has moved, and the proxy does not keep dead sessions for hours.
//!
//! The messages are few and fixed (linux/inet_diag.h): the requests are written byte by byte.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};
use vrrpd::netlink::{Message, message, messages};

use super::netlink;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `struct inet_diag_sockid`.
const ID: usize = 48;
/// Every TCP state but TIME_WAIT (6), CLOSE (7) and LISTEN (10).
const STATES: u32 = 0x1fff & !(1 << 6 | 1 << 7 | 1 << 10);
/// Requests in one system call: their answers, some 60 bytes each and as much again in the kernel's books, fit a socket's buffer.
const AT_ONCE: usize = 64;
/// How often the list is read again for connections that came meanwhile.
const PASSES: usize = 3;

type SocketId = [u8; ID];

pub(crate) struct ConnectionReset {
    socket: Socket,
    /// The kernel said that it cannot (no CONFIG_INET_DIAG_DESTROY, or no permission).
    pub(crate) refused: bool,
}

impl ConnectionReset {
    pub(crate) fn open() -> io::Result<ConnectionReset> {
        Ok(ConnectionReset { socket: netlink::open(NETLINK_SOCK_DIAG, netlink::AT_ONCE_MS)?, refused: false })
    }

    /// Resets what is bound to `address`, for at most `budget`. Returns how many connections that were.
    pub(crate) fn reset(&mut self, address: IpAddr, budget: Duration) -> io::Result<usize> {
        if self.refused {
            return Ok(0);
        }
        let end = Instant::now() + budget;
        let mut count = 0;
        // An IPv4 connection may be an IPv6 socket's, too.
        let v4 = address.is_ipv4().then_some(libc::AF_INET);
        for family in v4.into_iter().chain([libc::AF_INET6]) {
            let family = u8::try_from(family).map_err(io::Error::other)?;
            for _ in 0..PASSES {
                let found = self.connections(family, address)?;
                if found.is_empty() {
                    break;
                }
                for some in found.chunks(AT_ONCE) {
                    if Instant::now() >= end {
                        return Ok(count);
                    }
                    count += self.destroy(family, some)?;
                }
            }
        }
        Ok(count)
    }

    /// The kernel filters by source address; IPv6 sockets with a mapped address count too.
    fn connections(&mut self, family: u8, address: IpAddr) -> io::Result<Vec<SocketId>> {
        let (of, octets) = match address {
            IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
        };
        let of = u8::try_from(of).map_err(io::Error::other)?;
        let size = u8::try_from(octets.len()).map_err(io::Error::other)?;
        let condition = 12 + size; // operation and host condition
        let mut filter = Vec::with_capacity(32);
        filter.extend_from_slice(&(4 + u16::from(condition)).to_ne_bytes()); // attribute length
        filter.extend_from_slice(&1_u16.to_ne_bytes()); // INET_DIAG_REQ_BYTECODE
        filter.extend_from_slice(&[7, condition]); // INET_DIAG_BC_S_COND; on a match go on behind it: the end
        filter.extend_from_slice(&(4 + u16::from(condition)).to_ne_bytes()); // else jump beyond the end: no
        filter.extend_from_slice(&[of, size * 8, 0, 0]);
        filter.extend_from_slice(&(-1_i32).to_ne_bytes()); // any port
        filter.extend_from_slice(&octets);
        self.send(&request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, &[0; ID], &filter))?;
        let mut found = Vec::new();
        self.replies(|message| match message.kind {
            NLMSG_DONE => Ok(true),
            NLMSG_ERROR => Err(io::Error::from_raw_os_error(number(message))),
            _ => {
                found.extend(message.payload.get(4..).and_then(<[u8]>::first_chunk::<ID>));
                Ok(false)
            }
        })?;
        Ok(found)
    }

    /// How many of them were not gone already.
    fn destroy(&mut self, family: u8, ids: &[SocketId]) -> io::Result<usize> {
        let request = |id| request(SOCK_DESTROY, NLM_F_ACK, family, id, &[]);
        self.send(&ids.iter().flat_map(request).collect::<Vec<u8>>())?;
        let (mut count, mut answers, mut refused) = (0, 0, 0);
        self.replies(|message| {
            let error = if message.kind == NLMSG_ERROR { number(message) } else { 0 };
            match error {
                0 => count += 1,
                libc::ENOENT | libc::ENOTCONN => {}
                error => refused = error,
            }
            answers += 1;
            Ok(answers == ids.len())
        })?;
        if refused == 0 {
            return Ok(count);
        }
        self.refused = matches!(refused, libc::EOPNOTSUPP | libc::EPERM | libc::EINVAL);
        Err(io::Error::from_raw_os_error(refused))
    }

    fn send(&self, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &SocketAddr::new(0, 0), 0).map(|_| ())
    }

    /// Hands out messages until `done` says that it has seen the last one.
    fn replies(&self, mut done: impl FnMut(Message<'_>) -> io::Result<bool>) -> io::Result<()> {
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            for message in messages(&datagram) {
                if done(message)? {
                    return Ok(());
                }
            }
        }
    }
}

fn request(kind: u16, flags: u16, family: u8, id: &SocketId, filter: &[u8]) -> Vec<u8> {
    let of = [family, u8::try_from(libc::IPPROTO_TCP).unwrap_or(6), 0, 0];
    let payload = [&of[..], &STATES.to_ne_bytes(), id, filter].concat();
    message(kind, NLM_F_REQUEST | flags, 0, &payload)
}

/// What an error says; zero is an acknowledgement.
fn number(message: Message<'_>) -> i32 {
    message.error().unwrap_or(libc::EBADMSG)
}
