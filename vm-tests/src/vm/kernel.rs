//! vrrpd's own tests of interfaces in one guest: Debian's kernel has what the machine's own may lack, IPVS, VLANs and bonds.
//!
//! The programs are those that `cargo test -p vrrpd --test lan` built beside this one; inside they are at the same place, where
//! the test looks for vrrpd.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use super::image::Image;
use super::machine::{Identity, Machine};
use crate::lab::net::Network;
use crate::lab::teardown;

/// Milliseconds between adverts: several hosts share one emulated processor.
const SLOWLY: u32 = 1000;
/// An emulated machine beside other work needs minutes for what takes seconds.
const PATIENCE: Duration = Duration::from_secs(900);

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Parts of the tests' names; by default those that need something of the kernel
    #[arg(default_values = ["balanced_vip", "former_owner", "vlan_and_a_bond", "mac_address", "routes_and_rules", "not_accepted"])]
    tests: Vec<String>,
}

/// True if they passed.
pub(super) fn run(image: &Image, options: &Options) -> Result<bool> {
    let directory = std::env::current_exe()?.parent().context("this program has no directory")?.to_owned();
    let (vrrpd, tests) = (directory.join("standfast-vrrpd"), newest(&directory.join("deps"), "lan-")?);
    let network = Network::build(&[])?;
    let identity = Identity {
        name: "kernel".into(),
        mac: "52:54:00:5f:00:fd".into(),
        addresses: vec!["192.168.0.249/24".into()],
    };
    let (tap, scratch) = (network.tap("kernel")?, teardown::directory().join("kernel"));
    let mut guest = Machine::new(identity, network.switch(), &tap, image, &image.disk(), &scratch)?;
    guest.put_offline(&vrrpd, "/root/vrrpd")?;
    guest.put_offline(&tests, "/root/lan")?;
    guest.power_on()?;
    guest.wait_until_up()?;
    let script = format!(
        "mkdir -p {} && mv /root/vrrpd {} && chmod +x {} /root/lan && modprobe -a ip_vs ip_vs_wlc && \
         (VRRPD_ADVERT_MS={SLOWLY} /root/lan --nocapture --test-threads=1 {} 2>&1; echo \"status $?\")",
        directory.display(),
        vrrpd.display(),
        vrrpd.display(),
        options.tests.join(" "),
    );
    let said = guest.begin(&script)?.wait(PATIENCE)?.text;
    println!("{said}");
    Ok(said.lines().last() == Some("status 0") && !said.contains("skipped"))
}

/// The last that was built.
fn newest(directory: &Path, prefix: &str) -> Result<PathBuf> {
    let built =
        |path: &Path| fs::metadata(path).and_then(|it| it.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let entries = fs::read_dir(directory).with_context(|| format!("read {}", directory.display()))?;
    let named = |path: &PathBuf| {
        path.extension().is_none()
            && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    let found = entries.flatten().map(|it| it.path()).filter(named).max_by_key(|path| built(path));
    found.with_context(|| {
        format!("no {prefix}* in {}: cargo test -p vrrpd --test lan --no-run", directory.display())
    })
}
