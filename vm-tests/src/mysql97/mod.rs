//! MySQL 9.7 from Debian sid on whatever Debian this machine is: made once into a cache, run with its own dynamic loader.
//!
//! Owns the cache, the server and the connectors' libraries. Knows nothing of the proxy.

pub(crate) mod connectors;
pub(crate) mod group;
pub(crate) mod root;
pub(crate) mod server;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Where the cache is when `STANDFAST_CACHE` does not say.
const CACHE: &str = "/var/cache/standfast-test";

/// The cache's directory.
fn cache() -> Result<PathBuf> {
    let directory = std::env::var_os("STANDFAST_CACHE").map_or_else(|| CACHE.into(), PathBuf::from);
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    Ok(directory.canonicalize()?)
}

/// The cached directory of this name. Made once: beside it first, and moved to its place only when it is whole, so that
/// what is there can be used.
fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache()?;
    // Two labs that start together: one makes it, the other waits. The lock goes with the file.
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock()?;
    let place = cache.join(name);
    if place.exists() {
        return Ok(place);
    }
    let parts = cache.join(format!("{name}.new"));
    if parts.exists() {
        fs::remove_dir_all(&parts).with_context(|| format!("remove {}", parts.display()))?;
    }
    fs::create_dir_all(&parts)?;
    make(&parts)?;
    fs::rename(&parts, &place)?;
    Ok(place)
}

/// Runs a program to its end; the last lines of what it said are the error.
fn run(command: &mut Command, hint: &str) -> Result<String> {
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

fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
