//! The libraries with which applications speak to MySQL: two of Python in an environment of their own, one of Node.js. And
//! Ansible, whose ProxySQL modules speak to the admin interface through one of them.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cached, run};

/// PyMySQL needs `cryptography` for RSA; versions are fixed so that a new release is a change of this line, not a surprise.
const PYTHON: [&str; 3] = ["PyMySQL==1.2.4", "cryptography==50.0.2", "mysql-connector-python==26.10.0"];
/// The last with which Debian 12's Python is served; community.proxysql 1.7.0 is in it.
const ANSIBLE: [&str; 2] = ["ansible==12.3.0", "PyMySQL==1.2.4"];
const NODE: &str = "mysql2@3.24.6";

/// Python with PyMySQL and mysql-connector-python.
pub(crate) fn python() -> Result<PathBuf> {
    Ok(cached("python", |directory| make_environment(directory, &PYTHON))?.join("bin/python3"))
}

/// Python with Ansible, its collections and PyMySQL: half a gigabyte.
pub(crate) fn ansible() -> Result<PathBuf> {
    Ok(cached("ansible", |directory| make_environment(directory, &ANSIBLE))?.join("bin/python3"))
}

/// A directory where Node.js finds mysql2.
pub(crate) fn node() -> Result<PathBuf> {
    cached("node", make_node)
}

/// A program in Go with Debian's go-sql-driver; built once for each text of it.
pub(crate) fn go(source: &str) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let build = |directory: &Path| {
        fs::write(directory.join("program.go"), source)?;
        let mut build = Command::new("go");
        build.args(["build", "-o", "program", "program.go"]).current_dir(directory);
        build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
        build.env("GOCACHE", directory.join("cache"));
        run(&mut build, "apt-get install -y golang-go golang-github-go-sql-driver-mysql-dev")?;
        fs::remove_dir_all(directory.join("cache")).context("remove what Go has built on the way")
    };
    Ok(cached(&format!("go-{:x}", hasher.finish()), build)?.join("program"))
}

fn make_environment(directory: &Path, packages: &[&str]) -> Result<()> {
    let hint = "a Python environment is needed: apt-get install -y python3 python3-venv";
    run(Command::new("python3").args(["-m", "venv"]).arg(directory), hint)?;
    let mut pip = Command::new(directory.join("bin/python3"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages);
    run(&mut pip, "pip needs the network, or an index in pip.conf").map(drop)
}

fn make_node(directory: &Path) -> Result<()> {
    let hint = "Node.js and the network are needed: apt-get install -y nodejs npm";
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(directory).arg(NODE);
    run(&mut npm, hint).map(drop)
}
