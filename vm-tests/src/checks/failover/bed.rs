//! A source, its replica, and one proxy before them, in one namespace.
//!
//! Hostgroup 1 takes writes, hostgroup 2 reads; both servers read.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::server::{Kind, PORT, Server};
use crate::checks::shell::{self, Output};
use crate::lab::netns::Netns;
use crate::lab::proxyd::{self, Listeners, Proxyd};
use crate::lab::{teardown, wait};
use crate::mysql::client::Account;

/// The proxy's address; 6033 is for clients, 6032 for admin.
pub(crate) const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 44, 9);
/// Nothing that is waited for takes longer.
const LIMIT: Duration = Duration::from_secs(60);
const SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 44, 1), Ipv4Addr::new(127, 0, 44, 2)];

/// The tables of every load.
const TABLES: &str = "
CREATE TABLE test.seed (id INT PRIMARY KEY);
INSERT INTO test.seed VALUES (1), (2), (3);
CREATE TABLE test.counters (client INT PRIMARY KEY, n BIGINT NOT NULL);
CREATE TABLE test.ledger (client INT, n BIGINT, how VARCHAR(12), PRIMARY KEY (client, n));
";

/// Servers, proxy, namespace. Everything in it dies with it.
#[derive(Debug)]
pub(crate) struct Bed {
    pub servers: [Server; 2],
    proxy: Proxyd,
    pub netns: Netns,
    directory: PathBuf,
}

impl Bed {
    /// The first server is the source. `settings` are lines of `[mysql_variables]`.
    pub(crate) fn start(binaries: &Path, kind: &Kind, settings: &str) -> Result<Self> {
        shell::require("mariadb", "mariadb-client")?;
        shell::require("mariadbd", "mariadb-server")?;
        teardown::clear()?;
        teardown::remove_stale();
        let netns = Netns::create(&format!("{}failover", teardown::prefix()))?;
        let directory = teardown::directory().join("fo");
        fs::create_dir_all(&directory)?;
        let template = kind.template(&directory.join("t"))?;
        let start = |address: Ipv4Addr| {
            let place = directory.join(address.octets()[3].to_string());
            Server::start(kind, &netns, &place, &template, address)
        };
        let servers = [start(SERVERS[0])?, start(SERVERS[1])?];
        servers[1].follow(&servers[0], false)?;
        servers[1].set_read_only(true)?;
        servers[0].query(TABLES)?;
        servers[1].catch_up_with(&servers[0])?;
        let proxy = Proxyd::start(binaries, &netns, &directory, &configuration(&directory, settings))?;
        let bed = Self { servers, proxy, netns, directory };
        wait::until("the proxy", LIMIT, || bed.admin("SELECT 1").is_ok()).with_context(|| bed.log())?;
        Ok(bed)
    }

    /// Runs a script in the namespace.
    pub(crate) fn bash(&self, name: &str, script: &str, limit: Duration) -> Result<Output> {
        shell::bash(&self.netns, &self.directory.join("sh").join(name), script, limit)
    }

    /// Statements at the admin interface.
    pub(crate) fn admin(&self, sql: &str) -> Result<String> {
        let options = format!("-h {PROXY} -P 6032 -uadmin -padmin");
        shell::mariadb(&self.netns, &self.directory.join("sh").join("admin"), &options, sql, LIMIT)
    }

    /// A number that the admin interface tells.
    pub(crate) fn number(&self, sql: &str) -> Result<u64> {
        let text = self.admin(sql)?;
        text.parse().with_context(|| format!("`{sql}` gave {text:?}"))
    }

    /// A row of `stats_mysql_global`.
    pub(crate) fn global(&self, name: &str) -> Result<u64> {
        self.number(&format!("SELECT Variable_Value FROM stats_mysql_global WHERE Variable_Name = '{name}'"))
    }

    /// The status of a server in the writers' hostgroup.
    pub(crate) fn set_writer(&self, server: usize, status: &str) -> Result<()> {
        let host = self.servers[server].address;
        self.admin(&format!(
            "UPDATE mysql_servers SET status='{status}' WHERE hostgroup_id=1 AND hostname='{host}'; \
             LOAD MYSQL SERVERS TO RUNTIME"
        ))
        .map(drop)
    }

    /// Returns when no session uses a connection to this writer.
    pub(crate) fn drained(&self, server: usize) -> Result<Duration> {
        let used = format!(
            "SELECT COALESCE(SUM(ConnUsed), 0) FROM stats_mysql_connection_pool WHERE hostgroup=1 AND srv_host='{}'",
            self.servers[server].address
        );
        wait::until("the old writer drained", LIMIT, || self.number(&used).is_ok_and(|n| n == 0))
    }

    /// Returns when this server, and no other, is ONLINE in the writers' hostgroup.
    pub(crate) fn until_writer(&self, server: usize) -> Result<Duration> {
        let sql = "SELECT hostname FROM runtime_mysql_servers WHERE hostgroup_id=1 AND status='ONLINE'";
        let host = self.servers[server].address.to_string();
        wait::until(&format!("{host} as the only writer"), LIMIT, || {
            self.admin(sql).is_ok_and(|now| now == host)
        })
        .with_context(|| self.servers_now())
    }

    /// From now on `read_only` says who is a writer.
    pub(crate) fn follow_read_only(&self) -> Result<()> {
        self.admin(
            "DELETE FROM mysql_servers WHERE hostgroup_id=1 AND status='OFFLINE_SOFT'; \
             INSERT INTO mysql_replication_hostgroups VALUES (1, 2, 'read_only', 'pair'); \
             LOAD MYSQL SERVERS TO RUNTIME",
        )
        .map(drop)
    }

    /// Ends every connection to one server by a reset.
    pub(crate) fn reset_connections(&self, server: usize) -> Result<()> {
        let script = format!("ss -K -tn dst {}:{PORT}", self.servers[server].address);
        let killed = self.bash("reset", &script, LIMIT)?;
        ensure!(
            killed.success && killed.stdout.contains(":3306"),
            "ss -K: {}{}",
            killed.stdout,
            killed.stderr
        );
        Ok(())
    }

    /// The servers as the proxy sees them.
    pub(crate) fn servers_now(&self) -> String {
        self.admin("SELECT hostgroup_id, hostname, status FROM runtime_mysql_servers ORDER BY 1, 2")
            .unwrap_or_default()
    }

    /// A file of the bed.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(crate) fn account(&self, user: &str) -> Account {
        Account {
            address: SocketAddr::from((PROXY, 6033)),
            user: user.into(),
            password: user.into(),
            database: Some("test".into()),
        }
    }

    /// A `mysql-` variable, at once.
    pub(crate) fn set_variable(&self, name: &str, value: u64) -> Result<()> {
        self.admin(&format!("SET mysql-{name}={value}; LOAD MYSQL VARIABLES TO RUNTIME")).map(drop)
    }

    pub(crate) fn until_no_client(&self) -> Result<Duration> {
        wait::until("no client connected", LIMIT, || {
            self.global("Client_Connections_connected").is_ok_and(|count| count == 0)
        })
    }

    /// The proxy's resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.proxy_pid()))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let kilobytes: u64 = resident.split_whitespace().next().context("VmRSS")?.parse()?;
        Ok(kilobytes * 1024)
    }

    /// `kill -9` of the proxy, and a new one, from what is on disk.
    pub(crate) fn restart_proxy(&mut self) -> Result<()> {
        self.proxy.restart()?;
        wait::until("the proxy", LIMIT, || self.admin("SELECT 1").is_ok())
            .with_context(|| self.log())
            .map(drop)
    }

    /// The proxy's process.
    pub(crate) fn proxy_pid(&self) -> i32 {
        self.proxy.pid()
    }

    /// The last words of the proxy's log.
    pub(crate) fn log_tail(&self) -> String {
        crate::mysql97::tail(&self.log(), 20)
    }

    pub(crate) fn log(&self) -> String {
        self.proxy.log()
    }
}

fn configuration(directory: &Path, settings: &str) -> String {
    let listeners = Listeners::at(PROXY);
    let mut text = proxyd::head(&listeners, "workers = 2\npacket_memory_mb = 32", directory);
    text.push_str(&format!("[mysql_variables]\n{settings}"));
    for (hostgroup, address, status) in [
        (1, SERVERS[0], "ONLINE"),
        (1, SERVERS[1], "OFFLINE_SOFT"),
        (2, SERVERS[0], "ONLINE"),
        (2, SERVERS[1], "ONLINE"),
    ] {
        text.push_str(&format!(
            "[[mysql_servers]]\nhostgroup_id = {hostgroup}\nhostname = \"{address}\"\nstatus = \"{status}\"\n"
        ));
    }
    for user in ["app", "few"] {
        text.push_str(&format!(
            "[[mysql_users]]\nusername = \"{user}\"\npassword = \"{user}\"\ndefault_hostgroup = 1\n\
             default_schema = \"test\"\n"
        ));
    }
    text.push_str(
        "[[mysql_query_rules]]\nrule_id = 1\nactive = 1\nmatch_digest = \"^SELECT.*FOR UPDATE\"\n\
         destination_hostgroup = 1\napply = 1\n\
         [[mysql_query_rules]]\nrule_id = 2\nactive = 1\nmatch_digest = \"^SELECT\"\n\
         destination_hostgroup = 2\napply = 1\n",
    );
    text
}
