//! Where proxyd listens: a TCP address, or the path of a Unix socket.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The kernel's `sun_path` holds 108 bytes, the last of them zero.
const LONGEST_PATH: usize = 107;
/// What ends or divides a name where these paths are written: ProxySQL's lists, the service manager's names, TOML.
const RESERVED: [u8; 4] = *b":;\"\\";

/// One place to listen, as the configuration writes it: `0.0.0.0:6033`, `[::1]:6032`, `/run/standfast/mysql.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Tcp(SocketAddr),
    /// Absolute, and no longer than the kernel takes.
    Unix(PathBuf),
}

impl Listen {
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Listen::Tcp(address) => Some(*address),
            Listen::Unix(_) => None,
        }
    }

    pub fn unix(&self) -> Option<&Path> {
        match self {
            Listen::Tcp(_) => None,
            Listen::Unix(path) => Some(path),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Why a text is no place to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    #[error("is not \"address:port\" or the absolute path of a Unix socket")]
    Neither,
    #[error("port 0 is out of range; expected 1 to 65535")]
    NoPort,
    #[error("is too long for a Unix socket; at most {LONGEST_PATH} bytes")]
    TooLong,
    #[error(
        "has characters that the path of a socket cannot have here; expected printable ASCII without : ; \" \\"
    )]
    Characters,
    #[error("names a directory, not a Unix socket")]
    Directory,
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Listen, ListenError> {
        if !text.starts_with('/') {
            let address: SocketAddr = text.parse().map_err(|_| ListenError::Neither)?;
            return if address.port() == 0 { Err(ListenError::NoPort) } else { Ok(Listen::Tcp(address)) };
        }
        if text.len() > LONGEST_PATH {
            return Err(ListenError::TooLong);
        }
        if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || RESERVED.contains(&byte)) {
            return Err(ListenError::Characters);
        }
        if text.ends_with('/') {
            return Err(ListenError::Directory);
        }
        Ok(Listen::Unix(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_read_and_written() {
        for text in ["0.0.0.0:6033", "[::1]:6032", "/run/standfast/mysql.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_no_kernel_would_bind_is_refused() {
        let long = format!("/{}", "x".repeat(LONGEST_PATH));
        for (text, why) in [
            ("mysql.sock", ListenError::Neither),
            ("", ListenError::Neither),
            ("127.0.0.1:0", ListenError::NoPort),
            (long.as_str(), ListenError::TooLong),
            ("/tmp/a:b", ListenError::Characters),
            ("/tmp/ä", ListenError::Characters),
            ("/tmp/", ListenError::Directory),
        ] {
            assert_eq!(text.parse::<Listen>(), Err(why), "{text}");
        }
        assert!(long[..LONGEST_PATH].parse::<Listen>().is_ok());
    }
}
