//! Hears who else claims an address: every ARP frame of every interface, after the fact. Decides nothing.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};
use vrrpd::arp::{self, Mac};

const ETHERTYPE_ARP: u16 = 0x0806;
/// Frames read in a row; a flood of ARP must not keep adverts waiting.
const BATCH: usize = 64;

pub(crate) struct Claims {
    socket: Socket,
}

impl Claims {
    pub(crate) fn open() -> io::Result<Claims> {
        let protocol = Protocol::from(i32::from(ETHERTYPE_ARP.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))?;
        socket.set_nonblocking(true)?;
        Ok(Claims { socket })
    }

    /// Hands out who said that it has which address; the frames that this host sent are among them.
    pub(crate) fn hear(&self, mut claim: impl FnMut(Mac, std::net::Ipv4Addr)) {
        let mut frame = [0; 64];
        for _ in 0..BATCH {
            match (&self.socket).read(&mut frame) {
                Ok(length) => {
                    if let Some((mac, address)) = arp::sender(frame.get(..length).unwrap_or_default()) {
                        claim(mac, address);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
