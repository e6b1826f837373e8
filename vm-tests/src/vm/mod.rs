//! `standfast-lab vm`: three real machines, emulated, with Debian's kernel and systemd and the built package installed by apt.
//!
//! Namespaces prove the logic; only machines prove the package, the units, the kernel's ARP, a pulled cable and a frozen host.

mod adverts;
mod database;
mod drills;
mod hand;
mod idle;
mod image;
mod kernel;
mod machine;
mod newcomer;
mod product;
mod qmp;
mod report;
mod short;
mod stage;
mod suite;
mod table;
mod trio;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::lab::teardown;
use image::{Image, Packages};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
    /// Where `packaging/build` left both revisions of the package; by default beside this program's directory.
    #[arg(long, global = true)]
    packages: Option<PathBuf>,
    /// Leave disks and logs behind.
    #[arg(long, global = true)]
    keep: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make the guest's image, if the cache does not have it
    Image,
    /// The short test: boot three, install, serve, kill the proxy, cut a host's power
    Short,
    /// Walk docs/install.md in three fresh machines, and say how long each step took
    Newcomer,
    /// vrrpd's tests of interfaces on Debian's kernel, which has what this machine's may lack: IPVS, VLANs, bonds
    Kernel(kernel::Options),
    /// A hundred thousand clients that only stay: more than a process of this machine may hold
    Idle(idle::Options),
    /// All drills, with a report page
    Drills(suite::Options),
    /// The table of BENCHMARKS.md from what drills left behind
    Table(table::Options),
}

/// True if everything held.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let _guard = teardown::Guard::new(options.keep)?;
    let packages = || options.packages();
    match &options.what {
        What::Image => image().map(|_| true),
        What::Short => short::run(&image()?, &packages()?),
        What::Kernel(options) => kernel::run(&image()?, options),
        What::Newcomer => newcomer::run(&image()?, &packages()?),
        What::Idle(idle) => idle::run(&image()?, &packages()?, idle),
        What::Drills(suite) => suite::run(&image()?, &packages()?, suite),
        What::Table(table) => table::run(table),
    }
}

/// The guest's image, once this machine has what a guest needs.
fn image() -> Result<Image> {
    machine::require()?;
    database::require()?;
    let began = Instant::now();
    let image = Image::get()?;
    println!("image {} ready after {:.0} s", image.key, began.elapsed().as_secs_f64());
    Ok(image)
}

impl Options {
    fn packages(&self) -> Result<Packages> {
        let beside = || -> Result<PathBuf> {
            let own = std::env::current_exe()?;
            let target =
                own.parent().and_then(|directory| directory.parent()).context("no target directory")?;
            Ok(target.join("packages"))
        };
        Packages::find(&self.packages.clone().map_or_else(beside, Ok)?)
    }
}
