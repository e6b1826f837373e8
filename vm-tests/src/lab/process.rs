//! Processes as `/proc` shows them: who runs inside a namespace, and who is whose child.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A live or dead (zombie) process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub pid: i32,
    pub parent: i32,
    /// The first 15 bytes of its program's name.
    pub comm: String,
    pub zombie: bool,
}

/// All processes of the machine.
pub(crate) fn all() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(read).collect()
}

/// Live processes whose network namespace has this inode.
pub(crate) fn inside(netns_inode: u64) -> Vec<Process> {
    let belongs = |p: &Process| {
        fs::metadata(format!("/proc/{}/ns/net", p.pid)).is_ok_and(|meta| meta.ino() == netns_inode)
    };
    all().into_iter().filter(|p| !p.zombie && belongs(p)).collect()
}

/// Sends a signal. A process that is gone already is what every caller wanted or will notice.
pub(crate) fn signal(pid: i32, signal: Signal) {
    let _ = kill(Pid::from_raw(pid), signal);
}

fn read(pid: i32) -> Option<Process> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (comm) state ppid …`; the name may contain anything, so the last parenthesis counts.
fn parse_stat(stat: &str) -> Option<Process> {
    let (pid, rest) = stat.split_once(" (")?;
    let (comm, rest) = rest.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let zombie = matches!(fields.next()?, "Z" | "X");
    Some(Process { pid: pid.parse().ok()?, parent: fields.next()?.parse().ok()?, comm: comm.into(), zombie })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_is_one_name() {
        let process = parse_stat("12 (a) b) Z 7 12 12 0").expect("stat");
        assert_eq!(process, Process { pid: 12, parent: 7, comm: "a) b".into(), zombie: true });
    }

    #[test]
    fn this_process_is_among_all() {
        let own = i32::try_from(std::process::id()).expect("pid");
        assert!(all().iter().any(|p| p.pid == own && !p.zombie));
    }
}
