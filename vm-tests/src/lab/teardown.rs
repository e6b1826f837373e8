//! The end of a lab: its processes, namespaces and files, whether it ends by itself, by Ctrl-C, or long after it was killed.
//!
//! Everything a lab makes carries its pid in its name (`sf<pid>-`), so the next one can tell what nobody owns any more.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use super::netns::{self, NETNS_DIR};
use super::process;

static ENDING: AtomicBool = AtomicBool::new(false);

/// `sf<pid>-`
pub(crate) fn prefix() -> String {
    format!("sf{}-", std::process::id())
}

/// This lab's files: short, because the paths of unix sockets end after 107 bytes.
pub(crate) fn directory() -> PathBuf {
    std::env::temp_dir().join(format!("sf{}-lab", std::process::id()))
}

/// True once the lab comes down: supervisors start nothing any more.
pub(crate) fn ending() -> bool {
    ENDING.load(Ordering::Relaxed)
}

/// Holds the lab; dropping it takes everything down.
#[derive(Debug)]
pub(crate) struct Guard {
    keep_files: bool,
}

impl Guard {
    /// `keep_files`: logs and databases stay, for somebody who wants to read them.
    pub(crate) fn new(keep_files: bool) -> std::io::Result<Self> {
        fs::create_dir_all(directory())?;
        Ok(Self { keep_files })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        ENDING.store(true, Ordering::Relaxed);
        remove(&prefix());
        if !self.keep_files {
            // Left-over files of a lab in the temporary directory hurt nobody.
            let _ = fs::remove_dir_all(directory());
        }
    }
}

/// Takes SIGINT, SIGTERM and SIGHUP for the whole process: clean up, then exit as the signal would have. Call before any thread exists.
pub(crate) fn on_signals() -> anyhow::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        if let Ok(signal) = signals.wait() {
            eprintln!("\n{signal}: taking the lab down");
            drop(Guard { keep_files: false });
            std::process::exit(128 + signal as i32);
        }
    })?;
    Ok(())
}

/// Removes what this process built before, so that it can build a lab anew.
pub(crate) fn clear() -> std::io::Result<()> {
    remove(&prefix());
    // Absent before the first lab.
    let _ = fs::remove_dir_all(directory());
    fs::create_dir_all(directory())
}

/// Removes what labs left whose process is gone.
pub(crate) fn remove_stale() {
    let mut prefixes: Vec<String> = names(Path::new(NETNS_DIR))
        .into_iter()
        .chain(names(&std::env::temp_dir()))
        .filter_map(|n| stale(&n))
        .collect();
    prefixes.sort();
    prefixes.dedup();
    for prefix in prefixes {
        remove(&prefix);
        let _ = fs::remove_dir_all(std::env::temp_dir().join(format!("{prefix}lab")));
    }
}

/// `sf<pid>-` of a name, if that pid is dead.
fn stale(name: &str) -> Option<String> {
    let digits = name.strip_prefix("sf")?.split_once('-')?.0;
    let pid: u32 = digits.parse().ok()?;
    (!Path::new(&format!("/proc/{pid}")).exists()).then(|| format!("sf{pid}-"))
}

/// Kills what runs inside the namespaces of a prefix, then removes them.
fn remove(prefix: &str) {
    let namespaces: Vec<String> =
        names(Path::new(NETNS_DIR)).into_iter().filter(|name| name.starts_with(prefix)).collect();
    for _ in 0..50 {
        let alive: Vec<_> =
            namespaces.iter().filter_map(|n| netns::inode_of(n)).flat_map(process::inside).collect();
        if alive.is_empty() {
            break;
        }
        alive.iter().for_each(|p| process::signal(p.pid, Signal::SIGKILL));
        std::thread::sleep(Duration::from_millis(20));
    }
    for name in namespaces {
        if let Err(error) = netns::ip(&["netns", "delete", &name]) {
            eprintln!("{error:#}");
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::stale;

    #[test]
    fn only_names_of_dead_labs_are_stale() {
        assert_eq!(stale("sf4000000000-client").as_deref(), Some("sf4000000000-"));
        assert_eq!(stale(&format!("sf{}-client", std::process::id())), None);
        assert_eq!(stale("sfx-client"), None);
        assert_eq!(stale("other"), None);
    }
}
