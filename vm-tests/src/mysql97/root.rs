//! A root directory of Debian sid with MySQL's server and client in it, made by debootstrap from this machine's own mirror.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::{cached, run};

/// The major version that sid has to have for these checks to mean what they say.
const VERSION: &str = "Ver 9.";

/// The root, and how to run what is in it.
#[derive(Debug, Clone)]
pub(crate) struct SidRoot {
    directory: PathBuf,
}

impl SidRoot {
    /// The cached one, or a new one: a minute and 200 MB of packages.
    pub(crate) fn get() -> Result<Self> {
        Self::with("sid-mysql", "mysql-server,mysql-client", |root| root.says("usr/sbin/mysqld", VERSION))
    }

    /// A root with MySQL Router instead.
    pub(crate) fn with_router() -> Result<Self> {
        Self::with("sid-router", "mysql-router", |root| root.says("usr/bin/mysqlrouter", VERSION))
    }

    /// A root with keepalived instead.
    pub(crate) fn with_keepalived() -> Result<Self> {
        Self::with("sid-keepalived", "keepalived", |root| root.holds("keepalived", "1:2.3"))
    }

    /// The words that start its keepalived, which insists on a file of its own below /etc: it gets a view of the file system in
    /// which that is the root's.
    pub(crate) fn keepalived(&self) -> Result<Vec<String>> {
        let view = "mount --bind \"$0\" /etc/keepalived && exec \"$@\"";
        let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", view];
        let own = self.path("etc/keepalived").display().to_string();
        let program = self.program("usr/sbin/keepalived")?;
        Ok(words.map(String::from).into_iter().chain([own]).chain(program).collect())
    }

    /// Whether a program tells this version.
    fn says(&self, program: &str, version: &str) -> Result<()> {
        let told = run(self.command(program)?.arg("--version"), "a program of the new root")?;
        ensure!(told.contains(version), "Debian sid has another version now, not {version}: {}", told.trim());
        Ok(())
    }

    /// Whether a package of this version is there.
    fn holds(&self, package: &str, version: &str) -> Result<()> {
        let status =
            fs::read_to_string(self.path("var/lib/dpkg/status")).context("the packages of the root")?;
        let entry = status.split("\n\n").find(|it| it.starts_with(&format!("Package: {package}\n")));
        let found = entry.and_then(|it| it.lines().find_map(|line| line.strip_prefix("Version: ")));
        let found = found.with_context(|| format!("{package} is not in the root"))?;
        ensure!(found.starts_with(version), "Debian sid has {package} {found} now, not {version}");
        Ok(())
    }

    fn with(name: &str, packages: &str, proof: fn(&SidRoot) -> Result<()>) -> Result<Self> {
        let directory = cached(name, |directory| make(directory, packages, proof))?;
        Ok(Self { directory })
    }

    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.directory.join(inside)
    }

    /// The words before a program's own arguments. This machine's C library is older than sid's, so sid's loader starts
    /// it, with sid's libraries; paths and pid are those of this machine.
    pub(crate) fn program(&self, inside: &str) -> Result<Vec<String>> {
        let (loader, libraries) = match std::env::consts::ARCH {
            "x86_64" => ("lib64/ld-linux-x86-64.so.2", "usr/lib/x86_64-linux-gnu"),
            "aarch64" => ("lib/ld-linux-aarch64.so.1", "usr/lib/aarch64-linux-gnu"),
            other => bail!("no MySQL 9.7 for {other}"),
        };
        let libraries = self.path(libraries);
        // Where Router keeps its own; a root without it has none there.
        let own = self.path("usr/lib/mysql-router");
        let search = format!("{}:{}", libraries.display(), own.display());
        let words = [self.path(loader).display().to_string(), "--library-path".into(), search];
        Ok(words.into_iter().chain([self.path(inside).display().to_string()]).collect())
    }

    /// A program of the root as a command.
    pub(crate) fn command(&self, inside: &str) -> Result<Command> {
        let words = self.program(inside)?;
        let (loader, rest) = words.split_first().context("no loader")?;
        let mut command = Command::new(loader);
        command.args(rest);
        Ok(command)
    }
}

fn make(directory: &Path, packages: &str, proof: fn(&SidRoot) -> Result<()>) -> Result<()> {
    require_debootstrap()?;
    let mirror = mirror()?;
    // In namespaces of its own, and not longer than this lab: whatever debootstrap mounts and starts is gone with it.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid"]);
    command.args(["--fork", "--kill-child", "debootstrap", "--variant=minbase"]);
    command.arg(format!("--include={packages}")).arg("sid").arg(directory).arg(&mirror);
    run(&mut command, "making a root of Debian sid needs root and this machine's Debian mirror")?;
    let root = SidRoot { directory: directory.into() };
    proof(&root)?;
    fs::remove_dir_all(root.path("var/cache/apt/archives")).context("remove the packages")
}

fn require_debootstrap() -> Result<()> {
    let found = Command::new("debootstrap").arg("--version").stdout(Stdio::null()).status();
    if found.is_ok() {
        return Ok(());
    }
    let mut install = Command::new("apt-get");
    install.args([
        "-o",
        "DPkg::Lock::Timeout=300",
        "install",
        "-y",
        "--no-install-recommends",
        "debootstrap",
    ]);
    run(&mut install, "debootstrap is missing: apt-get update && apt-get install -y debootstrap").map(drop)
}

/// The Debian mirror that this machine itself uses.
fn mirror() -> Result<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(REPO_URI) $(RELEASE)"]);
    let listed = run(&mut targets, "asking apt for its mirror needs a Debian machine")?;
    main_archive(&listed).context("apt on this machine has no Debian mirror: see /etc/apt/sources.list")
}

/// Updates, security and backports have a dash in their names and may live elsewhere.
fn main_archive(listed: &str) -> Option<String> {
    let mut archives = listed.lines().filter_map(|line| line.split_once(' '));
    archives.find(|(_, release)| !release.contains('-')).map(|(mirror, _)| mirror.to_owned())
}

#[cfg(test)]
mod tests {
    use super::main_archive;

    #[test]
    fn the_mirror_is_that_of_the_release_itself() {
        let listed = "http://s/debian-security/ stable-security\nhttp://m/debian/ stable\nhttp://m/debian/ stable-updates\n";
        assert_eq!(main_archive(listed).as_deref(), Some("http://m/debian/"));
        assert_eq!(main_archive("http://s/x stable-security\n"), None);
        assert_eq!(main_archive(""), None);
    }
}
