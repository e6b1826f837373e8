//! Two MariaDB servers that know nothing of each other, one proxy before them, one namespace: the bench for what a proxy
//! does with a statement.
//!
//! Hostgroup 1 is the first server, hostgroup 2 the second. The proxy runs without angel: it binds its listeners itself.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::shell::{self, Output};
use crate::lab::child::{self, Owned};
use crate::lab::netns::Netns;
use crate::lab::proxyd::{self, Listeners, Proxyd};
use crate::lab::{teardown, wait};

/// The proxy's address; 6033 is for clients, 6032 for admin.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 33, 9);
/// The servers' addresses, in the order of their hostgroups.
const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 33, 1), Ipv4Addr::new(127, 0, 33, 2)];
/// A check that hangs is a failed one.
const LIMIT: Duration = Duration::from_secs(60);

const ACCOUNTS: &str = "
USE mysql;
FLUSH PRIVILEGES;
CREATE DATABASE test;
CREATE DATABASE other;
CREATE USER app@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('app');
CREATE USER second@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('second');
GRANT ALL ON test.* TO app@'%', second@'%';
GRANT ALL ON other.* TO app@'%', second@'%';
GRANT PROCESS, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO app@'%', second@'%';
CREATE USER monitor@'%' IDENTIFIED VIA mysql_native_password USING PASSWORD('monitor');
";

pub(super) const SMALL: &str = "
user=root
skip_name_resolve=ON
innodb_buffer_pool_size=16M
innodb_log_file_size=4M
innodb_log_buffer_size=2M
innodb_doublewrite=OFF
innodb_flush_log_at_trx_commit=0
innodb_use_native_aio=OFF
key_buffer_size=64K
aria_pagecache_buffer_size=1M
performance_schema=OFF
max_connections=200
log_bin=binlog
";

/// Servers, proxy, namespace. Everything in it dies with it.
#[derive(Debug)]
pub(crate) struct Pair {
    _servers: Vec<Owned>,
    proxy: Proxyd,
    netns: Netns,
    directory: PathBuf,
}

impl Pair {
    pub(crate) fn start(binaries: &Path, name: &str) -> Result<Self> {
        for (program, package) in [
            ("mariadb", "mariadb-client"),
            ("mariadbd", "mariadb-server"),
            ("mariadb-install-db", "mariadb-server"),
        ] {
            shell::require(program, package)?;
        }
        teardown::clear()?;
        teardown::remove_stale();
        let netns = Netns::create(&format!("{}{name}", teardown::prefix()))?;
        let directory = teardown::directory().join(name);
        fs::create_dir_all(&directory)?;
        let template = template(&directory)?;
        let mut servers = Vec::new();
        for (index, address) in SERVERS.iter().enumerate() {
            servers.push(start_server(
                &netns,
                &directory.join(format!("db{}", index + 1)),
                &template,
                *address,
            )?);
        }
        let proxy = Proxyd::start(binaries, &netns, &directory, &configuration(&directory))?;
        let pair = Self { _servers: servers, proxy, netns, directory };
        fs::write(pair.directory.join("client.sh"), functions())?;
        for server in ["one", "two"] {
            wait::until("MariaDB", LIMIT, || {
                pair.bash(&format!("{server} 'DO 1'")).is_ok_and(|o| o.success)
            })?;
        }
        wait::until("the proxy", LIMIT, || pair.bash("app 'DO 1'").is_ok_and(|o| o.success))
            .with_context(|| pair.proxy.log())?;
        Ok(pair)
    }

    /// Runs a script in the namespace. `app` and `second` take SQL through the proxy, `one` and `two` take it to a server
    /// past the proxy, `admin` takes it to the admin interface.
    pub(crate) fn bash(&self, script: &str) -> Result<Output> {
        let functions = self.directory.join("client.sh");
        let script = format!("set -o pipefail; . {}\n{script}", functions.display());
        shell::bash(&self.netns, &self.directory.join("shell"), &script, LIMIT)
    }

    /// Runs a script that must end well. Gives what it printed.
    pub(crate) fn ok(&self, script: &str) -> Result<String> {
        let output = self.bash(script)?;
        ensure!(output.success, "`{script}` failed: {}{}", output.stdout, output.stderr);
        Ok(output.stdout.trim_end().to_owned())
    }

    /// The script must print exactly this.
    pub(crate) fn prints(&self, script: &str, expected: &str) -> Result<()> {
        let printed = self.ok(script)?;
        ensure!(printed == expected, "`{script}` printed {printed:?}, not {expected:?}");
        Ok(())
    }

    /// The script must fail and say this.
    pub(crate) fn fails(&self, script: &str, words: &str) -> Result<()> {
        let output = self.bash(script)?;
        ensure!(!output.success, "`{script}` worked: {}", output.stdout);
        ensure!(output.stderr.contains(words), "`{script}` said {:?}", output.stderr.trim());
        Ok(())
    }

    /// Statements at the admin interface.
    pub(crate) fn admin(&self, sql: &str) -> Result<String> {
        self.ok(&format!("admin \"{sql}\""))
    }

    /// Only these query rules, at once. Each is columns and values as an INSERT has them.
    pub(crate) fn rules(&self, rules: &[(&str, &str)]) -> Result<()> {
        let mut sql = String::from("DELETE FROM mysql_query_rules;");
        for (columns, values) in rules {
            sql.push_str(&format!("INSERT INTO mysql_query_rules (active, {columns}) VALUES (1, {values});"));
        }
        self.admin(&format!("{sql} LOAD MYSQL QUERY RULES TO RUNTIME")).map(drop)
    }

    /// Where the first server and the proxy take clients.
    pub(crate) fn places(&self) -> (SocketAddr, SocketAddr) {
        ((SERVERS[0], 3306).into(), (PROXY, 6033).into())
    }

    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// A row of `stats_mysql_global`, as a number.
    pub(crate) fn counter(&self, name: &str) -> Result<u64> {
        let value = self.admin(&format!(
            "SELECT Variable_Value FROM stats_mysql_global WHERE Variable_Name = '{name}'"
        ))?;
        value.parse().with_context(|| format!("{name} is {value:?}"))
    }

    /// A file or directory of the bench.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

fn functions() -> String {
    let client = |name: &str, options: String| {
        format!(
            "{name}() {{ local sql=\"$1\"; shift; command mariadb --no-defaults -N {options} \"$@\" -e \"$sql\"; }}\n"
        )
    };
    let through = |user: &str| client(user, format!("-h {PROXY} -P 6033 -u{user} -p{user}"));
    let past = |name: &str, address: Ipv4Addr| client(name, format!("-h {address} -P 3306 -uapp -papp test"));
    [
        through("app"),
        through("second"),
        past("one", SERVERS[0]),
        past("two", SERVERS[1]),
        client("admin", format!("-h {PROXY} -P 6032 -uadmin -padmin")),
    ]
    .concat()
}

/// A data directory with the accounts in it.
fn template(directory: &Path) -> Result<PathBuf> {
    let data = directory.join("template");
    let config = directory.join("template.cnf");
    fs::write(&config, format!("[mariadbd]\n{SMALL}\ndatadir={}\n", data.display()))?;
    let defaults = format!("--defaults-file={}", config.display());
    let made = Command::new("mariadb-install-db")
        .args([&defaults, "--user=root", "--skip-test-db", "--auth-root-authentication-method=normal"])
        .stdin(Stdio::null())
        .output()?;
    ensure!(made.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&made.stderr));
    let mut bootstrap = Command::new("mariadbd")
        .args([&defaults, "--bootstrap"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    bootstrap.stdin.take().context("stdin")?.write_all(ACCOUNTS.as_bytes())?;
    ensure!(bootstrap.wait()?.success(), "the accounts could not be made");
    Ok(data)
}

fn start_server(netns: &Netns, directory: &Path, template: &Path, address: Ipv4Addr) -> Result<Owned> {
    fs::create_dir_all(directory)?;
    let data = directory.join("data");
    let copied = Command::new("cp").arg("-a").arg(template).arg(&data).status()?;
    ensure!(copied.success(), "copy the data directory");
    let place = directory.display();
    let config = directory.join("my.cnf");
    fs::write(
        &config,
        format!(
            "[mariadbd]\n{SMALL}\ndatadir={data}\nsocket={place}/s\npid_file={place}/pid\nlog_error={place}/err.log\n\
             bind_address={address}\nport=3306\nserver_id={id}\n",
            data = data.display(),
            id = address.octets()[3],
        ),
    )?;
    let mut command = child::inside(netns, "/usr/sbin/mariadbd")?;
    command.arg(format!("--defaults-file={}", config.display()));
    Owned::spawn(command, &directory.join("out.log"))
}

fn configuration(directory: &Path) -> String {
    let mut text = proxyd::head(&Listeners::at(PROXY), "workers = 1", directory);
    for (hostgroup, address) in (1..).zip(SERVERS) {
        text.push_str(&format!("[[mysql_servers]]\nhostgroup_id = {hostgroup}\nhostname = \"{address}\"\n"));
    }
    for user in ["app", "second"] {
        text.push_str(&format!(
            "[[mysql_users]]\nusername = \"{user}\"\npassword = \"{user}\"\ndefault_hostgroup = 1\n\
             default_schema = \"test\"\n"
        ));
    }
    text
}
