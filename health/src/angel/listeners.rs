//! The listening sockets: the reason why a client that connects while proxyd is away waits instead of being refused.
//!
//! Each MySQL address has one socket a worker (SO_REUSEPORT: the kernel spreads new connections), each admin address and
//! each path has one. They stay open as long as the angel lives, and over its restarts in systemd's fd store, under a [`Name`].

use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use configs::Listen;
use health::inherit::{Entry, Kind};
use health::listener::{self, Listener};
use socket2::{Domain, Protocol, Socket, Type};

use crate::log;

/// Connections that may wait for a proxy, for each socket. The kernel cuts it to `net.core.somaxconn`: 4096 by default,
/// as much as this by the package's sysctl file.
const BACKLOG: i32 = 16_384;
/// An address that is taken is tried again for so long; then the angel gives up and its manager tries later.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// What a listener is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    pub(crate) worker: usize,
    pub(crate) place: Listen,
}

impl fmt::Display for Name {
    /// The name in the fd store, where a colon is not allowed: `mysql-0-127.0.0.1_6033`. (A path has none.)
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Mysql => "mysql",
            Kind::Admin => "admin",
        };
        let place = match &self.place {
            Listen::Tcp(address) => address.to_string().replace(':', "_"),
            Listen::Unix(path) => path.display().to_string(),
        };
        write!(f, "{kind}-{}-{place}", self.worker)
    }
}

impl Name {
    /// The file of a Unix socket may have been removed while the socket was held.
    fn is_reachable(&self) -> bool {
        self.place.unix().is_none_or(listener::is_there)
    }

    fn remove_file(&self) {
        if let Some(path) = self.place.unix() {
            // One that is gone already is what is wanted.
            let _ = fs::remove_file(path);
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Name> {
        let mut fields = text.splitn(3, '-');
        let kind = match fields.next()? {
            "mysql" => Kind::Mysql,
            "admin" => Kind::Admin,
            _ => return None,
        };
        let worker = fields.next()?.parse().ok()?;
        let place = fields.next()?;
        let place = match place.starts_with('/') {
            true => place.parse().ok()?,
            false => place.replace('_', ":").parse().ok()?,
        };
        Some(Name { kind, worker, place })
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place} ({kind})")]
pub(crate) struct BindError {
    place: Listen,
    kind: &'static str,
    source: io::Error,
}

/// Every listener that the configuration asks for.
#[derive(Debug)]
pub(crate) struct Listeners {
    all: Vec<(Name, Listener)>,
}

/// How the configuration compares with what was left over from an earlier angel.
pub(crate) struct Completed {
    pub(crate) listeners: Listeners,
    /// A proxy that holds what was left over holds exactly what it should.
    pub(crate) same: bool,
    /// Left over, no longer wanted, closed.
    pub(crate) dropped: Vec<Name>,
}

impl Listeners {
    /// Keeps of `left_over` what `wanted` names and clients can find, and binds the rest.
    pub(crate) fn complete(
        wanted: &[Name],
        mut left_over: Vec<(Name, Listener)>,
    ) -> Result<Completed, BindError> {
        let mut all = Vec::with_capacity(wanted.len());
        let mut same = true;
        for name in wanted {
            let kept = |(left, _): &(Name, Listener)| left == name && left.is_reachable();
            match left_over.iter().position(kept) {
                Some(index) => all.push(left_over.swap_remove(index)),
                None => {
                    same = false;
                    all.push((name.clone(), bind_patiently(name)?));
                }
            }
        }
        let dropped: Vec<Name> = left_over.into_iter().map(|(name, _)| name).collect();
        dropped.iter().filter(|name| !wanted.contains(name)).for_each(Name::remove_file);
        Ok(Completed { listeners: Listeners { all }, same: same && dropped.is_empty(), dropped })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Name, Listener)> {
        self.all.iter()
    }

    /// After a stop that was meant: a file that nobody listens at would only mislead.
    pub(crate) fn remove_files(&self) {
        self.all.iter().for_each(|(name, _)| name.remove_file());
    }

    /// As proxyd is told: it inherits the descriptors under the numbers that they have here.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |(name, listener): &(Name, Listener)| Entry {
            kind: name.kind,
            worker: name.worker,
            fd: listener.as_raw_fd(),
        };
        self.all.iter().map(entry).collect()
    }
}

/// The listeners of a configuration.
pub(crate) fn wanted(proxy: &configs::Proxy) -> Vec<Name> {
    let mysql = proxy.mysql_listen.iter().flat_map(|place| {
        let sockets = if place.unix().is_some() { 1 } else { proxy.workers };
        (0..sockets).map(|worker| Name { kind: Kind::Mysql, worker, place: place.clone() })
    });
    let admin =
        proxy.admin_listen.iter().map(|place| Name { kind: Kind::Admin, worker: 0, place: place.clone() });
    mysql.chain(admin).collect()
}

fn bind_patiently(name: &Name) -> Result<Listener, BindError> {
    let kind = match name.kind {
        Kind::Mysql => "mysql",
        Kind::Admin => "admin",
    };
    let give_up = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        let source = match bind(&name.place) {
            Ok(listener) => return Ok(listener),
            Err(error) => error,
        };
        if source.kind() != io::ErrorKind::AddrInUse || Instant::now() >= give_up {
            return Err(BindError { place: name.place.clone(), kind, source });
        }
        if !told {
            log::warning(format_args!("event=address-in-use address={} kind={kind}", name.place));
            told = true;
        }
        thread::sleep(PAUSE);
    }
}

fn bind(place: &Listen) -> io::Result<Listener> {
    match place {
        Listen::Tcp(address) => bind_tcp(*address).map(Listener::Tcp),
        Listen::Unix(path) => listener::bind_unix(path, BACKLOG).map(Listener::Unix),
    }
}

/// IP_FREEBIND: a listener on the virtual address itself is bound before the address has come to this host.
fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv4() {
        socket.set_freebind_v4(true)?;
    } else {
        socket.set_freebind_v6(true)?;
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_both_ways() {
        for (name, text) in [
            (("127.0.0.1:6033", Kind::Mysql, 1), "mysql-1-127.0.0.1_6033"),
            (("[::1]:6032", Kind::Admin, 0), "admin-0-[__1]_6032"),
            (("/run/a-b_c.sock", Kind::Mysql, 0), "mysql-0-/run/a-b_c.sock"),
        ] {
            let name = Name { kind: name.1, worker: name.2, place: name.0.parse().unwrap() };
            assert_eq!(name.to_string(), text);
            assert_eq!(Name::parse(text), Some(name));
        }
        for bad in ["", "proxyd", "heartbeat", "mysql-0", "mysql-x-127.0.0.1_1", "mysql-0-localhost_1"] {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_wanted_is_kept_and_the_rest_is_bound_or_dropped() {
        let old = bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let place = old.place().unwrap();
        let name = |worker| Name { kind: Kind::Mysql, worker, place: place.clone() };
        let fd = old.as_raw_fd();

        let completed = Listeners::complete(&[name(0)], vec![(name(0), old)]).unwrap();
        assert!(completed.same);
        assert_eq!(completed.listeners.entries(), [Entry { kind: Kind::Mysql, worker: 0, fd }]);

        let left_over = completed.listeners.all;
        let completed = Listeners::complete(&[name(1)], left_over).unwrap();
        assert!(!completed.same);
        assert_eq!(completed.dropped, [name(0)]);
        assert_eq!(completed.listeners.all[0].1.place().unwrap(), place);
    }

    #[test]
    fn a_path_that_was_removed_is_bound_again_and_one_that_is_unwanted_goes() {
        let path = std::env::temp_dir().join(format!("standfast-angel-{}.sock", std::process::id()));
        let name = Name { kind: Kind::Mysql, worker: 0, place: Listen::Unix(path.clone()) };
        let wanted = std::slice::from_ref(&name);
        let first = Listeners::complete(wanted, Vec::new()).unwrap().listeners;
        let kept = Listeners::complete(wanted, first.all).unwrap();
        assert!(kept.same);
        fs::remove_file(&path).unwrap();
        let again = Listeners::complete(wanted, kept.listeners.all).unwrap();
        assert!(!again.same && name.is_reachable());
        Listeners::complete(&[], again.listeners.all).unwrap();
        assert!(!name.is_reachable());
    }
}
