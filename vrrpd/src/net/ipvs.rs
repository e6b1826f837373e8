//! The socket to the kernel's IPVS.

use std::io;

use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};
use vrrpd::ipvs::{Reply, Step, ask_for_family, reply};

use super::netlink;

pub(crate) struct Ipvs {
    socket: Socket,
    family: u16,
}

impl Ipvs {
    /// An error of the kind "not found" says that this kernel has none, and could load none.
    pub(crate) fn open() -> io::Result<Ipvs> {
        let mut ipvs = Ipvs { socket: netlink::open(NETLINK_GENERIC, netlink::AT_ONCE_MS)?, family: 0 };
        match ipvs.ask(&ask_for_family())? {
            Reply::Family(family) => ipvs.family = family,
            Reply::Refused(error) => return Err(io::Error::from_raw_os_error(error)),
            Reply::Done => return Err(io::Error::other("IPVS has no number")),
        }
        // An acknowledgement follows what was asked for.
        let _ = ipvs.answer()?;
        Ok(ipvs)
    }

    /// Takes one step; one that had been taken before, or that was not needed, is no error.
    pub(crate) fn take(&self, step: Step) -> io::Result<()> {
        let refused = match self.ask(&step.emit(self.family))? {
            Reply::Refused(error) => error,
            Reply::Done | Reply::Family(_) => return Ok(()),
        };
        match (step, refused) {
            (_, libc::EEXIST) => step.again().map_or(Ok(()), |again| self.take(again)),
            (Step::Remove(_), libc::ENOENT | libc::ESRCH) => Ok(()),
            _ => Err(io::Error::from_raw_os_error(refused)),
        }
    }

    fn ask(&self, request: &[u8]) -> io::Result<Reply> {
        self.socket.send_to(request, &SocketAddr::new(0, 0), 0)?;
        self.answer()
    }

    fn answer(&self) -> io::Result<Reply> {
        let (datagram, _) = self.socket.recv_from_full()?;
        reply(&datagram).ok_or_else(|| io::Error::other("IPVS gave no answer"))
    }
}
