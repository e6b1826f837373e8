//! The lab itself: that its network, its service manager and its backends are what the other checks take them for.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::runner::Runner;
use super::shell;
use crate::backend::mariadb;
use crate::client::{holders, workload};
use crate::lab::cluster::{BackendKind, Backends};
use crate::lab::net::{self, Network};
use crate::lab::unit::{Spec, Unit};
use crate::lab::{process, teardown, wait};

/// A check that hangs is a failed one.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("mysql", "mariadb-client")?;
    teardown::clear()?;
    let machines: Vec<_> = net::proxy_hosts().into_iter().chain(net::database_hosts()).collect();
    let network = Network::build(&machines)?;
    runner.check("lab/a cut cable is silent, a mended one speaks", || cable(&network));
    runner.check("lab/a killed unit is back after 100 ms, a stopped one is not", || restarts(&network));
    runner.check("lab/a dead host leaves no process", || power(&network));
    runner.check("lab/embedded backends are one cluster for a real client", || {
        one_cluster(&network, BackendKind::Sqlite, "embedded")
    });
    runner.check("lab/MariaDB servers are one cluster for a real client", || {
        mariadb::require()?;
        one_cluster(&network, BackendKind::Mariadb, "mariadb")
    });
    Ok(())
}

fn cable(network: &Network) -> Result<()> {
    let client = network.namespace(net::CLIENT)?;
    let directory = teardown::directory().join("cable");
    let dial = "timeout 1 bash -c '</dev/tcp/192.168.0.11/1' 2>&1 | grep -q refused && echo 1; true";
    let reachable =
        || -> Result<bool> { Ok(shell::bash(&client, &directory, dial, LIMIT)?.stdout.trim() == "1") };
    let answers = |when: &str| {
        wait::until(&format!("test1 answers the client {when}"), LIMIT, || reachable().unwrap_or(false))
    };
    answers("at first")?;
    network.cut("test1")?;
    ensure!(!reachable()?, "test1 answers through a cut cable");
    network.join("test1")?;
    answers("after its cable is back")?;
    let alone = holders::addresses(&network.namespace("test1")?);
    ensure!(alone.contains(&Ipv4Addr::new(192, 168, 0, 11)), "test1 has {alone:?}");
    Ok(())
}

/// A unit that says READY=1 and then sleeps; after its end it notes what ExecStopPost= was told.
fn sleeper(name: &str) -> Spec {
    let directory = teardown::directory();
    let note = directory.join(format!("{name}.note"));
    let post = format!("echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS >> {}", note.display());
    Spec {
        name: name.into(),
        program: PathBuf::from("bash"),
        arguments: ["-c", "exec sleep 1000"].map(String::from).to_vec(),
        stop_post: Some((PathBuf::from("bash"), ["-c".to_owned(), post].to_vec())),
        stop_timeout: LIMIT,
        directory,
    }
}

fn restarts(network: &Network) -> Result<()> {
    let mut unit = Unit::start(sleeper("sleeper"), &network.namespace("test2")?)?;
    let sleeps = |unit: &Unit| {
        let name = unit.main_pid().map(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")));
        matches!(name, Some(Ok(name)) if name == "sleep\n")
    };
    wait::until("the unit runs", LIMIT, || sleeps(&unit))?;
    let killed = Instant::now();
    unit.kill(Signal::SIGKILL)?;
    wait::until("its second start", LIMIT, || unit.starts() == 2 && unit.main_pid().is_some())?;
    ensure!(killed.elapsed() >= Duration::from_millis(100), "after {:?}", killed.elapsed());
    wait::until("the unit runs again", LIMIT, || sleeps(&unit))?;
    ensure!(unit.stop(), "SIGTERM did not end it");
    let note = std::fs::read_to_string(teardown::directory().join("sleeper.note"))?;
    ensure!(note == "signal killed KILL\nsuccess killed TERM\n", "ExecStopPost was told {note:?}");
    Ok(())
}

fn power(network: &Network) -> Result<()> {
    let netns = network.namespace("test3")?;
    let mut unit = Unit::start(sleeper("powerless"), &netns)?;
    wait::until("the unit runs inside", LIMIT, || !process::inside(netns.inode()).is_empty())?;
    unit.vanish();
    ensure!(process::inside(netns.inode()).is_empty(), "a process lives on a dead host");
    ensure!(!teardown::directory().join("powerless.note").exists(), "a dead host ran ExecStopPost");
    Ok(())
}

/// The article's statements at the first server; every server must then have the row.
fn one_cluster(network: &Network, kind: BackendKind, name: &str) -> Result<()> {
    let directory = teardown::directory().join(name);
    std::fs::create_dir_all(&directory)?;
    let backends = Backends::start(kind, network, &directory)?;
    let client = network.namespace(net::CLIENT)?;
    let work = teardown::directory().join("shell");
    for (index, machine) in net::database_hosts().iter().enumerate() {
        let mysql = format!("mysql --no-defaults -h {} -uload_RW -ptest -N -e", machine.address);
        let create = if index == 0 { workload::CREATE_TABLE.replace('`', "") + ";" } else { String::new() };
        let script = format!(
            "{mysql} \"{create} BEGIN; set @userHost='a'; select concat(user,'_', host) into @userHost from \
             information_schema.processlist where user = 'load_RW' limit 1; insert into test.testtable2 \
             values(NULL,'x',SYSDATE(6),@@hostname,@userHost); commit; select count(*), max(host), max(userhost) from test.testtable2\""
        );
        let output = shell::bash(&client, &work, &script, LIMIT)?;
        let seen = output.stdout.split_whitespace().next().unwrap_or_default().to_owned();
        ensure!(seen == (index + 1).to_string(), "{} has {seen} rows: {}", machine.name, output.stderr);
        ensure!(output.stdout.contains("load_RW_192.168.0.100"), "{}", output.stdout);
        ensure!(index > 0 || output.stdout.contains(&machine.name), "{}", output.stdout);
    }
    drop(backends);
    Ok(())
}
