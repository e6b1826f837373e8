//! The listeners: opened and closed as `admin-restapi_…` and `admin-web_…` say, without a restart.
//!
//! A port that cannot be had is told once and tried again every second: after a crash the old proxy's is free in a moment.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::answer::Library;
use super::http::{self, Shared};
use crate::admin::password_of;
use crate::runtime::Settings;
use crate::tls::ClientTls;

/// Between two tries to open what could not be opened.
const RETRY: Duration = Duration::from_secs(1);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// Which of the two ports a client came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// `admin-restapi_port`: numbers, for anybody who reaches it.
    Metrics,
    /// `admin-web_port`: the status page, behind a login.
    Page,
}

/// What the variables ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub doors: Vec<(Door, SocketAddr)>,
    pub credentials: Credentials,
}

/// `admin-admin_credentials` and `admin-stats_credentials`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub admin: String,
    pub stats: String,
}

impl Credentials {
    pub fn password_of(&self, user: &str) -> Option<String> {
        password_of(&self.admin, user).or_else(|| password_of(&self.stats, user))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

impl Wanted {
    pub fn from_settings(settings: &Settings) -> Wanted {
        let mut doors = Vec::new();
        for (door, prefix) in [(Door::Metrics, "admin-restapi"), (Door::Page, "admin-web")] {
            if !settings.flag(&format!("{prefix}_enabled")) {
                continue;
            }
            let port = u16::try_from(settings.number(&format!("{prefix}_port"))).unwrap_or_default();
            let addresses = settings.text(&format!("{prefix}_address")).split(';');
            let addresses = addresses.filter_map(|address| address.trim().parse::<IpAddr>().ok());
            doors.extend(addresses.map(|address| (door, SocketAddr::new(address, port))));
        }
        let text = |name: &str| settings.text(name).to_owned();
        let credentials =
            Credentials { admin: text("admin-admin_credentials"), stats: text("admin-stats_credentials") };
        Wanted { doors, credentials }
    }
}

/// Opens and closes doors until the control thread is gone.
pub async fn keep(mut wishes: watch::Receiver<Wanted>, library: Arc<Library>, tls: ClientTls) {
    let shared = Arc::new(Shared::new(library, tls, wishes.clone()));
    let mut open: HashMap<(Door, SocketAddr), JoinHandle<()>> = HashMap::new();
    let mut told: Vec<(Door, SocketAddr)> = Vec::new();
    loop {
        let wanted = wishes.borrow_and_update().doors.clone();
        for (door, task) in open.extract_if(|door, _| !wanted.contains(door)) {
            task.abort();
            // An address may be wanted as part of another: its socket must be gone first.
            let _ = task.await;
            tracing::info!(door = ?door.0, address = %door.1, "closed");
        }
        told.retain(|door| wanted.contains(door));
        for &door in &wanted {
            if open.contains_key(&door) {
                continue;
            }
            match listen(door.1) {
                Ok(listener) => {
                    tracing::info!(door = ?door.0, address = %door.1, "open");
                    told.retain(|it| *it != door);
                    open.insert(door, tokio::spawn(http::serve(listener, door.0, shared.clone())));
                }
                Err(error) if !told.contains(&door) => {
                    tracing::error!(door = ?door.0, address = %door.1, %error, "cannot listen; trying again");
                    told.push(door);
                }
                Err(_) => {}
            }
        }
        let changed = if told.is_empty() {
            wishes.changed().await
        } else {
            tokio::time::timeout(RETRY, wishes.changed()).await.unwrap_or(Ok(()))
        };
        if changed.is_err() {
            return;
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // 0.0.0.0 and :: may both be wanted.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_open_until_it_is_asked_for_and_then_on_loopback() {
        let mut settings = Settings::default();
        assert_eq!(Wanted::from_settings(&settings).doors, []);
        settings.set("admin-restapi_enabled", "true");
        settings.set("admin-web_enabled", "true");
        settings.set("admin-web_address", "127.0.0.1; ::1");
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        assert_eq!(
            Wanted::from_settings(&settings).doors,
            [
                (Door::Metrics, address("127.0.0.1:6070")),
                (Door::Page, address("127.0.0.1:6080")),
                (Door::Page, address("[::1]:6080")),
            ]
        );
    }
}
