//! `standfast import` on three hosts: a ProxySQL of some size and the article's keepalived.conf give a running appliance.

mod sources;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::runner::Runner;
use super::shell::{self, Output};
use crate::client::{probe, workload};
use crate::lab::cluster::{BackendKind, Cluster};
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{net, teardown, wait};

const LIMIT: Duration = Duration::from_secs(60);
const HOSTS: &str = "--host test1=192.168.0.11 --host test2=192.168.0.12 --host test3=192.168.0.235";
/// What the article works out for its hosts.
const PRIORITIES: [&str; 3] = ["101", "100", "99"];

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("mariadb", "mariadb-client")?;
    let program = runner.binaries.join("standfast");
    ensure!(program.exists(), "{} is not built: cargo build --release", program.display());
    let template = Template::new(Layout::SingleVip, Numbers::Article, &runner.configs);
    let mut cluster = runner.cluster(template, BackendKind::Sqlite, net::proxy_hosts())?;
    let directory = teardown::directory().join("import");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("proxysql.cnf"), sources::proxysql_cnf())?;

    runner.check("import/a rehearsal writes nothing, and names what it cannot take", || {
        rehearsal(&cluster, &program, &directory)
    });
    runner.check("import/under a running proxy, or over what is there, it refuses", || {
        refusals(&cluster, &program, &directory)
    });
    runner.check("import/proxysql.cnf and the article's keepalived.conf on three hosts", || {
        (0..PRIORITIES.len()).try_for_each(|host| imported(&mut cluster, host, &program, &directory))
    });
    runner.check("import/what was imported serves, and the VIP is where keepalived would have it", || {
        serves(&cluster, &directory)
    });
    runner.check("import/standfast route says where a statement goes, and it goes there", || {
        routes(&cluster, &program, &directory)
    });
    runner.check("import/status says what a restart would lose", || unsaved(&cluster, &program, &directory));
    Ok(())
}

/// Runs `standfast import` on a host.
fn standfast(
    cluster: &Cluster,
    host: usize,
    program: &Path,
    directory: &Path,
    arguments: &str,
) -> Result<Output> {
    let host = &cluster.hosts[host];
    let keepalived = directory.join(format!("{}.keepalived.conf", host.name));
    let script = format!(
        "exec {} import {} {} --config {} {arguments}",
        program.display(),
        directory.join("proxysql.cnf").display(),
        keepalived.display(),
        host.config().display(),
    );
    let output = shell::bash(&host.netns, &directory.join("shell"), &script, LIMIT)?;
    let printed = format!("{}{}", output.stdout, output.stderr);
    ensure!(!printed.contains(sources::SECRET), "a password was printed:\n{printed}");
    Ok(output)
}

/// Everything below a directory that an import might touch, with sizes.
fn contents(cluster: &Cluster, host: usize) -> Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    let directory = cluster.hosts[host].directory();
    for place in [directory.to_owned(), directory.join("data")] {
        for entry in fs::read_dir(&place)? {
            let entry = entry?;
            // Logs grow by themselves.
            if entry.path().extension().is_none_or(|kind| kind != "log") {
                found.push((entry.path(), entry.metadata()?.len()));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn rehearsal(cluster: &Cluster, program: &Path, directory: &Path) -> Result<()> {
    let printed = "priority <calculate on the WEIGHT for each node>";
    let conf = sources::keepalived_conf("<calculate on the WEIGHT for each node>");
    ensure!(conf.contains(printed), "the article's line is not in it");
    fs::write(directory.join("test1.keepalived.conf"), conf)?;
    let before = contents(cluster, 0)?;
    let output = standfast(cluster, 0, program, directory, &format!("{HOSTS} --dry-run"))?;
    ensure!(output.success, "{}", output.stderr);
    let expected = [
        "proxysql.cnf: mysql_servers: 50",
        "proxysql.cnf: mysql_users: 500",
        "proxysql.cnf: mysql_query_rules: 200",
        "keepalived.conf:17: priority: is no number from 1 to 255: keepalived's default is used, 100",
        "interface: there is no em1 here",
        "keepalived.conf:6: vrrp_script: replaced by the proxy's own liveness",
        "proxysql.cnf:2: datadir: ",
        "unknown global variable 'mysql-an_option_of_tomorrow'",
        "/tmp/proxysql_admin.sock: now ",
        "/run/proxysql_admin.sock, the only directory",
        "would be written",
    ];
    for line in expected {
        ensure!(output.stdout.contains(line), "no {line:?} in what it printed:\n{}", output.stdout);
    }
    let after = contents(cluster, 0)?;
    ensure!(before == after, "a rehearsal changed something: {before:?} became {after:?}");
    Ok(())
}

fn refusals(cluster: &Cluster, program: &Path, directory: &Path) -> Result<()> {
    let before = contents(cluster, 0)?;
    let refused = |arguments: &str, words: &str| -> Result<()> {
        let output = standfast(cluster, 0, program, directory, arguments)?;
        ensure!(!output.success, "it worked: {}", output.stdout);
        ensure!(output.stderr.contains(words), "it said {:?}", output.stderr);
        Ok(())
    };
    refused(HOSTS, "is there already; --force replaces it")?;
    refused(&format!("{HOSTS} --force"), "a proxy runs on this database")?;
    let after = contents(cluster, 0)?;
    ensure!(before == after, "a refused import changed something: {before:?} became {after:?}");
    Ok(())
}

fn imported(cluster: &mut Cluster, host: usize, program: &Path, directory: &Path) -> Result<()> {
    let name = cluster.hosts[host].name.clone();
    let conf = sources::keepalived_conf(PRIORITIES[host]);
    fs::write(directory.join(format!("{name}.keepalived.conf")), conf)?;
    ensure!(cluster.hosts[host].stop(), "{name}: a unit had to be killed to stop");
    let output = standfast(cluster, host, program, directory, &format!("{HOSTS} --force"))?;
    ensure!(output.success, "{name}: {}", output.stderr);
    let config = cluster.hosts[host].config();
    let check = format!("exec {} check {}", program.display(), config.display());
    let checked = shell::bash(&cluster.hosts[host].netns, &directory.join("shell"), &check, LIMIT)?;
    ensure!(checked.success, "{name}: standfast check: {}", checked.stderr);
    cluster.hosts[host].start()?;
    cluster.hosts[host].ready()
}

/// The VIP at home, a query and a change through it, and the tables at runtime as large as the sources.
fn serves(cluster: &Cluster, directory: &Path) -> Result<()> {
    let vip = cluster.vips()[0];
    cluster.wait_for_holder(vip, 0, Duration::from_secs(60))?;
    let client = cluster.client()?;
    let account = probe::account(vip, 3311);
    let statements =
        ["SELECT 1", "CREATE TABLE IF NOT EXISTS imported (a INT)", "INSERT INTO imported VALUES (1)"];
    workload::run_once(&client, &account, &statements).context("through the VIP")?;
    for host in &cluster.hosts {
        let script = format!(
            "exec mariadb --no-defaults -h {} -P 3310 -uadmin -ps3cr3t-adm -N -e \"\
             SELECT COUNT(*) FROM runtime_mysql_servers; SELECT COUNT(*) FROM mysql_users; \
             SELECT COUNT(*) FROM runtime_mysql_query_rules; \
             SELECT variable_value FROM runtime_global_variables WHERE variable_name = 'mysql-max_connections'; \
             SELECT weight FROM runtime_mysql_servers WHERE hostgroup_id = 500 AND hostname = '192.168.0.21'\"",
            host.address
        );
        let output = shell::bash(&client, &directory.join("shell"), &script, LIMIT)?;
        ensure!(output.success, "{}: {}", host.name, output.stderr);
        let expected = format!("{} {} {} 4096 500", sources::SERVERS, sources::USERS, sources::RULES);
        let seen = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(seen == expected, "{}: {seen}, not {expected}", host.name);
    }
    Ok(())
}

/// Its prediction for a read and for a write of the article's user, and what the pool counted afterwards.
fn routes(cluster: &Cluster, program: &Path, directory: &Path) -> Result<()> {
    let host = &cluster.hosts[0];
    let route = |sql: &str| -> Result<String> {
        let config = host.config();
        let script = format!(
            "exec {} route '{sql}' --user load_RW --schema test --config {}",
            program.display(),
            config.display()
        );
        let output = shell::bash(&host.netns, &directory.join("shell"), &script, LIMIT)?;
        ensure!(output.success, "{}", output.stderr);
        Ok(output.stdout)
    };
    let read = route("SELECT a FROM imported WHERE a = 1")?;
    for line in [
        "SELECT a FROM imported WHERE a = ?",
        "rule 9001",
        "hostgroup  501: rule 9001",
        "192.168.0.5:3306  eligible",
    ] {
        ensure!(read.contains(line), "no {line:?} in\n{read}");
    }
    let write = route("INSERT INTO imported VALUES (2)")?;
    ensure!(write.contains("hostgroup  500: no rule matched: default_hostgroup of user load_RW"), "{write}");
    let client = cluster.client()?;
    let query = |sql: &str| -> Result<String> {
        let script = format!(
            "exec mariadb --no-defaults -h {} -P 3310 -uadmin -ps3cr3t-adm -N -e \"{sql}\"",
            host.address
        );
        let output = shell::bash(&client, &directory.join("shell"), &script, LIMIT)?;
        ensure!(output.success, "{}", output.stderr);
        Ok(output.stdout)
    };
    let count = "SELECT SUM(Queries) FROM stats_mysql_connection_pool WHERE hostgroup = 501";
    let before = query(count)?;
    let account = probe::account(cluster.vips()[0], 3311);
    workload::run_once(&client, &account, &["SELECT a FROM imported WHERE a = 1"])?;
    wait::until(&format!("more than {} statements of hostgroup 501", before.trim()), LIMIT, || {
        query(count).is_ok_and(|after| after != before)
    })?;
    let rows = query("EXPLAIN ROUTE 'SELECT a FROM imported WHERE a = 1' USER 'load_RW'")?;
    ensure!(rows.contains("hostgroup\t501\trule 9001"), "EXPLAIN ROUTE says otherwise:\n{rows}");
    Ok(())
}

fn unsaved(cluster: &Cluster, program: &Path, directory: &Path) -> Result<()> {
    let host = &cluster.hosts[0];
    let status = || -> Result<String> {
        let script = format!("exec {} status --config {}", program.display(), host.config().display());
        let output = shell::bash(&host.netns, &directory.join("shell"), &script, LIMIT)?;
        ensure!(output.success, "{}", output.stderr);
        Ok(output.stdout)
    };
    let words = "runtime differs from disk: MYSQL SERVERS;";
    ensure!(
        !status()?.contains("runtime differs"),
        "after an import, disk and runtime differ:\n{}",
        status()?
    );
    let change = |sql: &str| -> Result<()> {
        let account = crate::mysql::client::Account {
            address: (host.address, 3310).into(),
            user: "admin".into(),
            password: "s3cr3t-adm".into(),
            database: None,
        };
        workload::run_once(&cluster.client()?, &account, &sql.split("; ").collect::<Vec<_>>())
    };
    change("UPDATE mysql_servers SET max_connections = 55; LOAD MYSQL SERVERS TO RUNTIME")?;
    ensure!(status()?.contains(words), "no {words:?} in\n{}", status()?);
    change("SAVE MYSQL SERVERS TO DISK")?;
    ensure!(!status()?.contains("runtime differs"), "it still says so after SAVE:\n{}", status()?);
    Ok(())
}
