//! The article, typed in: its SQL at the admin prompt, its bash loop and its watch command, against real MariaDB, with the real client.
//!
//! The loop is as printed, but for the line break that the web page put into the middle of its `mysql` command.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::runner::Runner;
use super::shell;
use crate::backend::mariadb;
use crate::client::workload;
use crate::demo::live::Live;
use crate::drills::stage::{ARTICLE_SQL, Stage};
use crate::lab::cluster::{BackendKind, Cluster};
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{net, teardown};

const LOOP: &str = include_str!("article-loop.sh");
const WATCH: &str = include_str!("article-watch.sh");
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
        let output = shell::bash(&client, &directory, &script, Duration::from_secs(20))?;
        ensure!(output.success, "{}: {}", host.name, output.stderr);
        let script = format!(
            "mysql -h {} -P 3310 -uadmin -padmin -N -e 'select count(*) from runtime_mysql_servers where hostgroup_id in (500,501)'",
            host.address
        );
        let output = shell::bash(&client, &directory, &script, Duration::from_secs(20))?;
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
    let rows = article_loop(stage, Duration::from_secs(10))?;
    ensure!(rows.len() >= 5, "only {} rows in ten seconds", rows.len());
    let named = |row: &String| row.contains("load_RW_192.168.0.");
    ensure!(rows.iter().all(named), "a row does not say who wrote it: {rows:?}");
    Ok(())
}

/// Runs the loop for so long and gives its rows; an error that it printed is an error here.
fn article_loop(stage: &Stage, limit: Duration) -> Result<Vec<String>> {
    let client = stage.cluster.client()?;
    let directory = teardown::directory().join("loop");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("my.cnf"), MY_CNF)?;
    let output = shell::bash(&client, &directory, LOOP, limit)?;
    ensure!(!output.stderr.contains("9006"), "error 9006: {}", output.stderr);
    ensure!(!output.stderr.contains("ERROR"), "{}", output.stderr);
    Ok(output.stdout.lines().map(str::to_owned).collect())
}

fn watch(stage: &Stage) -> Result<()> {
    let client = stage.cluster.client()?;
    let directory = teardown::directory().join("watch");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(directory.join("watch.sh"), WATCH)?;
    // `watch` wants a terminal; `script` gives it one.
    let script =
        "stty rows 60 cols 220 2>/dev/null; script -qec 'stty rows 60 cols 220; . ./watch.sh' /dev/null";
    let output = shell::bash(&client, &directory, script, Duration::from_secs(4))?;
    for word in ["srv_host", "ConnUsed", "192.168.0.231", "Total_Time_us", "SELECT"] {
        ensure!(output.stdout.contains(word), "no {word} on its screen:\n{}{}", output.stdout, output.stderr);
    }
    Ok(())
}

/// The article's kill, under the article's own loop: it reads an error 2003 and 5 s; here the loop must not notice.
fn loop_through_kill(stage: &mut Stage) -> Result<()> {
    let host = stage.holder(stage.vip())?;
    let pid = stage.host(host).proxyd();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(2500));
        if let Some(pid) = pid {
            crate::lab::process::signal(pid, nix::sys::signal::Signal::SIGKILL);
        }
    });
    let rows = article_loop(stage, Duration::from_secs(8));
    ensure!(killer.join().is_ok(), "the killer panicked");
    let rows = rows?;
    ensure!(rows.len() >= 5, "only {} rows in eight seconds", rows.len());
    ensure!(stage.holder(stage.vip())? == host, "the VIP moved");
    let client = stage.cluster.client()?;
    let account = crate::client::probe::account(stage.vip(), 3311);
    workload::run_once(&client, &account, &["select count(*) from test.testtable2"])
}
