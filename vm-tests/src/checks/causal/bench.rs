//! The bench: a MySQL 9.7 source and its replica, a binlog reader beside the replica, one proxy, one namespace.
//!
//! Hostgroup 10 is the source, hostgroup 20 the replica. Only the replica needs a reader: the source is where reads fall back to.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::pairs::{self, Read, Tally};
use crate::checks::shell;
use crate::lab::netns::Netns;
use crate::lab::{teardown, wait};
use crate::mysql97::root::SidRoot;
use crate::mysql97::server::{self, MySql97};

pub(super) const WRITER: u32 = 10;
pub(super) const READER: u32 = 20;
const REPLICA: Ipv4Addr = Ipv4Addr::new(127, 0, 97, 3);
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 97, 2);
const GTID_PORT: u16 = 6020;
const LIMIT: Duration = Duration::from_secs(20);
const SETTLE: Duration = Duration::from_secs(20);

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
    reader: Child,
    proxy: Child,
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
        let proxy = start_proxy(binaries, &netns, &directory)?;
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
        let script =
            format!("mariadb --no-defaults -c -N -h {PROXY} -P {port} -u{user} -p{user} -e \"{sql}\"");
        let output = shell::bash(&self.netns, &self.directory.join("shell"), &script, LIMIT)?;
        ensure!(output.success, "`{sql}`: {}", output.stderr.trim());
        Ok(output.stdout.trim_end().to_owned())
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
        self.reader.kill()?;
        self.reader.wait()?;
        Ok(())
    }

    pub(super) fn start_reader(&mut self) -> Result<()> {
        self.reader = start_reader(&self.binaries, &self.netns, &self.directory)?;
        Ok(())
    }

    pub(super) fn restart_proxy(&mut self) -> Result<()> {
        self.proxy.kill()?;
        self.proxy.wait()?;
        self.proxy = start_proxy(&self.binaries, &self.netns, &self.directory)?;
        wait::until("the proxy's admin interface", SETTLE, || self.admin("SELECT 1").is_ok()).map(drop)
    }

    fn logs(&self) -> String {
        let read = |name| fs::read_to_string(self.directory.join(name)).unwrap_or_default();
        format!("reader: {}\nproxy: {}", read("reader.log"), read("proxy.log"))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        for child in [&mut self.reader, &mut self.proxy] {
            // Nothing of it is needed any more; one that is dead already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start_reader(binaries: &Path, netns: &Netns, directory: &Path) -> Result<Child> {
    let (config, password) = (directory.join("reader.toml"), directory.join("reader.password"));
    fs::write(&password, "repl\n")?;
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600))?;
    let text = format!(
        "server = '{REPLICA}:3306'\nuser = 'repl'\npassword_file = '{}'\nlisten = ['{REPLICA}:{GTID_PORT}']\ntags = true\n",
        password.display()
    );
    fs::write(&config, text)?;
    spawn(&binaries.join("standfast-binlog-reader"), &config, &[], netns, &directory.join("reader.log"))
}

fn start_proxy(binaries: &Path, netns: &Netns, directory: &Path) -> Result<Child> {
    for name in ["run", "data"] {
        fs::create_dir_all(directory.join(name))?;
    }
    fs::set_permissions(directory.join("data"), fs::Permissions::from_mode(0o700))?;
    let config = directory.join("standfast.toml");
    fs::write(&config, configuration(directory))?;
    let program = binaries.join("standfast-proxyd");
    spawn(&program, &config, &["--host", "test1"], netns, &directory.join("proxy.log"))
}

fn spawn(program: &Path, config: &Path, more: &[&str], netns: &Netns, log: &Path) -> Result<Child> {
    ensure!(program.exists(), "{} is not built: cargo build --release", program.display());
    let log = File::options().create(true).append(true).open(log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("exec-unit").arg(netns.path()).arg("--").arg(program).arg("--config").arg(config).args(more);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    command.spawn().with_context(|| format!("start {}", program.display()))
}

fn configuration(directory: &Path) -> String {
    format!(
        "[[hosts]]\nname = 'test1'\naddress = '127.0.0.1'\n\
         [proxy]\nmysql_listen = ['{PROXY}:6033']\nadmin_listen = ['{PROXY}:6032']\nworkers = 2\n\
         [paths]\nrun_dir = '{place}/run'\ndata_dir = '{place}/data'\n\
         [admin_variables]\nadmin_credentials = 'admin:admin'\n\
         [[mysql_servers]]\nhostgroup_id = {WRITER}\nhostname = '{source}'\n\
         [[mysql_servers]]\nhostgroup_id = {READER}\nhostname = '{REPLICA}'\ngtid_port = {GTID_PORT}\n\
         [[mysql_users]]\nusername = 'app'\npassword = 'app'\ndefault_hostgroup = {WRITER}\ndefault_schema = 'test'\n",
        place = directory.display(),
        source = server::ADDRESS,
    )
}
