//! Control sockets, the same for all daemons: a unix stream socket that takes one request line and answers with lines.
//! Here are the socket's birth and the bound on the request; what requests there are is each daemon's own.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The longest request line, its newline included.
pub const MAX_REQUEST: usize = 256;
/// Owner and group may connect.
const MODE: u32 = 0o660;

/// Why a control socket cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("another process serves {0}")]
    InUse(PathBuf),
    #[error("{path} exists and is not a socket")]
    NotASocket { path: PathBuf },
    #[error("cannot listen on {path}")]
    Io { path: PathBuf, source: io::Error },
}

/// Listens at `path`, non-blocking, mode 0660. A socket that a dead process left there is replaced.
pub fn bind(path: &Path) -> Result<UnixListener, ControlError> {
    let failed = |source| ControlError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(ControlError::NotASocket { path: path.to_owned() });
        }
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(ControlError::InUse(path.to_owned())),
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// The request was longer than [`MAX_REQUEST`] or not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a request line")]
pub struct BadRequest;

/// Gathers a request line from whatever pieces arrive.
#[derive(Debug, Default)]
pub struct RequestLine {
    bytes: Vec<u8>,
}

impl RequestLine {
    /// The request without its newline, once it is whole. What follows the newline is ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<String>, BadRequest> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
        if self.bytes.len() + part.len() >= MAX_REQUEST {
            return Err(BadRequest);
        }
        self.bytes.extend_from_slice(part);
        match end {
            None => Ok(None),
            Some(_) => String::from_utf8(std::mem::take(&mut self.bytes)).map(Some).map_err(|_| BadRequest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_in_pieces_and_its_bound() {
        let mut line = RequestLine::default();
        assert_eq!(line.push(b"sta"), Ok(None));
        assert_eq!(line.push(b"tus\nignored"), Ok(Some("status".to_owned())));
        assert_eq!(RequestLine::default().push(&[b'x'; 255]), Ok(None));
        assert_eq!(RequestLine::default().push(&[b'x'; 256]), Err(BadRequest));
        assert_eq!(RequestLine::default().push(b"\xff\n"), Err(BadRequest));
    }

    #[test]
    fn a_dead_socket_is_replaced_a_living_one_is_not() {
        let path = std::env::temp_dir().join(format!("standfast-control-{}", std::process::id()));
        let first = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(ControlError::InUse(_))));
        drop(first);
        let second = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop(second);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "text").unwrap();
        assert!(matches!(bind(&path), Err(ControlError::NotASocket { .. })));
        fs::remove_file(&path).unwrap();
    }
}
