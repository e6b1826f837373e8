//! The schema of `standfast.toml`, its validation, and the shipped layouts.
//!
//! The way of a file: [`File::parse`] reads the text into typed values and says everything that is wrong with it;
//! [`File::appliance`] resolves it for one host into an [`Appliance`], the only thing that daemons look at;
//! [`check_together`] compares the files of several hosts. A problem names file, line and key.
//!
//! This crate never acts on what it reads. Its only I/O is reading the file ([`File::load`]) and, since whoever loads
//! a file needs it, listing the machine's own addresses ([`local_addresses`]).

mod appliance;
mod file;
mod first_boot;
mod listen;
mod local;
mod problem;
pub mod proxysql_cnf;
mod reader;
mod resolve;
mod routing;
mod sections;
mod tables;
mod together;
mod variables;

use std::net::IpAddr;
use std::path::Path;

pub use appliance::*;
pub use file::File;
pub use listen::{Listen, ListenError};
pub use local::{interface_addresses, local_addresses};
pub use problem::{Problem, Problems};
pub use resolve::Identity;
pub use routing::{Net, Route, RouteKind, Rule};
pub use together::{Place, Report, ReportRow, check_together};

/// Where the daemons and the CLI look for the file unless told otherwise.
pub const DEFAULT_PATH: &str = "/etc/standfast/standfast.toml";

/// The file as the host `host` sees it or, without a name, as the host that has one of the `local` addresses.
pub fn load_for_host(
    path: impl AsRef<Path>,
    host: Option<&str>,
    local: &[IpAddr],
) -> Result<Appliance, Problems> {
    File::load(path)?.appliance(Identity { name: host, local })
}

/// As [`load_for_host`], with this machine's own addresses.
pub fn load(path: impl AsRef<Path>, host: Option<&str>) -> Result<Appliance, Problems> {
    load_for_host(path, host, &local_addresses())
}

#[cfg(test)]
mod tests;
