//! The test bench: server, proxy and clients in one namespace, and the short commands with which the checks talk to them.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::checks::shell::{self, Output};
use crate::lab::netns::Netns;
use crate::lab::proxyd::{self, Listeners, Proxyd};
use crate::lab::{teardown, wait};
use crate::mysql97::root::SidRoot;
use crate::mysql97::server::{self, MySql97};

/// The proxy's address; its port for clients is 6033.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 97, 2);
/// A check that hangs is a failed one.
const LIMIT: Duration = Duration::from_secs(60);

/// One statement a line, as `--init-file` wants it. Every account of 9.7 is caching_sha2_password's.
const INIT: &str = "\
CREATE DATABASE test;
CREATE DATABASE other;
CREATE USER clear@'%' IDENTIFIED BY 'clear-pw';
CREATE USER tls@'%' IDENTIFIED BY 'tls-pw';
CREATE USER hashed@'%' IDENTIFIED BY 'hashed-pw';
CREATE USER late@'%' IDENTIFIED BY 'late-pw';
CREATE USER native@'%' IDENTIFIED BY 'native-pw';
CREATE USER nopw@'%' IDENTIFIED BY '';
CREATE USER monitor@'%' IDENTIFIED BY 'monitor';
GRANT REPLICATION CLIENT ON *.* TO monitor@'%';
GRANT ALL ON test.* TO clear@'%', tls@'%', hashed@'%', late@'%', native@'%', nopw@'%';
GRANT ALL ON other.* TO clear@'%', tls@'%', hashed@'%', late@'%', native@'%', nopw@'%';
GRANT SELECT ON performance_schema.* TO clear@'%', tls@'%';
";

/// `--init-file` would end it at its first semicolon.
const PROCEDURE: &str = "DELIMITER //\n\
CREATE PROCEDURE test.two_results() BEGIN SELECT 1 AS a; SELECT 2 AS b UNION SELECT 3; END//";

/// Server, proxy, namespace. Everything in it dies with it.
#[derive(Debug)]
pub(crate) struct Bench {
    pub server: MySql97,
    proxy: Proxyd,
    netns: Netns,
    directory: PathBuf,
}

impl Bench {
    pub(crate) fn start(binaries: &Path) -> Result<Self> {
        let root = SidRoot::get()?;
        teardown::clear()?;
        teardown::remove_stale();
        let netns = Netns::create(&format!("{}mysql97", teardown::prefix()))?;
        let directory = teardown::directory().join("my97");
        let server = MySql97::start(&root, &netns, &directory.join("db"), INIT)?;
        server.query(PROCEDURE)?;
        write_client(&root, &directory)?;
        let proxy = Proxyd::start(binaries, &netns, &directory, &configuration(&directory))?;
        let bench = Self { server, proxy, netns, directory };
        wait::until("the proxy answers", LIMIT, || {
            bench.bash("mysql97 -uclear -pclear-pw -e 'DO 1'").is_ok_and(|output| output.success)
        })
        .with_context(|| bench.proxy.log())?;
        // What a cold proxy opens in advance would be taken for what a check has it open.
        wait::until("the pools", LIMIT, || bench.proxy.log().contains("the pools are"))
            .with_context(|| bench.proxy.log())?;
        Ok(bench)
    }

    /// Runs a script in the namespace, with `mysql97`, `socket97`, `admin97`, `dump97`, `tool97`, `direct97`, `mariadb` and `admin` as commands.
    pub(crate) fn bash(&self, script: &str) -> Result<Output> {
        let functions = self.directory.join("client.sh");
        let script = format!("set -o pipefail; . {}\n{script}", functions.display());
        shell::bash(&self.netns, &self.directory.join("shell"), &script, LIMIT)
    }

    /// Where the server and the proxy take clients.
    pub(crate) fn places(&self) -> (SocketAddr, SocketAddr) {
        ((server::ADDRESS, server::PORT).into(), (PROXY, 6033).into())
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Puts a file where the scripts run.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<()> {
        fs::write(self.directory.join("shell").join(name), text).with_context(|| format!("write {name}"))
    }

    /// Runs a script that must end well. Gives what it printed.
    pub(crate) fn ok(&self, script: &str) -> Result<String> {
        let output = self.bash(script)?;
        let (out, err) = (&output.stdout, &output.stderr);
        ensure!(output.success, "`{}` failed: {}{}", shortened(script), shortened(out), shortened(err));
        Ok(output.stdout.trim_end().to_owned())
    }

    /// The script must print exactly this.
    pub(crate) fn prints(&self, script: &str, expected: &str) -> Result<()> {
        let printed = self.ok(script)?;
        ensure!(printed == expected, "`{}` printed {printed:?}, not {expected:?}", shortened(script));
        Ok(())
    }

    /// The script must fail and say this.
    pub(crate) fn fails(&self, script: &str, words: &str) -> Result<()> {
        let output = self.bash(script)?;
        ensure!(!output.success, "`{}` worked: {}", shortened(script), shortened(&output.stdout));
        ensure!(output.stderr.contains(words), "`{}` said {:?}", shortened(script), output.stderr.trim());
        Ok(())
    }

    /// Ends this user's connections at the server, so that the proxy has to log in anew.
    pub(crate) fn forget_backends(&self, user: &str) -> Result<()> {
        let ids = format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'");
        for id in self.server.query(&ids)?.lines() {
            // One that ends by itself meanwhile is as good.
            let _ = self.server.query(&format!("KILL {id}"));
        }
        wait::until("no backend connection", LIMIT, || {
            self.server.query(&ids).is_ok_and(|left| left.is_empty())
        })
        .map(drop)
    }

    /// Gives the proxy a user by its admin interface, with the hash that the server has stored.
    pub(crate) fn add_hashed_user(&self, user: &str) -> Result<()> {
        let stored = format!("SELECT HEX(authentication_string) FROM mysql.user WHERE user = '{user}'");
        let hash = self.server.query(&stored)?;
        let insert = format!(
            "REPLACE INTO mysql_users (username, password, default_hostgroup, default_schema) \
             VALUES ('{user}', CAST(X'{hash}' AS TEXT), 1, 'test')"
        );
        self.ok(&format!("admin \"{insert}; LOAD MYSQL USERS TO RUNTIME\"")).map(drop)
    }
}

/// Shell functions for the clients: the sid root's paths stay out of the checks.
fn write_client(root: &SidRoot, directory: &Path) -> Result<()> {
    let program = |name: &str| root.program(&format!("usr/bin/{name}")).map(|words| words.join(" "));
    let (client, dump, tool) = (program("mysql")?, program("mysqldump")?, program("mysqladmin")?);
    let options = format!("--no-defaults --plugin-dir={}", root.path("usr/lib/mysql/plugin").display());
    let server = server::ADDRESS;
    let run = directory.join("run");
    let run = run.display();
    let text = format!(
        "raw97() {{ {client} {options} --default-character-set=utf8mb4 \"$@\"; }}\n\
         mysql97() {{ raw97 -h {PROXY} -P 6033 -N \"$@\"; }}\n\
         direct97() {{ raw97 -h {server} -P 3306 -N \"$@\"; }}\n\
         socket97() {{ raw97 -S {run}/mysql.sock -N \"$@\"; }}\n\
         admin97() {{ raw97 -S {run}/admin.sock -uadmin -padmin -N \"$@\"; }}\n\
         dump97() {{ {dump} {options} -h {PROXY} -P 6033 \"$@\"; }}\n\
         tool97() {{ {tool} {options} -h {PROXY} -P 6033 \"$@\"; }}\n\
         mariadb() {{ command mariadb --no-defaults -h {PROXY} -P 6033 -N \"$@\"; }}\n\
         admin() {{ command mariadb --no-defaults -h {PROXY} -P 6032 -uadmin -padmin -N -e \"$@\"; }}\n",
    );
    fs::write(directory.join("client.sh"), text).context("write the clients' functions")
}

/// Hostgroup 1 is the server without TLS, hostgroup 2 the same under TLS.
fn configuration(directory: &Path) -> String {
    let socket = |name: &str| directory.join("run").join(name).display().to_string();
    let mut listeners = Listeners::at(PROXY);
    listeners.mysql.extend(["[::1]:6033".to_owned(), socket("mysql.sock")]);
    listeners.admin.push(socket("admin.sock"));
    let mut text = proxyd::head(&listeners, "", directory);
    for (hostgroup, use_ssl) in [(1, 0), (2, 1)] {
        text.push_str(&format!(
            "[[mysql_servers]]\nhostgroup_id = {hostgroup}\nhostname = \"{}\"\nport = {}\nuse_ssl = {use_ssl}\n",
            server::ADDRESS,
            server::PORT,
        ));
    }
    let users = [
        ("clear", "clear-pw", 1),
        ("tls", "tls-pw", 2),
        ("nopw", "", 1),
        // The native hash of `native-pw`: a server of 9.7 has no use for it, a login at the proxy has.
        ("native", "*FF48E68563F59169DF2C2F820BAC747E1DA6A5D2", 1),
    ];
    for (name, password, hostgroup) in users {
        text.push_str(&format!(
            "[[mysql_users]]\nusername = \"{name}\"\npassword = \"{password}\"\n\
             default_hostgroup = {hostgroup}\ndefault_schema = \"test\"\n"
        ));
    }
    text
}

/// Scripts and answers may be megabytes long; an error message must not.
fn shortened(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
