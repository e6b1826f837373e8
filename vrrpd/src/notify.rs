//! systemd's readiness protocol (sd_notify(3)): one datagram a message. Without NOTIFY_SOCKET nothing happens.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

pub(crate) struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// How often the watchdog wants to hear from us: half of what systemd allows.
    pub(crate) watchdog: Option<Duration>,
}

impl Notify {
    pub(crate) fn from_env() -> Notify {
        let address = std::env::var("NOTIFY_SOCKET").ok().and_then(|path| match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name).ok(),
            None => SocketAddr::from_pathname(path).ok(),
        });
        let to = address.and_then(|address| Some((UnixDatagram::unbound().ok()?, address)));
        let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse::<u64>().ok());
        Notify { to, watchdog: watchdog.map(|micros| Duration::from_micros(micros / 2)) }
    }

    /// Best effort: a supervisor that does not listen must not stop the election.
    pub(crate) fn send(&self, message: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(message.as_bytes(), address);
        }
    }
}
