//! Unix sockets: what a client by `mysql -S` is and may, and that nobody is refused while the proxy or the angel is away.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bench::Bench;
use crate::checks::runner::Runner;
use crate::lab::child::Owned;
use crate::lab::wait;

const MYSQL: &str = "socket97 -uclear -pclear-pw";
const PATIENCE: Duration = Duration::from_secs(60);
/// In a script: waits until a statement sleeps, and is its session then.
const SLEEPER: &str = "until id=$(admin \"SELECT SessionID FROM stats_mysql_processlist WHERE info LIKE 'select sleep%'\") && \
                       [ -n \"$id\" ]; do sleep 0.05; done";

pub(crate) fn run(runner: &mut Runner, bench: &Bench) {
    runner.check("mysql97/socket: statements, and what the client is called", || named(bench));
    runner.check("mysql97/socket: rules for localhost, the admin interface, KILL", || ruled(bench));
    runner.check("mysql97/socket: a password stored as $A$ needs no TLS", || hashed(bench));
    runner.check(
        "mysql97/attributes: the proxy's for a pooled connection, the client's own in fast_forward",
        || attributes(bench),
    );
    let binaries = runner.binaries.clone();
    runner.check("mysql97/socket: clients wait while the proxy and the angel are killed", || {
        held(bench, &binaries)
    });
}

fn named(bench: &Bench) -> Result<()> {
    let file = fs::metadata(bench.directory().join("run/mysql.sock"))?;
    ensure!(file.file_type().is_socket() && file.permissions().mode() & 0o777 == 0o777, "{file:?}");
    bench.prints(&format!("{MYSQL} -e 'select 7; select length(repeat(\"x\", 3000000))'"), "7\n3000000")?;
    let status = bench.ok(&format!("{MYSQL} --commands -e status"))?;
    ensure!(status.contains("Localhost via UNIX socket"), "{status}");
    let clients = "SELECT cli_host, cli_port IS NULL FROM stats_mysql_processlist";
    let script = format!(
        "{MYSQL} -e 'select sleep(50)' >/dev/null 2>&1 & {SLEEPER}; admin \"{clients}\"; admin \"KILL CONNECTION $id\"; wait"
    );
    bench.prints(&script, "localhost\t1")?;
    bench.fails("socket97 -uclear -pwrong -e 'select 1'", "'clear'@'localhost'")
}

fn ruled(bench: &Bench) -> Result<()> {
    let rule = "INSERT INTO mysql_query_rules (rule_id, active, client_addr, match_pattern, error_msg, apply) \
         VALUES (9701, 1, 'localhost', '^SELECT 9701', 'not by a socket', 1); LOAD MYSQL QUERY RULES TO RUNTIME";
    bench.ok(&format!("admin \"{rule}\""))?;
    bench.fails(&format!("{MYSQL} -e 'SELECT 9701'"), "not by a socket")?;
    bench.prints("mysql97 -uclear -pclear-pw -e 'SELECT 9701'", "9701")?;
    let remove = "DELETE FROM mysql_query_rules WHERE rule_id = 9701; LOAD MYSQL QUERY RULES TO RUNTIME";
    bench.ok(&format!("admin97 -e \"{remove}\"")).context("the admin interface by its socket")?;
    let script = format!(
        "{MYSQL} -e 'select sleep(50)' & sleeper=$!; {SLEEPER}; {MYSQL} -e \"kill $id\"; wait $sleeper"
    );
    bench.fails(&script, "Lost connection")
}

/// The client sends it in the clear by a Unix socket, as to MySQL itself.
fn hashed(bench: &Bench) -> Result<()> {
    bench.add_hashed_user("hashed")?;
    let login = "socket97 -uhashed -phashed-pw --ssl-mode=DISABLED -e 'select 1'";
    bench.prints(login, "1").context("the first login, in full")?;
    bench.prints(login, "1").context("the next one, fast")?;
    bench.fails("socket97 -uhashed -pwrong --ssl-mode=DISABLED -e 'select 1'", "1045")
}

fn attributes(bench: &Bench) -> Result<()> {
    let shown = "SELECT attr_value FROM performance_schema.session_account_connect_attrs \
         WHERE processlist_id = CONNECTION_ID() AND attr_name IN ('_client_name', 'program_name') ORDER BY attr_name";
    let load = |on: u8| {
        let update = format!("UPDATE mysql_users SET fast_forward = {on} WHERE username = 'clear'");
        bench.ok(&format!("admin \"{update}; LOAD MYSQL USERS TO RUNTIME\"")).map(drop)
    };
    bench.prints(&format!("{MYSQL} -e \"{shown}\""), "standfast\nstandfast")?;
    load(1)?;
    bench.prints(&format!("{MYSQL} -e \"{shown}\""), "libmysql\nmysql").and(load(0))
}

/// An angel with a proxy of its own, on nothing but a Unix socket.
fn held(bench: &Bench, binaries: &Path) -> Result<()> {
    let directory = bench.directory().join("held");
    for name in ["run", "data"] {
        fs::create_dir_all(directory.join(name))?;
    }
    fs::set_permissions(directory.join("data"), fs::Permissions::from_mode(0o700))?;
    let socket = directory.join("mysql.sock");
    let mut config: toml::Table = fs::read_to_string(bench.directory().join("standfast.toml"))?.parse()?;
    let path = |path: &Path| toml::Value::from(path.display().to_string());
    let section =
        |pairs: [(&str, toml::Value); 2]| toml::Table::from_iter(pairs.map(|(k, v)| (k.to_owned(), v)));
    let nowhere = toml::Value::Array(Vec::new());
    config
        .insert("proxy".into(), section([("mysql_listen", path(&socket)), ("admin_listen", nowhere)]).into());
    let (run, data) = (directory.join("run"), directory.join("data"));
    config.insert("paths".into(), section([("run_dir", path(&run)), ("data_dir", path(&data))]).into());
    let file = directory.join("standfast.toml");
    fs::write(&file, toml::to_string(&config)?)?;
    // What a crash leaves: a file that nobody listens at.
    drop(UnixListener::bind(&socket)?);

    let mut angel = Angel::start(bench, binaries, &file)?;
    let query = format!("raw97 -S {} -uclear -pclear-pw -N -e 'select 1'", socket.display());
    wait::until("an answer by the socket", PATIENCE, || bench.bash(&query).is_ok_and(|it| it.success))?;
    let proxy = || -> Result<i32> { Ok(fs::read_to_string(run.join("proxyd.pid"))?.trim().parse()?) };
    for round in 0..6 {
        let before = proxy()?;
        kill(Pid::from_raw(before), Signal::SIGKILL)?;
        // No retry: whoever comes meanwhile waits in the kernel's queue.
        bench.prints(&query, "1").with_context(|| format!("the proxy killed, round {round}"))?;
        wait::until("the pid of the new proxy", PATIENCE, || proxy().is_ok_and(|pid| pid != before))?;
        if round % 2 == 1 {
            // What the angel held is in nobody's hands but the proxy's, until the next one takes it from there.
            angel = angel.replace(bench, binaries, &file)?;
            bench.prints(&query, "1").with_context(|| format!("the angel killed, round {round}"))?;
            let control = run.join("angel.sock");
            wait::until("the new angel", PATIENCE, || UnixStream::connect(&control).is_ok())?;
        }
    }
    angel.stop()?;
    ensure!(!socket.exists(), "the angel left its socket's file");
    Ok(())
}

struct Angel(Owned);

impl Angel {
    fn start(bench: &Bench, binaries: &Path, config: &Path) -> Result<Angel> {
        let log = File::create(config.with_file_name("angel.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("exec-unit").arg(bench.netns().path()).arg("--").arg(binaries.join("standfast-angel"));
        command.arg("--config").arg(config).args(["--host", "test1"]).stdin(Stdio::null());
        let child = command.stdout(log.try_clone()?).stderr(log).spawn().context("start the angel")?;
        Ok(Angel(Owned(child)))
    }

    /// Killed, and another one in its place.
    fn replace(mut self, bench: &Bench, binaries: &Path, config: &Path) -> Result<Angel> {
        self.0.kill()?;
        Angel::start(bench, binaries, config)
    }

    fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.0.pid()), Signal::SIGTERM)?;
        let ended = wait::until("the angel's end", PATIENCE, || matches!(self.0.0.try_wait(), Ok(Some(_))));
        ended.map(drop)
    }
}
