//! The part of systemd that the angel needs: a notify socket and an fd store that outlives the angel.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::libc;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

pub(crate) struct Store {
    socket: UnixDatagram,
    pub(crate) path: PathBuf,
    pub(crate) kept: Vec<(String, OwnedFd)>,
    /// Every line that is not about the store.
    pub(crate) said: Vec<String>,
}

impl Store {
    pub(crate) fn new(path: &Path) -> Store {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Store { socket, path: path.to_owned(), kept: Vec::new(), said: Vec::new() }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.kept.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Takes every message that has come.
    pub(crate) fn drain(&mut self) {
        let mut bytes = [0; 4096];
        loop {
            let mut space = nix::cmsg_space!([RawFd; 4]);
            let mut iov = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let Ok(message) = recvmsg::<()>(self.socket.as_raw_fd(), &mut iov, Some(&mut space), flags)
            else {
                return;
            };
            let mut fds = Vec::new();
            for control in message.cmsgs().unwrap() {
                if let ControlMessageOwned::ScmRights(received) = control {
                    // SAFETY: the kernel has just given them to us.
                    fds.extend(received.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                }
            }
            let length = message.bytes;
            self.take(&String::from_utf8_lossy(&bytes[..length]), fds);
        }
    }

    fn take(&mut self, message: &str, fds: Vec<OwnedFd>) {
        let name = message.lines().find_map(|line| line.strip_prefix("FDNAME=")).map(str::to_owned);
        for line in message.lines() {
            match (line, &name) {
                ("FDSTORE=1", Some(_)) | ("FDPOLL=0", _) => {}
                ("FDSTOREREMOVE=1", Some(name)) => self.kept.retain(|(kept, _)| kept != name),
                (line, _) if line.starts_with("FDNAME=") => {}
                (line, _) => self.said.push(line.to_owned()),
            }
        }
        if let Some(name) = name {
            assert!(!name.contains(':'), "{name}");
            self.kept.extend(fds.into_iter().map(|fd| (name.clone(), fd)));
        }
    }

    /// A command that runs `program` with what is kept, as sd_listen_fds(3) says.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh", program]).env("NOTIFY_SOCKET", &self.path);
        let names: Vec<&str> = self.kept.iter().map(|(name, _)| name.as_str()).collect();
        command.env("LISTEN_FDS", names.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
        let fds: Vec<RawFd> = self.kept.iter().map(|(_, fd)| fd.as_raw_fd()).collect();
        let place = move || {
            // First out of the way, then to their places.
            for (index, fd) in fds.iter().enumerate() {
                // SAFETY: plain system calls on numbers in the child.
                if unsafe { libc::dup2(*fd, 200 + index as RawFd) } < 0 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            for index in 0..fds.len() as RawFd {
                // SAFETY: as above.
                if unsafe { libc::dup2(200 + index, 3 + index) < 0 || libc::close(200 + index) < 0 } {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        };
        // SAFETY: the closure only makes system calls.
        unsafe { command.pre_exec(place) };
        command
    }
}
