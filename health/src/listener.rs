//! A listening socket of either family, and how that of a path is made: the angel's, or proxyd's own where it runs without one.
//!
//! A Unix socket has no SO_REUSEPORT: there is one for all workers, each accepting on a copy of its descriptor.

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use configs::Listen;
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};
use socket2::{Domain, SockAddr, Socket, Type};

/// Everybody who reaches the file may connect, as with MySQL's own: who it is, the login tells.
const MODE: u32 = 0o777;

#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    /// A descriptor that is known to listen.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Listener> {
        let name: SockaddrStorage = getsockname(fd.as_raw_fd())?;
        Ok(match name.family() {
            Some(AddressFamily::Unix) => Listener::Unix(fd.into()),
            _ => Listener::Tcp(fd.into()),
        })
    }

    /// What it is bound to; an error for a Unix socket without a path.
    pub fn place(&self) -> io::Result<Listen> {
        match self {
            Listener::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Listener::Unix(listener) => {
                let address = listener.local_addr()?;
                let path = address.as_pathname().ok_or(io::ErrorKind::InvalidData)?;
                Ok(Listen::Unix(path.to_owned()))
            }
        }
    }

    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Listener::Tcp(listener) => listener.set_nonblocking(true),
            Listener::Unix(listener) => listener.set_nonblocking(true),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Listens at `path`, in place of a socket that nobody listens at any more.
///
/// # Errors
/// `AddrInUse` where somebody does, `AlreadyExists` where the file is no socket, and the kernel's own.
pub fn bind_unix(path: &Path, backlog: i32) -> io::Result<UnixListener> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file there is no socket"));
        }
        // Not to wait for a place in a queue that is full: that queue is somebody's.
        Ok(_) => {
            let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            probe.set_nonblocking(true)?;
            match probe.connect(&address) {
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
                _ => return Err(io::ErrorKind::AddrInUse.into()),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    socket.bind(&address)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Whether a client finds a listener at `path`: somebody may have cleaned up around it.
pub fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    use super::*;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("standfast-listener-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let path = path("stale");
        let first = bind_unix(&path, 8).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(bind_unix(&path, 8).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(is_there(&path), "the file stays behind");
        let second = Listener::from_fd(bind_unix(&path, 8).unwrap().into()).unwrap();
        assert!(matches!(second, Listener::Unix(_)));
        assert_eq!(second.place().unwrap(), Listen::Unix(path.clone()));
        UnixStream::connect(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!is_there(&path));
    }

    #[test]
    fn a_file_that_is_no_socket_is_nobodys_to_remove() {
        let path = path("file");
        fs::write(&path, "precious").unwrap();
        assert_eq!(bind_unix(&path, 8).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_file(&path).unwrap();
    }
}
