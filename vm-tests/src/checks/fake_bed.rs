//! One proxyd before servers that are played, in a namespace of its own, and people at their prompts beside it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::shell;
use crate::fake::{Fake, Script};
use crate::lab::netns::Netns;
use crate::lab::proxyd::{self, Listeners, Proxyd};
use crate::lab::{teardown, wait};

/// Where the proxy listens.
pub(super) const PROXY: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Nothing that is waited for takes longer, on a busy machine neither.
pub(super) const LIMIT: Duration = Duration::from_secs(60);

pub(super) struct FakeBed {
    netns: Netns,
    directory: PathBuf,
    pub(super) proxy: Proxyd,
    _fake: Fake,
}

impl FakeBed {
    /// Servers at these addresses, and a proxy with these tables behind the usual head of a configuration; its admin interface
    /// answers.
    pub(super) fn start(
        name: &str,
        binaries: &Path,
        addresses: &[SocketAddr],
        script: Arc<Script>,
        tables: &str,
    ) -> Result<Self> {
        teardown::clear()?;
        let netns = Netns::create(&format!("{}{name}", teardown::prefix()))?;
        let directory = teardown::directory().join(name);
        fs::create_dir_all(&directory)?;
        for address in addresses.iter().filter(|address| !address.ip().is_loopback()) {
            netns.ip(&["address", "add", &format!("{}/32", address.ip()), "dev", "lo"])?;
        }
        let fake = Fake::start(Some(&netns), addresses, script)?;
        let text = proxyd::head(&Listeners::at(PROXY), "", &directory) + tables;
        let proxy = Proxyd::start(binaries, &netns, &directory, &text)?;
        let bed = Self { netns, directory, proxy, _fake: fake };
        wait::until("the proxy", LIMIT, || bed.admin("SELECT 1").is_ok()).with_context(|| bed.proxy.log())?;
        Ok(bed)
    }

    /// What the proxy answers to an account, given as options of the client: `-uapp -papp`.
    pub(super) fn client(&self, account: &str, sql: &str) -> Result<String> {
        self.mariadb(6033, account, sql)
    }

    pub(super) fn admin(&self, sql: &str) -> Result<String> {
        self.mariadb(6032, "-uadmin -padmin", sql)
    }

    fn mariadb(&self, port: u16, account: &str, sql: &str) -> Result<String> {
        let options = format!("--skip-ssl -h {PROXY} -P {port} {account}");
        shell::mariadb(&self.netns, &self.directory.join("shell"), &options, sql, LIMIT)
    }
}
