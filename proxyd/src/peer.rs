//! Where a client comes from, as the tables, the logs and the rules name it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use tokio::net::unix;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    Tcp(SocketAddr),
    /// By a Unix socket: from this host.
    Local,
}

impl Peer {
    /// The address without its port, an IPv4 one as such; `None` by a Unix socket.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Local => None,
        }
    }

    pub fn port(self) -> Option<u16> {
        match self {
            Peer::Tcp(address) => Some(address.port()),
            Peer::Local => None,
        }
    }

    /// The word for the host, as MySQL and ProxySQL have it.
    pub fn host(self) -> String {
        self.ip().map_or_else(|| "localhost".to_owned(), |ip| ip.to_string())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Local => f.write_str("localhost"),
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Tcp(address)
    }
}

impl From<unix::SocketAddr> for Peer {
    fn from(_: unix::SocketAddr) -> Peer {
        Peer::Local
    }
}
