//! Netlink sockets.

use std::io;

use netlink_sys::Socket;
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimeout};
use nix::sys::time::{TimeVal, TimeValLike};

/// The kernel answers at once; waiting longer would keep adverts waiting.
pub(crate) const AT_ONCE_MS: i64 = 200;

/// A socket on which the kernel is asked. A request that got lost inside the kernel would be a bug there; waiting for
/// ever would be ours.
pub(crate) fn open(protocol: isize, patience_ms: i64) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(patience_ms))?;
    Ok(socket)
}
