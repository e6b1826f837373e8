//! The article, typed in: its SQL at the admin prompt, its bash loop and its watch command, against real MariaDB, with the real client.
//!
//! The loop is as printed, but for the line break that the web page put into the middle of its `mysql` command.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;

use super::runner::Runner;
use super::shell;
use crate::backend::mariadb;
use crate::client::workload;
use crate::demo::live::Live;
use crate::drills::stage::{ARTICLE_SQL, Stage};
use crate::lab::cluster::{BackendKind, Cluster};
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{net, process, teardown};

const LOOP: &str = include_str!("article-loop.sh");
const WATCH: &str = include_str!("article-watch.sh");
/// What the client may be called, by its two names.
const CLIENTS: [&str; 2] = ["mysql", "mariadb"];
/// A check that hangs is a failed one.
const LIMIT: Duration = Duration::from_secs(60);
/// So many turns of the loop are looked at, a second each.
const TURNS: usize = 5;
const MY_CNF: &str = "[mysql]\nuser=load_RW\npassword=test\n";

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    mariadb::require()?;
    shell::require("mysql", "mariadb-client")?;
    shell::require("watch", "procps")?;
    shell::require("script", "bsdutils")?;
    let template = Template::new(Layout::SingleVip, Numbers::Article, &runner.configs);
    let cluster = runner.cluster(template, BackendKind::Mariadb, net::proxy_hosts())?;
    runner.check("article/three MariaDB servers are one cluster", || one_cluster(&cluster));
    runner.check("article/its SQL runs as printed on every host", || admin_sql(&cluster));
    let mut stage = Stage::set(cluster, Live::start())?;
    runner.check("article/its loop runs against the VIP, with no error 9006", || bash_loop(&stage));
    runner.check("article/its watch command shows pool, processlist and counters", || watch(&stage));
    runner.check("article/the loop goes on while the proxy is killed", || loop_through_kill(&mut stage));
    Ok(())
}

fn one_cluster(cluster: &Cluster) -> Result<()> {
    let servers = cluster.mariadb().context("the backends are not MariaDB")?;
    let size = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_size'";
    for index in 0..3 {
        let size = servers.query(index, size)?;
        ensure!(size.trim() == "3", "server {index} sees {} members", size.trim());
    }
    Ok(())
}

fn admin_sql(cluster: &Cluster) -> Result<()> {
    let client = cluster.client()?;
    let directory = teardown::directory().join("shell");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("article.sql"), ARTICLE_SQL)?;
    for host in &cluster.hosts {
        let script = format!("mysql -h {} -P 3310 -uadmin -padmin < article.sql", host.address);
        let output = shell::bash(&client, &directory, &script, LIMIT)?;
        ensure!(output.success, "{}: {}", host.name, output.stderr);
        let script = format!(
            "mysql -h {} -P 3310 -uadmin -padmin -N -e 'select count(*) from runtime_mysql_servers where hostgroup_id in (500,501)'",
            host.address
        );
        let output = shell::bash(&client, &directory, &script, LIMIT)?;
        ensure!(
            output.stdout.trim() == "6",
            "{}: runtime_mysql_servers has {:?} of its rows",
            host.name,
            output.stdout
        );
    }
    Ok(())
}

fn bash_loop(stage: &Stage) -> Result<()> {
    let (rows, errors) = article_loop(stage, Duration::from_secs(10))?;
    ensure!(errors.is_empty(), "{errors:?}");
    ensure!(rows.len() >= TURNS, "only {} rows", rows.len());
    let named = |row: &String| row.contains("load_RW_192.168.0.");
    ensure!(rows.iter().all(named), "a row does not say who wrote it: {rows:?}");
    Ok(())
}

/// Runs the loop for so long, and until it has printed enough; gives its rows and its errors.
fn article_loop(stage: &Stage, least: Duration) -> Result<(Vec<String>, Vec<String>)> {
    let client = stage.cluster.client()?;
    let directory = teardown::directory().join("loop");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("my.cnf"), MY_CNF)?;
    let start = Instant::now();
    let enough = |rows: &Path| start.elapsed() >= least && printed(rows).lines().count() >= TURNS;
    let output = shell::bash_until(&client, &directory, LOOP, LIMIT, enough)?;
    ensure!(!output.stderr.contains("9006"), "error 9006: {}", output.stderr);
    let errors = output.stderr.lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    Ok((output.stdout.lines().map(str::to_owned).collect(), errors))
}

fn printed(file: &Path) -> String {
    std::fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn watch(stage: &Stage) -> Result<()> {
    let client = stage.cluster.client()?;
    let directory = teardown::directory().join("watch");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("watch.sh"), WATCH)?;
    // `watch` wants a terminal; `script` gives it one.
    let script =
        "stty rows 60 cols 220 2>/dev/null; script -qec 'stty rows 60 cols 220; . ./watch.sh' /dev/null";
    const WORDS: [&str; 5] = ["srv_host", "ConnUsed", "192.168.0.231", "Total_Time_us", "SELECT"];
    let shown = |screen: &Path| {
        let screen = printed(screen);
        WORDS.iter().all(|word| screen.contains(word))
    };
    let output = shell::bash_until(&client, &directory, script, LIMIT, shown)?;
    for word in WORDS {
        ensure!(output.stdout.contains(word), "no {word} on its screen:\n{}{}", output.stdout, output.stderr);
    }
    Ok(())
}

/// The article's kill, under the article's own loop: it reads an error 2003 and 5 s; here the loop must not notice. Only a
/// login that the killed proxy has begun dies with it: nobody can go on with somebody else's handshake.
fn loop_through_kill(stage: &mut Stage) -> Result<()> {
    let host = stage.holder(stage.vip())?;
    let pid = stage.host(host).proxyd().context("no proxy to kill")?;
    let clients = stage.cluster.client()?.inode();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2500));
        // Stopped first: a client that comes from now on finds nobody to begin a handshake with, and waits.
        process::signal(pid, Signal::SIGSTOP);
        let running =
            process::inside(clients).iter().filter(|it| CLIENTS.contains(&it.comm.as_str())).count();
        process::signal(pid, Signal::SIGKILL);
        running
    });
    let outcome = article_loop(stage, Duration::from_secs(8));
    let Ok(running) = killer.join() else { bail!("the killer panicked") };
    let (rows, errors) = outcome?;
    ensure!(errors.iter().all(|error| is_of_a_handshake(error)), "{errors:?}");
    ensure!(errors.len() <= running, "{running} clients ran at the kill, and these were lost: {errors:?}");
    for error in errors {
        println!("        lost in its handshake: {error}");
    }
    ensure!(rows.len() >= TURNS, "only {} rows", rows.len());
    ensure!(stage.holder(stage.vip())? == host, "the VIP moved");
    let client = stage.cluster.client()?;
    let account = crate::client::probe::account(stage.vip(), 3311);
    workload::run_once(&client, &account, &["select count(*) from test.testtable2"])
}

/// What the client says of a connection that ended before it was logged in.
fn is_of_a_handshake(error: &str) -> bool {
    error.contains("ERROR 2026 (HY000): TLS/SSL error")
        || error.contains("ERROR 2013 (HY000): Lost connection to server at '")
        || error.contains("ERROR 2013 (HY000): Lost connection to MySQL server at '")
}

#[cfg(test)]
mod tests {
    use super::is_of_a_handshake;

    #[test]
    fn a_statement_that_is_lost_is_not_of_a_handshake() {
        assert!(is_of_a_handshake(
            "ERROR 2013 (HY000): Lost connection to server at 'reading authorization packet', system error: 104"
        ));
        assert!(is_of_a_handshake("ERROR 2026 (HY000): TLS/SSL error: unexpected eof while reading"));
        assert!(!is_of_a_handshake("ERROR 2013 (HY000) at line 1: Lost connection to server during query"));
        assert!(!is_of_a_handshake("ERROR 2003 (HY000): Can't connect to server on '192.168.0.88' (111)"));
    }
}
