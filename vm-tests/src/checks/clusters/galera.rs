//! Galera: three MariaDB servers.

use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;

use super::Drill;
use super::bench::{Bench, Cluster};
use crate::backend::mariadb::{self, MariaDb};
use crate::checks::runner::Runner;

/// `hostgroup last-byte-of-the-address`: writer 2, readers 3, backup writers 4, offline 1.
const WELL: &str = "2 5, 3 21, 3 231, 4 21, 4 231";
const WITHOUT_WRITER: &str = "1 5, 2 21, 3 231, 4 231";

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    mariadb::require()?;
    let bench = Bench::start(&runner.binaries, "mysql_galera_hostgroups", |network, directory| {
        Ok(Box::new(MariaDb::start(network, directory)?))
    })?;
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

    fn query(&self, index: usize, sql: &str) -> Result<String> {
        MariaDb::query(self, index, sql)
    }
}

/// The survivors have given the first node up.
fn two_are_left(bench: &Bench) -> bool {
    let size = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'wsrep_cluster_size'";
    bench.cluster.query(1, size).is_ok_and(|size| size.trim() == "2")
}

const DRILLS: [Drill; 5] = [
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
];
