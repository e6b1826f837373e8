//! The guest's image and the saved state with the package installed: made once for what goes into them, kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::machine::{self, Identity, Machine};
use crate::lab::cache::{self, Held};
use crate::lab::net::Network;

/// The recipe, and what it puts into the guest.
const RECIPE: [(&str, &str); 5] = [
    ("build-image", include_str!("guest/build-image")),
    ("init", include_str!("guest/init")),
    ("lab-net", include_str!("guest/lab-net")),
    ("lab-net.service", include_str!("guest/lab-net.service")),
    ("lab-agent.service", include_str!("guest/lab-agent.service")),
];
const IMAGES: &str = "vm-image-";
const STATES: &str = "vm-state-";

/// A Debian without the product: disk, kernel, initramfs.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub directory: PathBuf,
    pub key: String,
    _held: Arc<Held>,
}

impl Image {
    /// The cached one, or a new one: half a minute with packages from this machine's mirror.
    pub(crate) fn get() -> Result<Self> {
        let agent = std::env::current_exe()?.with_file_name("lab-agent");
        ensure!(agent.exists(), "{} is not built: cargo build -p vm-tests", agent.display());
        let mut sum = Sha256::new();
        RECIPE.iter().for_each(|(_, text)| sum.update(text));
        // By its source: each build of it has bytes of its own.
        sum.update(include_str!("guest/agent.rs"));
        let key = short(&sum.finalize());
        let name = format!("{IMAGES}{key}");
        let held = cache::hold(&name, |place| make_image(place, &agent))?;
        cache::remove_others(IMAGES, &name)?;
        Ok(Self { directory: held.path.clone(), key, _held: Arc::new(held) })
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.join("disk.img")
    }
}

fn make_image(place: &Path, agent: &Path) -> Result<()> {
    println!("making the guest's image from this machine's Debian mirror");
    let recipe = place.join("recipe");
    fs::create_dir_all(&recipe)?;
    for (name, text) in RECIPE {
        fs::write(recipe.join(name), text)?;
    }
    let mut build = Command::new("bash");
    build.arg(recipe.join("build-image")).arg(place).arg(agent);
    cache::run(&mut build, "the guest's image needs root and this machine's Debian mirror")?;
    fs::remove_dir_all(recipe).context("remove the recipe")
}

/// Both revisions of the package: the one that is installed, and the one that is upgraded to.
#[derive(Debug, Clone)]
pub(crate) struct Packages {
    pub old: PathBuf,
    pub new: PathBuf,
}

impl Packages {
    /// What `packaging/build --revision 1` and `--revision 2` left in a directory.
    pub(crate) fn find(directory: &Path) -> Result<Self> {
        let revision = |number: u8| {
            let mut found: Vec<PathBuf> = fs::read_dir(directory)
                .with_context(|| format!("read {}", directory.display()))?
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| is_package(path, number))
                .collect();
            found.sort();
            found.pop().with_context(|| {
                format!(
                    "no standfast_*-{number}_*.deb in {}: packaging/build --revision {number}",
                    directory.display()
                )
            })
        };
        Ok(Self { old: revision(1)?, new: revision(2)? })
    }

    fn key(&self, image: &Image) -> Result<String> {
        let mut sum = Sha256::new();
        sum.update(&image.key);
        // A saved state fits only the emulator and the devices that it was saved with.
        sum.update(machine::version()?);
        sum.update(include_str!("machine.rs"));
        sum.update(include_str!("image.rs"));
        sum.update(fs::read(&self.old)?);
        sum.update(fs::read(&self.new)?);
        Ok(short(&sum.finalize()))
    }
}

fn is_package(path: &Path, revision: u8) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("standfast_") && name.ends_with(".deb") && name.contains(&format!("-{revision}_"))
}

/// A guest that was booted, had the package installed by apt, and was saved in the middle of its life: three of them are there in seconds.
#[derive(Debug, Clone)]
pub(crate) struct Pristine {
    pub image: Image,
    held: Arc<Held>,
}

impl Pristine {
    /// `tap` is a free port of the network's switch.
    pub(crate) fn get(image: &Image, packages: &Packages, network: &Network, tap: &str) -> Result<Self> {
        let name = format!("{STATES}{}", packages.key(image)?);
        let held = cache::hold(&name, |place| save_state(place, image, packages, network, tap))?;
        cache::remove_others(STATES, &name)?;
        Ok(Self { image: image.clone(), held: Arc::new(held) })
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.held.path.join("state")
    }

    pub(crate) fn disk(&self) -> PathBuf {
        self.held.path.join("disk.img")
    }
}

fn save_state(place: &Path, image: &Image, packages: &Packages, network: &Network, tap: &str) -> Result<()> {
    let began = Instant::now();
    let identity = Identity {
        name: "pristine".into(),
        mac: "52:54:00:5f:00:fe".into(),
        addresses: vec!["192.168.0.250/24".into()],
    };
    let scratch = place.join("scratch");
    let mut guest = Machine::new(identity, network.switch(), tap, image, &image.disk(), &scratch)?;
    guest.put_offline(&packages.old, "/root/old.deb")?;
    guest.put_offline(&packages.new, "/root/new.deb")?;
    guest.power_on()?;
    guest.wait_until_up()?;
    println!("a guest booted in {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    guest.run("DEBIAN_FRONTEND=noninteractive apt-get install -y -q /root/old.deb")?;
    println!("the package was installed in {:.0} s", began.elapsed().as_secs_f64());
    guest.run("sync; echo 3 >/proc/sys/vm/drop_caches")?;
    guest.save(&place.join("state"))?;
    let disk = guest.disk();
    guest.power_off()?;
    fs::rename(disk, place.join("disk.img"))?;
    drop(guest);
    fs::remove_dir_all(scratch).context("remove the scratch directory")
}

fn short(sum: &[u8]) -> String {
    sum.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_known_by_its_revision() {
        assert!(is_package(Path::new("/x/standfast_0.1.0-1_amd64.deb"), 1));
        assert!(!is_package(Path::new("/x/standfast_0.1.0-1_amd64.deb"), 2));
        assert!(!is_package(Path::new("/x/standfast-0.1.0-1.x86_64.rpm"), 1));
    }
}
