//! The hand-over from the angel to proxyd: which descriptor is which, said in two environment variables.
//!
//! `STANDFAST_LISTENERS=mysql:0:5,mysql:1:6,admin:0:7` lists `kind:worker:fd`; several addresses are several entries.
//! `STANDFAST_HEARTBEAT_FD=8` is the [heartbeat segment](crate::heartbeat). Writing and reading them live here together;
//! what a listener is bound to is the angel's business.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{getsockopt, sockopt};

use crate::heartbeat::{HeartbeatError, MAX_WORKERS, Segment};
use crate::listener::Listener;

pub const LISTENERS: &str = "STANDFAST_LISTENERS";
pub const HEARTBEAT_FD: &str = "STANDFAST_HEARTBEAT_FD";

/// More entries than any configuration makes.
const MAX_ENTRIES: usize = 8192;

/// What arrives on a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Mysql,
    Admin,
}

/// One inherited listener: its kind, the worker it belongs to, and its number in the child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    pub worker: usize,
    pub fd: RawFd,
}

/// Why the inheritance cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    #[error("{LISTENERS}: {0:?} is not kind:worker:fd")]
    Entry(String),
    #[error("{LISTENERS}: more than {MAX_ENTRIES} entries")]
    TooMany,
    #[error("descriptor {0} is named twice in {LISTENERS} and {HEARTBEAT_FD}")]
    Twice(RawFd),
    #[error("{LISTENERS} and {HEARTBEAT_FD} are only good together; {0} is missing")]
    Missing(&'static str),
    #[error("{HEARTBEAT_FD}: {0:?} is not a descriptor")]
    HeartbeatFd(String),
    #[error("inherited descriptor {fd} cannot be used")]
    Descriptor { fd: RawFd, source: io::Error },
    #[error("inherited descriptor {0} is not a listening socket")]
    NotListening(RawFd),
    #[error(transparent)]
    Heartbeat(#[from] HeartbeatError),
    #[error("the inherited descriptors were taken before")]
    AlreadyTaken,
}

/// What proxyd got from the angel. Every descriptor is close-on-exec again and every listener non-blocking.
#[derive(Debug)]
pub struct Inherited {
    /// (worker, listener), in the order of the environment variable; that of a path is for every worker.
    pub mysql: Vec<(usize, Listener)>,
    pub admin: Vec<Listener>,
    pub heartbeat: Segment,
}

impl Inherited {
    /// Takes the descriptors that the environment names, once in the life of a process. `None` = started without an angel.
    ///
    /// A process that the angel started owns those descriptors and nobody else in it does; that is the contract.
    pub fn from_env() -> Result<Option<Inherited>, InheritError> {
        let (listeners, heartbeat) = match (std::env::var(LISTENERS).ok(), std::env::var(HEARTBEAT_FD).ok()) {
            (None, None) => return Ok(None),
            (Some(listeners), Some(heartbeat)) => (listeners, heartbeat),
            (Some(_), None) => return Err(InheritError::Missing(HEARTBEAT_FD)),
            (None, Some(_)) => return Err(InheritError::Missing(LISTENERS)),
        };
        let entries = parse(&listeners)?;
        let heartbeat = parse_fd(&heartbeat).ok_or(InheritError::HeartbeatFd(heartbeat))?;
        if entries.iter().any(|entry| entry.fd == heartbeat) {
            return Err(InheritError::Twice(heartbeat));
        }
        static TAKEN: AtomicBool = AtomicBool::new(false);
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(InheritError::AlreadyTaken);
        }
        Inherited::take(&entries, heartbeat).map(Some)
    }

    fn take(entries: &[Entry], heartbeat: RawFd) -> Result<Inherited, InheritError> {
        let (mut mysql, mut admin) = (Vec::new(), Vec::new());
        for entry in entries {
            let listener = listener(entry.fd)?;
            match entry.kind {
                Kind::Mysql => mysql.push((entry.worker, listener)),
                Kind::Admin => admin.push(listener),
            }
        }
        let heartbeat = Segment::from_fd(adopt(heartbeat)?)?;
        Ok(Inherited { mysql, admin, heartbeat })
    }
}

/// The value of [`LISTENERS`].
pub fn encode(entries: &[Entry]) -> String {
    let mut text = String::new();
    for Entry { kind, worker, fd } in entries {
        let kind = match kind {
            Kind::Mysql => "mysql",
            Kind::Admin => "admin",
        };
        let comma = if text.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{kind}:{worker}:{fd}");
    }
    text
}

/// Reads the value of [`LISTENERS`]. Pure: no descriptor is touched. Numbers 0 to 2 are never accepted.
pub fn parse(text: &str) -> Result<Vec<Entry>, InheritError> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let entry = parse_entry(part).ok_or_else(|| InheritError::Entry(part.chars().take(40).collect()))?;
        if !seen.insert(entry.fd) {
            return Err(InheritError::Twice(entry.fd));
        }
        if entries.len() == MAX_ENTRIES {
            return Err(InheritError::TooMany);
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn parse_entry(part: &str) -> Option<Entry> {
    let mut fields = part.split(':');
    let (kind, worker, fd) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() {
        return None;
    }
    let kind = match kind {
        "mysql" => Kind::Mysql,
        "admin" => Kind::Admin,
        _ => return None,
    };
    let worker = worker.parse().ok().filter(|worker| *worker < MAX_WORKERS)?;
    Some(Entry { kind, worker, fd: parse_fd(fd)? })
}

fn parse_fd(text: &str) -> Option<RawFd> {
    text.parse().ok().filter(|fd| *fd > 2)
}

fn listener(fd: RawFd) -> Result<Listener, InheritError> {
    let owned = adopt(fd)?;
    match getsockopt(&owned, sockopt::AcceptConn) {
        Ok(true) => {}
        _ => return Err(InheritError::NotListening(fd)),
    }
    let failed = |source| InheritError::Descriptor { fd, source };
    let listener = Listener::from_fd(owned).map_err(failed)?;
    listener.set_nonblocking().map_err(failed)?;
    Ok(listener)
}

/// Owns a descriptor that the parent left open for us, after making sure that it is open.
fn adopt(fd: RawFd) -> Result<OwnedFd, InheritError> {
    let failed = |errno: nix::Error| InheritError::Descriptor { fd, source: errno.into() };
    // SAFETY: only borrowed for the one call that tells whether it is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, FcntlArg::F_GETFD).map_err(failed)?;
    // SAFETY: it is open, and by the contract of `Inherited::from_env` it belongs to us; `from_env` runs once.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl(owned.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
    Ok(owned)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::IntoRawFd;

    use configs::Listen;

    use super::*;

    #[test]
    fn encode_and_parse_are_each_others_inverse() {
        let entries = [
            Entry { kind: Kind::Mysql, worker: 0, fd: 5 },
            Entry { kind: Kind::Mysql, worker: 1, fd: 6 },
            Entry { kind: Kind::Admin, worker: 0, fd: 7 },
        ];
        assert_eq!(encode(&entries), "mysql:0:5,mysql:1:6,admin:0:7");
        assert_eq!(parse("mysql:0:5,mysql:1:6,admin:0:7").unwrap(), entries);
        assert_eq!(parse("").unwrap(), []);
    }

    #[test]
    fn parse_refuses_what_the_angel_never_writes() {
        for bad in [
            "mysql",
            "mysql:0",
            "mysql:0:5:6",
            "pgsql:0:5",
            "mysql:x:5",
            "mysql:0:-1",
            "mysql:0:2",
            "mysql:9999:5",
        ] {
            assert!(matches!(parse(bad), Err(InheritError::Entry(_))), "{bad}");
        }
        assert!(matches!(parse("mysql:0:5,admin:0:5"), Err(InheritError::Twice(5))));
        let many: Vec<String> = (0..9000).map(|fd| format!("admin:0:{}", fd + 3)).collect();
        assert!(matches!(parse(&many.join(",")), Err(InheritError::TooMany)));
    }

    #[test]
    fn take_gives_listeners_and_heartbeat() {
        let mysql = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = mysql.local_addr().unwrap();
        let heartbeat = Segment::create(2).unwrap();
        let heartbeat_fd = heartbeat.as_fd().try_clone_to_owned().unwrap().into_raw_fd();
        let entries = [Entry { kind: Kind::Mysql, worker: 1, fd: mysql.into_raw_fd() }];
        let inherited = Inherited::take(&entries, heartbeat_fd).unwrap();
        assert_eq!(inherited.heartbeat.workers(), 2);
        let (worker, listener) = &inherited.mysql[0];
        assert_eq!((*worker, listener.place().unwrap()), (1, Listen::Tcp(address)));
        let Listener::Tcp(listener) = listener else { panic!("{listener:?}") };
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn take_refuses_a_descriptor_that_is_no_listener() {
        let heartbeat = Segment::create(1).unwrap();
        let not_a_socket = heartbeat.as_fd().try_clone_to_owned().unwrap().into_raw_fd();
        let entries = [Entry { kind: Kind::Mysql, worker: 0, fd: not_a_socket }];
        assert!(matches!(Inherited::take(&entries, 999_999), Err(InheritError::NotListening(_))));
        assert!(matches!(Inherited::take(&[], 999_999), Err(InheritError::Descriptor { fd: 999_999, .. })));
    }
}
