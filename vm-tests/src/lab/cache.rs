//! What takes long to make and is the same every time: directories in a cache, made once, whole or not at all.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Where the cache is when `STANDFAST_CACHE` does not say.
const CACHE: &str = "/var/cache/standfast-test";

/// A cached directory. As long as it is held nobody removes it.
#[derive(Debug)]
pub(crate) struct Held {
    pub path: PathBuf,
    _lock: File,
}

/// The cache's directory.
pub(crate) fn directory() -> Result<PathBuf> {
    let directory = std::env::var_os("STANDFAST_CACHE").map_or_else(|| CACHE.into(), PathBuf::from);
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    Ok(directory.canonicalize()?)
}

/// The cached directory of this name. Made once: beside it first, and moved to its place only when it is whole, so that
/// what is there can be used.
pub(crate) fn hold(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<Held> {
    let cache = directory()?;
    let path = cache.join(name);
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    // What is there is shared. What is not: of two labs that start together one makes it, the other waits. The lock goes with
    // the file.
    lock.lock_shared()?;
    if path.exists() {
        return Ok(Held { path, _lock: lock });
    }
    lock.lock()?;
    if !path.exists() {
        let parts = cache.join(format!("{name}.new"));
        if parts.exists() {
            fs::remove_dir_all(&parts).with_context(|| format!("remove {}", parts.display()))?;
        }
        fs::create_dir_all(&parts)?;
        make(&parts)?;
        fs::rename(&parts, &path)?;
    }
    // From an exclusive lock to a shared one: in one step, where the kernel can.
    lock.lock_shared()?;
    ensure!(path.exists(), "{} was removed by somebody else just now", path.display());
    Ok(Held { path, _lock: lock })
}

/// Removes the cached directories whose names begin so, but for this one and those that somebody holds.
pub(crate) fn remove_others(prefix: &str, keep: &str) -> Result<()> {
    let cache = directory()?;
    for entry in fs::read_dir(&cache)?.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let other = name.starts_with(prefix) && name != keep && entry.path().is_dir();
        if !other || name.ends_with(".new") {
            continue;
        }
        let lock = cache.join(format!("{name}.lock"));
        if File::create(&lock)?.try_lock().is_ok() {
            fs::remove_dir_all(entry.path())?;
            fs::remove_file(lock)?;
        }
    }
    Ok(())
}

/// Runs a program to its end; the last lines of what it said are the error.
pub(crate) fn run(command: &mut Command, hint: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("run {name}: {hint}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{name} failed ({hint}):\n{}",
        tail(&(text(&output.stdout) + &text(&output.stderr)), 8)
    );
    Ok(text(&output.stdout))
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
