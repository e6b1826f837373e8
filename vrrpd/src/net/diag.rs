//! Resets TCP connections that are bound to a VIP (`SOCK_DESTROY` of sock_diag(7)), so that clients learn at once
//! that their server has moved, and the proxy does not keep dead sessions for hours.
//!
//! The messages are few and fixed (linux/inet_diag.h): the requests are written byte by byte.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// `struct inet_diag_sockid`.
const ID: usize = 48;
/// Every TCP state but TIME_WAIT (6), CLOSE (7) and LISTEN (10).
const STATES: u32 = 0x1fff & !(1 << 6 | 1 << 7 | 1 << 10);

type SocketId = [u8; ID];

pub(crate) struct ConnectionReset {
    socket: Socket,
    /// The kernel said that it cannot (no CONFIG_INET_DIAG_DESTROY, or no permission).
    pub(crate) refused: bool,
}

impl ConnectionReset {
    pub(crate) fn open() -> io::Result<ConnectionReset> {
        let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
        socket.bind_auto()?;
        let timeout = nix::sys::time::TimeVal::from(libc::timeval { tv_sec: 0, tv_usec: 200_000 });
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::ReceiveTimeout, &timeout)?;
        Ok(ConnectionReset { socket, refused: false })
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
            for id in self.connections(family, address)? {
                if Instant::now() >= end {
                    return Ok(count);
                }
                count += usize::from(self.destroy(family, &id)?);
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
        self.send(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family, &[0; ID], &filter)?;
        let mut found = Vec::new();
        self.replies(|kind, payload| match kind {
            NLMSG_DONE => Ok(true),
            NLMSG_ERROR => Err(error(payload)),
            _ => {
                found.extend(payload.get(4..).and_then(<[u8]>::first_chunk::<ID>));
                Ok(false)
            }
        })?;
        Ok(found)
    }

    /// False when the connection was gone already.
    fn destroy(&mut self, family: u8, id: &SocketId) -> io::Result<bool> {
        self.send(SOCK_DESTROY, NLM_F_ACK, family, id, &[])?;
        let mut result = Ok(());
        self.replies(|kind, payload| {
            if kind == NLMSG_ERROR {
                result = match error(payload) {
                    error if error.raw_os_error() == Some(0) => Ok(()),
                    error => Err(error),
                };
            }
            Ok(true)
        })?;
        match result {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTCONN)) => Ok(false),
            Err(error) => {
                self.refused =
                    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EPERM | libc::EINVAL));
                Err(error)
            }
        }
    }

    fn send(&self, kind: u16, flags: u16, family: u8, id: &SocketId, filter: &[u8]) -> io::Result<()> {
        let length = HEADER + 8 + ID + filter.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&u32::try_from(length).map_err(io::Error::other)?.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(NLM_F_REQUEST | flags).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]); // sequence, port
        bytes.extend_from_slice(&[family, u8::try_from(libc::IPPROTO_TCP).unwrap_or(6), 0, 0]);
        bytes.extend_from_slice(&STATES.to_ne_bytes());
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(filter);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).map(|_| ())
    }

    /// Hands out (type, payload) until `done` says that it has seen the last one.
    fn replies(&self, mut done: impl FnMut(u16, &[u8]) -> io::Result<bool>) -> io::Result<()> {
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let mut rest = datagram.as_slice();
            while let Some((header, _)) = rest.split_first_chunk::<HEADER>() {
                let [l0, l1, l2, l3, k0, k1, ..] = *header;
                let length =
                    usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).map_err(io::Error::other)?;
                let payload = rest.get(HEADER..length).unwrap_or_default();
                if done(u16::from_ne_bytes([k0, k1]), payload)? {
                    return Ok(());
                }
                rest = rest.get(length.max(HEADER).next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// `struct nlmsgerr`: a negative error number; zero is an acknowledgement.
fn error(payload: &[u8]) -> io::Error {
    let code = payload.first_chunk::<4>().map_or(-libc::EBADMSG, |bytes| i32::from_ne_bytes(*bytes));
    io::Error::from_raw_os_error(-code)
}
