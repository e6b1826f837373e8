//! A listening socket of either family in the reactor.

use std::io;

use health::listener::Listener as Held;
use tokio::net::{TcpListener, UnixListener};

use super::Stream;
use crate::peer::Peer;

#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    /// One of several copies, one a worker: who is first has the client.
    Unix(UnixListener),
}

impl Listener {
    /// Must run on the thread whose reactor is to watch it.
    pub fn new(held: Held) -> io::Result<Listener> {
        Ok(match held {
            Held::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Held::Unix(listener) => Listener::Unix(UnixListener::from_std(listener)?),
        })
    }

    pub async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream), peer.into()))
            }
            Listener::Unix(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Unix(stream), peer.into()))
            }
        }
    }
}
