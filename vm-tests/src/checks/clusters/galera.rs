//! Galera: three MariaDB servers.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::bench::{Bench, Cluster, cluster_rows};
use super::{Drill, rolling_restart};
use crate::backend::mariadb::{self, MariaDb};
use crate::checks::runner::Runner;
use crate::lab::wait;

/// `hostgroup last-byte-of-the-address`: writer 2, readers 3, backup writers 4, offline 1.
const WELL: &str = "2 5, 3 21, 3 231, 4 21, 4 231";
const WITHOUT_WRITER: &str = "1 5, 2 21, 3 231, 4 231";

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    mariadb::require()?;
    let start = |network: &_, directory: &_| -> Result<Box<dyn Cluster>> {
        Ok(Box::new(MariaDb::start(network, directory)?))
    };
    let bench = Bench::start(runner, &cluster_rows("mysql_galera_hostgroups"), start, |_| Ok(()))?;
    runner
        .check("galera/a scheduled checker takes a desynced node out and puts it back", || scheduled(&bench));
    super::run(runner, "galera", bench, WELL, &DRILLS);
    Ok(())
}

impl Cluster for MariaDb {
    fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        MariaDb::signal(self, index, signal)
    }

    fn restart(&mut self, index: usize) -> Result<()> {
        MariaDb::restart(self, index)
    }

    fn restart_empty(&mut self, index: usize) -> Result<()> {
        MariaDb::restart_empty(self, index)
    }

    fn query(&self, index: usize, sql: &str) -> Result<String> {
        MariaDb::query(self, index, sql)
    }
}

/// What followed Galera before ProxySQL had tables for it: the scheduler's program asks each node and sets its status. Its
/// argument is the hostgroup. A donor (2) and whoever else is not synced (4) is out.
const CHECKER: &str = r#"#!/bin/bash
set -eu -o pipefail
admin() { mariadb --no-defaults -N -h 127.0.0.1 -P 6032 -uadmin -padmin -e "$1" </dev/null; }
changed=
while read -r host port status; do
    state=$(mariadb --no-defaults -N --connect-timeout=2 -h "$host" -P "$port" -umonitor -pmonitor \
        -e "SHOW GLOBAL STATUS LIKE 'wsrep_local_state'" </dev/null | cut -f 2 || echo 0)
    if [ "$state" = 4 ]; then wanted=ONLINE; else wanted=OFFLINE_SOFT; fi
    if [ "$status" != "$wanted" ]; then
        admin "UPDATE mysql_servers SET status='$wanted' WHERE hostgroup_id=$1 AND hostname='$host' AND port=$port"
        changed=1
    fi
done < <(admin "SELECT hostname, port, status FROM mysql_servers WHERE hostgroup_id=$1")
if [ -n "$changed" ]; then admin 'LOAD MYSQL SERVERS TO RUNTIME'; fi
"#;

/// With the tables for Galera out of force.
fn scheduled(bench: &Bench) -> Result<()> {
    bench.until_places(WELL)?;
    let script = bench.program("checker.sh", CHECKER)?;
    bench.admin(&format!(
        "UPDATE mysql_galera_hostgroups SET active = 0; \
         INSERT INTO mysql_servers (hostgroup_id, hostname, port) SELECT 3, hostname, port FROM mysql_servers; \
         LOAD MYSQL SERVERS TO RUNTIME; \
         INSERT INTO scheduler (id, interval_ms, filename, arg1) VALUES (1, 300, '{script}', '3'); \
         LOAD SCHEDULER TO RUNTIME"
    ))?;
    let readers = |status: &str| {
        let sql = format!(
            "SELECT GROUP_CONCAT(hostname) FROM runtime_mysql_servers WHERE hostgroup_id = 3 AND status = '{status}'"
        );
        bench.admin(&sql).map(|text| text.trim().to_owned())
    };
    bench.set(1, "wsrep_desync = ON")?;
    wait::until("the desynced node out of reads", PATIENCE, || {
        readers("OFFLINE_SOFT").is_ok_and(|hosts| hosts == "192.168.0.21")
    })?;
    bench.set(1, "wsrep_desync = OFF")?;
    wait::until("the node among the readers again", PATIENCE, || {
        readers("ONLINE").is_ok_and(|hosts| hosts.split(',').count() == 3)
    })?;
    bench.admin(
        "DELETE FROM scheduler; LOAD SCHEDULER TO RUNTIME; DELETE FROM mysql_servers WHERE hostgroup_id = 3; \
         UPDATE mysql_galera_hostgroups SET active = 1; LOAD MYSQL SERVERS TO RUNTIME",
    )?;
    bench.until_places(WELL).map(drop)
}

const PATIENCE: Duration = Duration::from_secs(20);

/// The survivors have given the first node up.
fn two_are_left(bench: &Bench) -> bool {
    let size = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_size'";
    bench.cluster.query(1, size).is_ok_and(|size| size.trim() == "2")
}

const DRILLS: [Drill; 8] = [
    Drill {
        name: "the writer is killed",
        fail: |bench| bench.cluster.signal(0, Signal::SIGKILL),
        settled: two_are_left,
        heal: |bench| bench.cluster.restart(0),
        places: WITHOUT_WRITER,
        limit: Duration::from_secs(1),
        heals_with: 0,
    },
    Drill {
        name: "the writer is frozen",
        fail: |bench| bench.cluster.signal(0, Signal::SIGSTOP),
        settled: two_are_left,
        heal: |bench| bench.cluster.signal(0, Signal::SIGCONT),
        places: WITHOUT_WRITER,
        limit: Duration::from_secs(10),
        heals_with: 0,
    },
    Drill {
        name: "the writer is desynced",
        fail: |bench| bench.set(0, "wsrep_desync = ON"),
        settled: |_| true,
        heal: |bench| bench.set(0, "wsrep_desync = OFF"),
        places: WITHOUT_WRITER,
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "the writer is set read_only",
        fail: |bench| bench.set(0, "read_only = ON"),
        settled: |_| true,
        heal: |bench| bench.set(0, "read_only = OFF"),
        places: "2 21, 3 231, 3 5, 4 231",
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "the writer loses its network",
        fail: |bench| bench.network.cut("galera1h1n5"),
        settled: two_are_left,
        heal: |bench| bench.network.join("galera1h1n5"),
        places: WITHOUT_WRITER,
        limit: Duration::from_secs(15),
        heals_with: 0,
    },
    Drill {
        name: "the writer rejects queries",
        fail: |bench| bench.set(0, "wsrep_reject_queries = ALL"),
        settled: |_| true,
        heal: |bench| bench.set(0, "wsrep_reject_queries = NONE"),
        places: WITHOUT_WRITER,
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "a reader dies; a donor gives it all",
        fail: |bench| bench.cluster.signal(2, Signal::SIGKILL),
        settled: |_| true,
        heal: |bench| bench.cluster.restart_empty(2),
        places: "1 231, 2 5, 3 21, 4 21",
        limit: Duration::from_secs(2),
        heals_with: 0,
    },
    Drill {
        name: "a rolling restart, the writer last",
        fail: |bench| rolling_restart(bench, [2, 1, 0]),
        settled: |_| true,
        heal: |_| Ok(()),
        places: WELL,
        limit: Duration::from_secs(15),
        heals_with: 0,
    },
];
