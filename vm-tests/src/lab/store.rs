//! A unit's descriptor store: what it handed to the service manager to get back after a restart.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;

/// At most so many, as `FileDescriptorStoreMax=` would have it.
const MAX: usize = 512;

/// Named descriptors in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Store {
    entries: Vec<(String, OwnedFd)>,
}

impl Store {
    /// Keeps a descriptor, unless the same open file is here already (a restarted unit sends again what it got).
    pub(crate) fn add(&mut self, name: &str, fd: OwnedFd) {
        let known = self.entries.iter().any(|(_, kept)| same_file(kept, &fd));
        if !known && self.entries.len() < MAX {
            self.entries.push((name.to_owned(), fd));
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.entries.retain(|(kept, _)| kept != name);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Copies for a process that is about to start, and the value of `LISTEN_FDNAMES`.
    pub(crate) fn copies(&self) -> std::io::Result<(Vec<OwnedFd>, String)> {
        let fds = self.entries.iter().map(|(_, fd)| fd.try_clone()).collect::<Result<_, _>>()?;
        let names: Vec<&str> = self.entries.iter().map(|(name, _)| name.as_str()).collect();
        Ok((fds, names.join(":")))
    }
}

/// Whether two descriptors are the same open file description (kcmp(2), KCMP_FILE): what systemd asks.
fn same_file(a: &OwnedFd, b: &OwnedFd) -> bool {
    const KCMP_FILE: libc::c_long = 0;
    let pid = libc::c_long::from(std::process::id());
    // SAFETY: kcmp takes five integers and touches no memory of ours; both descriptors are open for the whole call.
    let answer = unsafe {
        libc::syscall(libc::SYS_kcmp, pid, pid, KCMP_FILE, i64::from(a.as_raw_fd()), i64::from(b.as_raw_fd()))
    };
    answer == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_file_is_kept_once_and_names_go_together() {
        let (a, b) = nix::unistd::pipe().expect("pipe");
        let mut store = Store::default();
        store.add("mysql", a.try_clone().expect("dup"));
        store.add("mysql", a);
        store.add("admin", b);
        assert_eq!(store.copies().expect("copies").1, "mysql:admin");
        store.remove("mysql");
        assert_eq!(store.copies().expect("copies").1, "admin");
    }
}
