//! The sockets to the kernel's nftables.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use vrrpd::nft::{Answer, Rule, answer, ask_for_rules, refuse};

use super::netlink;

/// `NFNLGRP_NFTABLES`, as a bit.
const CHANGES: u32 = 1 << 6;

/// One for each question: an answer that came too late is nobody's.
pub(crate) struct Nft(Socket);

impl Nft {
    pub(crate) fn open() -> io::Result<Nft> {
        netlink::open(NETLINK_NETFILTER, netlink::AT_ONCE_MS).map(Nft)
    }

    /// From now on packets to these addresses are dropped, and to no others.
    pub(crate) fn refuse(self, addresses: &[IpAddr]) -> io::Result<()> {
        let request = refuse(addresses);
        self.0.send_to(&request.bytes, &SocketAddr::new(0, 0), 0)?;
        loop {
            match answer(&self.0.recv_from_full()?.0) {
                Answer::Done(last) if last == request.last => return Ok(()),
                Answer::Refused(error) => return Err(io::Error::from_raw_os_error(error)),
                Answer::Done(_) | Answer::Rules(_) | Answer::End(_) => {}
            }
        }
    }

    /// The rules of our table that are in force.
    pub(crate) fn rules(self) -> io::Result<Vec<Rule>> {
        self.0.send_to(&ask_for_rules(), &SocketAddr::new(0, 0), 0)?;
        let mut found = Vec::new();
        loop {
            match answer(&self.0.recv_from_full()?.0) {
                Answer::Rules(more) => found.extend(more),
                Answer::End(more) => {
                    found.extend(more);
                    return Ok(found);
                }
                Answer::Refused(error) => return Err(io::Error::from_raw_os_error(error)),
                Answer::Done(_) => return Ok(found),
            }
        }
    }
}

/// Hears that somebody has changed the rules of this host.
pub(crate) struct RuleMonitor(Socket);

impl RuleMonitor {
    pub(crate) fn open() -> io::Result<RuleMonitor> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind(&SocketAddr::new(0, CHANGES))?;
        socket.set_non_blocking(true)?;
        Ok(RuleMonitor(socket))
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    /// Reads what is waiting; what exactly has changed is asked for.
    pub(crate) fn drain(&self) {
        let mut buffer = [0_u8; 8192];
        for _ in 0..64 {
            match self.0.recv(&mut buffer.as_mut_slice(), 0) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}
