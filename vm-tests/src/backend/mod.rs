//! Database servers for the lab: an embedded one that speaks MySQL over SQLite, and real MariaDB from the distribution.
//!
//! The embedded server exists so that the demo needs nothing else installed. It understands the statements that the
//! demo, the proxy's monitors and a curious person at a `mariadb` prompt send; it is no database for anything else.

mod context;
mod functions;
pub(crate) mod mariadb;
pub(crate) mod server;
mod session;
mod sql;
mod table;
mod token;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

/// How to start one embedded backend (`standfast-lab backend`).
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Address and port to listen on.
    #[arg(long)]
    pub listen: SocketAddr,
    /// The SQLite file; backends that share it are one cluster.
    #[arg(long)]
    pub db: PathBuf,
    /// What `@@hostname` says.
    #[arg(long)]
    pub hostname: String,
    /// Accounts that may log in.
    #[arg(long = "user", value_name = "NAME:PASSWORD", default_values = ["load_RW:test", "monitor:monitor", "root:"])]
    pub users: Vec<String>,
    /// Start with `@@read_only` = 1: writes are refused.
    #[arg(long)]
    pub read_only: bool,
}
