//! A proxyd alone, without angel and vrrpd: it binds its listeners itself. For benches of what a proxy does with a statement.

use std::fmt::Display;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::child::{self, Owned};
use super::netns::Netns;

/// What the host is called in every such configuration.
pub(crate) const HOST: &str = "test1";

/// Where it takes clients and administrators.
#[derive(Debug, Clone)]
pub(crate) struct Listeners {
    pub mysql: Vec<String>,
    pub admin: Vec<String>,
}

impl Listeners {
    /// At the usual ports of an address.
    pub(crate) fn at(address: Ipv4Addr) -> Self {
        Self { mysql: vec![format!("{address}:6033")], admin: vec![format!("{address}:6032")] }
    }
}

/// The begin of every such configuration; `settings` are more lines of `[proxy]`. What follows are sections.
pub(crate) fn head(listeners: &Listeners, settings: impl Display, directory: &Path) -> String {
    format!(
        "[[hosts]]\nname = \"{HOST}\"\naddress = \"127.0.0.1\"\n\
         [proxy]\nmysql_listen = {:?}\nadmin_listen = {:?}\n{settings}\n\
         [paths]\nrun_dir = {:?}\ndata_dir = {:?}\n\
         [admin_variables]\nadmin_credentials = \"admin:admin\"\n",
        listeners.mysql,
        listeners.admin,
        directory.join("run"),
        directory.join("data"),
    )
}

/// Makes its directories and writes its configuration there; gives the file.
pub(crate) fn lay_out(directory: &Path, configuration: &str) -> Result<PathBuf> {
    for name in ["run", "data"] {
        let path = directory.join(name);
        fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
    }
    let file = directory.join("standfast.toml");
    fs::write(&file, configuration).with_context(|| file.display().to_string())?;
    Ok(file)
}

/// One that runs inside a namespace. It dies with this value.
#[derive(Debug)]
pub(crate) struct Proxyd {
    process: Owned,
    program: PathBuf,
    netns: Netns,
    directory: PathBuf,
}

impl Proxyd {
    /// Does not wait until it serves.
    pub(crate) fn start(
        binaries: &Path,
        netns: &Netns,
        directory: &Path,
        configuration: &str,
    ) -> Result<Self> {
        let program = child::built(binaries, "standfast-proxyd")?;
        lay_out(directory, configuration)?;
        let process = spawn(&program, netns, directory)?;
        Ok(Self { process, program, netns: netns.clone(), directory: directory.into() })
    }

    /// Killed, and another one in its place.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = spawn(&self.program, &self.netns, &self.directory)?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// What it has said, for the context of an error.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.directory.join(LOG)).unwrap_or_default()
    }
}

const LOG: &str = "proxy.log";

fn spawn(program: &Path, netns: &Netns, directory: &Path) -> Result<Owned> {
    let mut command = child::inside(netns, program)?;
    command.arg("--config").arg(directory.join("standfast.toml")).args(["--host", HOST]);
    Owned::spawn(command, &directory.join(LOG))
}
