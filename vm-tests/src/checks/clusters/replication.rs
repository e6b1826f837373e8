//! Asynchronous replication: three MySQL 9.7 servers, one of which writes. Who promotes is this bench, by SQL, a second after a
//! failure, as a replication manager would; the proxies see only `read_only`.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::Drill;
use super::bench::{Bench, Cluster, server_rows};
use crate::checks::runner::Runner;
use crate::lab::{net, wait};
use crate::mysql97::replicas::Replicas;
use crate::mysql97::root::SidRoot;

/// `hostgroup last-byte-of-the-address`: writer 2, readers 3.
const WELL: &str = "2 5, 3 21, 3 231";
const SWITCHED: &str = "2 21, 3 21, 3 231, 3 5";
/// What a replication manager needs to be sure.
const DECISION: Duration = Duration::from_secs(1);

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let root = SidRoot::get()?;
    let rows = format!(
        "monitor_read_only_interval = 1000\nmonitor_read_only_timeout = 800\n{}\
         [[mysql_replication_hostgroups]]\nwriter_hostgroup = 2\nreader_hostgroup = 3\n\
         [[mysql_hostgroup_attributes]]\nhostgroup_id = 2\nhostgroup_settings = '{{\"single_writer\": 1}}'\n",
        server_rows([2, 3, 3])
    );
    let start = |network: &_, directory: &_| -> Result<Box<dyn Cluster>> {
        Ok(Box::new(Replicas::start(&root, network, directory)?))
    };
    let bench = Bench::start(runner, &rows, start, |servers| {
        promote(servers, 0)?;
        [1, 2].into_iter().try_for_each(|index| follow(servers, index, 0))
    })?;
    super::run(runner, "replication", bench, WELL, &DRILLS);
    Ok(())
}

impl Cluster for Replicas {
    fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        Replicas::signal(self, index, signal)
    }

    fn restart(&mut self, index: usize) -> Result<()> {
        Replicas::restart(self, index)
    }

    fn query(&self, index: usize, sql: &str) -> Result<String> {
        Replicas::query(self, index, sql)
    }
}

const DRILLS: [Drill; 7] = [
    Drill {
        name: "the writer is killed",
        fail: |bench| {
            bench.cluster.signal(0, Signal::SIGKILL)?;
            fail_over(bench)
        },
        settled: is_promoted,
        heal: |bench| {
            bench.cluster.restart(0)?;
            come_home(bench)
        },
        places: SWITCHED,
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "the writer is frozen",
        fail: |bench| {
            bench.cluster.signal(0, Signal::SIGSTOP)?;
            fail_over(bench)
        },
        settled: is_promoted,
        heal: |bench| {
            bench.cluster.signal(0, Signal::SIGCONT)?;
            come_home(bench)
        },
        places: SWITCHED,
        limit: Duration::from_secs(8),
        heals_with: 0,
    },
    Drill {
        name: "the writer loses its network",
        fail: |bench| {
            bench.network.cut("galera1h1n5")?;
            fail_over(bench)
        },
        settled: is_promoted,
        heal: |bench| {
            bench.network.join("galera1h1n5")?;
            come_home(bench)
        },
        places: SWITCHED,
        limit: Duration::from_secs(8),
        heals_with: 0,
    },
    Drill {
        name: "the writer is switched",
        fail: |bench| switch(bench, 0, 1),
        settled: is_promoted,
        heal: |bench| switch(bench, 1, 0),
        places: SWITCHED,
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "a replica says that it may write",
        fail: |bench| {
            bench.cluster.query(1, "SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF").map(drop)
        },
        settled: is_quarantined,
        heal: |bench| bench.set(1, "super_read_only = ON"),
        places: WELL,
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "a replica is killed",
        fail: |bench| bench.cluster.signal(1, Signal::SIGKILL),
        settled: |_| true,
        heal: |bench| {
            bench.cluster.restart(1)?;
            follow(bench.cluster.as_ref(), 1, 0)
        },
        places: WELL,
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "a rolling restart, the writer last",
        fail: |bench| {
            for index in [2, 1] {
                restart(bench, index, 0)?;
            }
            switch(bench, 0, 1)?;
            restart(bench, 0, 1)?;
            switch(bench, 1, 0)
        },
        settled: |_| true,
        heal: |_| Ok(()),
        places: WELL,
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
];

fn promote(servers: &dyn Cluster, index: usize) -> Result<()> {
    let sql = "STOP REPLICA; RESET REPLICA ALL; SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF";
    servers.query(index, sql).map(drop)
}

fn follow(servers: &dyn Cluster, index: usize, source: usize) -> Result<()> {
    let address = net::database_hosts()[source].address;
    let sql = format!(
        "SET GLOBAL super_read_only = ON; STOP REPLICA; CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{address}', \
         SOURCE_PORT = 3306, SOURCE_USER = 'repl', SOURCE_PASSWORD = 'repl', SOURCE_SSL = 1, \
         SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 1000; START REPLICA"
    );
    servers.query(index, &sql).map(drop)
}

/// The second server writes from now on, the third follows it.
fn fail_over(bench: &mut Bench) -> Result<()> {
    std::thread::sleep(DECISION);
    promote(bench.cluster.as_ref(), 1)?;
    follow(bench.cluster.as_ref(), 2, 1)
}

/// The old writer is back, as a replica, and then writes again.
fn come_home(bench: &mut Bench) -> Result<()> {
    follow(bench.cluster.as_ref(), 0, 1)?;
    switch(bench, 1, 0)
}

/// An orderly switch: no writes, all that was written is there, then the other may write.
fn switch(bench: &mut Bench, from: usize, to: usize) -> Result<()> {
    let servers = bench.cluster.as_ref();
    wait_for(servers, from, to)?;
    servers.query(from, "SET GLOBAL super_read_only = ON")?;
    wait_for(servers, from, to)?;
    promote(servers, to)?;
    (0..3).filter(|index| *index != to).try_for_each(|index| follow(servers, index, to))
}

fn wait_for(servers: &dyn Cluster, source: usize, replica: usize) -> Result<()> {
    let written =
        servers.query(source, "SELECT @@global.gtid_executed")?.replace('\n', "").replace("\\n", "");
    wait::until("the replica to have it all", Duration::from_secs(30), || {
        let sql = format!("SELECT GTID_SUBSET('{written}', @@global.gtid_executed)");
        servers.query(replica, &sql).is_ok_and(|has| has == "1")
    })
    .map(drop)
}

fn restart(bench: &mut Bench, index: usize, source: usize) -> Result<()> {
    bench.cluster.signal(index, Signal::SIGTERM)?;
    bench.cluster.restart(index)?;
    follow(bench.cluster.as_ref(), index, source)
}

fn is_promoted(bench: &Bench) -> bool {
    bench.cluster.query(1, "SELECT @@global.read_only").is_ok_and(|value| value == "0")
}

fn is_quarantined(bench: &Bench) -> bool {
    let sql = "SELECT status FROM runtime_mysql_servers WHERE hostname = '192.168.0.21'";
    bench.admin(sql).is_ok_and(|status| status.trim() == "SHUNNED")
}
