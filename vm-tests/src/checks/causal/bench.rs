//! The bench: a MySQL 9.7 source and its replica, a binlog reader beside the replica, one proxy, one namespace.
//!
//! Hostgroup 10 is the source, hostgroup 20 the replica. Only the replica needs a reader: the source is where reads fall back to.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::pairs::{self, Read, Tally};
use crate::checks::shell;
use crate::lab::child::{self, Owned};
use crate::lab::netns::Netns;
use crate::lab::proxyd::{self, Listeners, Proxyd};
use crate::lab::{teardown, wait};
use crate::mysql97::root::SidRoot;
use crate::mysql97::server::{self, MySql97};

pub(super) const WRITER: u32 = 10;
pub(super) const READER: u32 = 20;
const REPLICA: Ipv4Addr = Ipv4Addr::new(127, 0, 97, 3);
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 97, 2);
const GTID_PORT: u16 = 6020;
const LIMIT: Duration = Duration::from_secs(60);
const SETTLE: Duration = Duration::from_secs(60);

/// One statement a line.
const INIT: &str = "\
SET SESSION sql_log_bin=0;
CREATE DATABASE test;
CREATE USER app@'%' IDENTIFIED BY 'app';
GRANT ALL ON test.* TO app@'%';
CREATE USER monitor@'%' IDENTIFIED BY 'monitor';
GRANT REPLICATION CLIENT ON *.* TO monitor@'%';
CREATE USER repl@'%' IDENTIFIED BY 'repl';
GRANT REPLICATION SLAVE ON *.* TO repl@'%';
";

/// Everything in it dies with it.
#[derive(Debug)]
pub(super) struct Bench {
    pub source: MySql97,
    pub replica: MySql97,
    reader: Owned,
    proxy: Proxyd,
    binaries: PathBuf,
    netns: Netns,
    directory: PathBuf,
}

impl Bench {
    pub(super) fn start(binaries: &Path) -> Result<Self> {
        shell::require("mariadb", "mariadb-client")?;
        let root = SidRoot::get()?;
        teardown::clear()?;
        teardown::remove_stale();
        let netns = Netns::create(&format!("{}causal", teardown::prefix()))?;
        let directory = teardown::directory().join("causal");
        let start = |name: &str, address, id| {
            let more = format!("log_bin=binlog\nsync_binlog=0\nserver_id={id}\n");
            MySql97::start_at(&root, &netns, &directory.join(name), INIT, address, &more)
        };
        let (source, replica) = (start("source", server::ADDRESS, 1)?, start("replica", REPLICA, 2)?);
        replica.query(&format!(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='{}', SOURCE_USER='repl', SOURCE_PASSWORD='repl', \
             SOURCE_SSL=1, SOURCE_AUTO_POSITION=1, SOURCE_CONNECT_RETRY=1; START REPLICA; \
             SET GLOBAL super_read_only=ON",
            server::ADDRESS
        ))?;
        source.query(pairs::TABLE)?;
        let reader = start_reader(binaries, &netns, &directory)?;
        let proxy = Proxyd::start(binaries, &netns, &directory, &configuration(&directory))?;
        let bench = Self { source, replica, reader, proxy, binaries: binaries.into(), netns, directory };
        bench.load_rules().with_context(|| bench.logs())?;
        bench.until_heard().with_context(|| bench.logs())?;
        Ok(bench)
    }

    fn load_rules(&self) -> Result<()> {
        wait::until("the proxy's admin interface", SETTLE, || self.admin("SELECT 1").is_ok())?;
        let insert = |values| {
            format!("INSERT INTO mysql_query_rules (active, {}) VALUES (1, {values});", pairs::COLUMNS)
        };
        let inserts = pairs::rules(WRITER, READER).map(insert).concat();
        self.admin(&format!("{inserts} LOAD MYSQL QUERY RULES TO RUNTIME; SAVE MYSQL QUERY RULES TO DISK"))
            .map(drop)
    }

    /// Runs so many pairs, while replication lags.
    pub(super) fn pairs(&self, read: Read, pairs: u64) -> Result<Tally> {
        super::lag::during(
            || self.replica.query(&super::lag::cycles()).map(drop),
            || pairs::run(&self.netns, SocketAddr::from((PROXY, 6033)), "app", read, pairs),
        )
        .with_context(|| self.logs())
    }

    /// Statements at the admin interface.
    pub(super) fn admin(&self, sql: &str) -> Result<String> {
        self.client(6032, "admin", sql)
    }

    /// Statements through the proxy, in one session.
    pub(super) fn app(&self, sql: &str) -> Result<String> {
        self.client(6033, "app", sql)
    }

    fn client(&self, port: u16, user: &str, sql: &str) -> Result<String> {
        let options = format!("-c -h {PROXY} -P {port} -u{user} -p{user}");
        shell::mariadb(&self.netns, &self.directory.join("shell"), &options, sql, LIMIT)
    }

    /// How many reads the replica has served because it had what was written.
    pub(super) fn by_replica(&self) -> Result<u64> {
        let text = self.admin(&format!(
            "SELECT Queries_GTID_sync FROM stats_mysql_connection_pool WHERE hostgroup = {READER}"
        ))?;
        text.parse().with_context(|| format!("Queries_GTID_sync is {text:?}"))
    }

    /// What the proxy knows of the replica.
    pub(super) fn known(&self) -> Result<String> {
        self.admin("SELECT gtid_executed FROM stats_mysql_gtid_executed")
    }

    /// Waits until the proxy knows of the replica all that the source has executed.
    pub(super) fn until_heard(&self) -> Result<Duration> {
        let executed = self.source.query("SELECT REPLACE(@@GLOBAL.gtid_executed, '\\n', '')")?;
        wait::until("the proxy hears of all that is replicated", SETTLE, || {
            self.known().is_ok_and(|known| known == executed)
        })
        .with_context(|| format!("it knows {:?} of {executed:?}", self.known()))
    }

    pub(super) fn kill_reader(&mut self) -> Result<()> {
        self.reader.kill()
    }

    pub(super) fn start_reader(&mut self) -> Result<()> {
        self.reader = start_reader(&self.binaries, &self.netns, &self.directory)?;
        Ok(())
    }

    pub(super) fn restart_proxy(&mut self) -> Result<()> {
        self.proxy.restart()?;
        wait::until("the proxy's admin interface", SETTLE, || self.admin("SELECT 1").is_ok()).map(drop)
    }

    fn logs(&self) -> String {
        let reader = fs::read_to_string(self.directory.join("reader.log")).unwrap_or_default();
        format!("reader: {reader}\nproxy: {}", self.proxy.log())
    }
}

fn start_reader(binaries: &Path, netns: &Netns, directory: &Path) -> Result<Owned> {
    let (config, password) = (directory.join("reader.toml"), directory.join("reader.password"));
    fs::write(&password, "repl\n")?;
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
    let text = format!(
        "server = '{REPLICA}:3306'\nuser = 'repl'\npassword_file = '{}'\nlisten = ['{REPLICA}:{GTID_PORT}']\ntags = true\n",
        password.display()
    );
    fs::write(&config, text)?;
    let mut command = child::inside(netns, child::built(binaries, "standfast-binlog-reader")?)?;
    command.arg("--config").arg(&config);
    Owned::spawn(command, &directory.join("reader.log"))
}

fn configuration(directory: &Path) -> String {
    let head = proxyd::head(&Listeners::at(PROXY), "workers = 2", directory);
    format!(
        "{head}\
         [[mysql_servers]]\nhostgroup_id = {WRITER}\nhostname = '{source}'\n\
         [[mysql_servers]]\nhostgroup_id = {READER}\nhostname = '{REPLICA}'\ngtid_port = {GTID_PORT}\n\
         [[mysql_users]]\nusername = 'app'\npassword = 'app'\ndefault_hostgroup = {WRITER}\ndefault_schema = 'test'\n",
        source = server::ADDRESS,
    )
}
