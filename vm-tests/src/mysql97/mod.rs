//! MySQL 9.7 from Debian sid on whatever Debian this machine is: made once into a cache, run with its own dynamic loader.
//!
//! Owns the cache, the server and the connectors' libraries. Knows nothing of the proxy.

pub(crate) mod connectors;
pub(crate) mod group;
mod node;
pub(crate) mod replicas;
pub(crate) mod root;
pub(crate) mod server;
mod servers;

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::lab::cache;
pub(crate) use crate::lab::cache::{run, tail};

/// The cached directory of this name, for as long as the cache is there: nothing removes what this module keeps.
fn cached(name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    Ok(cache::hold(name, make)?.path)
}
