//! Group Replication: three MySQL 9.7 servers with one primary.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;

use super::bench::{Bench, Cluster, cluster_rows};
use super::{Drill, rolling_restart};
use crate::checks::runner::Runner;
use crate::mysql97::group::Group;
use crate::mysql97::root::SidRoot;

/// `hostgroup last-byte-of-the-address`: writer 2, readers 3, offline 1.
const WELL: &str = "2 5, 3 21, 3 231";
const WITHOUT_PRIMARY: &str = "1 5, 2 21, 3 231";

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let root = SidRoot::get()?;
    let rows = cluster_rows("mysql_group_replication_hostgroups");
    let start = |network: &_, directory: &_| -> Result<Box<dyn Cluster>> {
        Ok(Box::new(Group::start(&root, network, directory)?))
    };
    let bench = Bench::start(runner, &rows, start, |_| Ok(()))?;
    runner.check("group/a member that nobody configured is discovered", || discovery(&bench));
    super::run(runner, "group", bench, WELL, &DRILLS);
    Ok(())
}

impl Cluster for Group {
    fn signal(&self, index: usize, signal: Signal) -> Result<()> {
        Group::signal(self, index, signal)
    }

    fn restart(&mut self, index: usize) -> Result<()> {
        Group::restart(self, index)
    }

    fn query(&self, index: usize, sql: &str) -> Result<String> {
        Group::query(self, index, sql)
    }
}

/// The group itself takes six to seven seconds to notice and to elect; a primary that hands over breaks what it runs.
const DRILLS: [Drill; 6] = [
    Drill {
        name: "the primary is killed",
        fail: |bench| bench.cluster.signal(0, Signal::SIGKILL),
        settled: another_is_elected,
        heal: |bench| {
            bench.cluster.restart(0)?;
            make_primary(bench)
        },
        places: WITHOUT_PRIMARY,
        limit: Duration::from_secs(12),
        heals_with: 12,
    },
    Drill {
        name: "the primary is frozen",
        fail: |bench| bench.cluster.signal(0, Signal::SIGSTOP),
        settled: another_is_elected,
        heal: |bench| {
            bench.cluster.signal(0, Signal::SIGCONT)?;
            make_primary(bench)
        },
        places: WITHOUT_PRIMARY,
        limit: Duration::from_secs(15),
        heals_with: 12,
    },
    Drill {
        name: "the primary loses its network",
        fail: |bench| bench.network.cut("galera1h1n5"),
        settled: another_is_elected,
        heal: |bench| {
            bench.network.join("galera1h1n5")?;
            make_primary(bench)
        },
        places: WITHOUT_PRIMARY,
        limit: Duration::from_secs(15),
        heals_with: 12,
    },
    Drill {
        name: "several primaries",
        fail: |bench| mode(bench, "group_replication_switch_to_multi_primary_mode()"),
        settled: |_| true,
        heal: |bench| single(bench),
        places: SEVERAL,
        limit: Duration::from_secs(3),
        heals_with: 12,
    },
    Drill {
        name: "one of several primaries is killed",
        fail: |bench| {
            mode(bench, "group_replication_switch_to_multi_primary_mode()")?;
            bench.until_places(SEVERAL)?;
            bench.cluster.signal(0, Signal::SIGKILL)
        },
        settled: |_| true,
        heal: |bench| {
            bench.cluster.restart(0)?;
            single(bench)
        },
        places: "1 5, 2 21, 3 231, 4 231",
        limit: Duration::from_secs(2),
        heals_with: 12,
    },
    Drill {
        name: "a rolling restart, the primary last",
        fail: |bench| rolling_restart(bench, [2, 1, 0]),
        settled: |_| true,
        heal: |bench| make_primary(bench),
        places: "2 21, 3 231, 3 5",
        limit: Duration::from_secs(15),
        heals_with: 12,
    },
];

/// Places with three primaries: the first writes.
const SEVERAL: &str = "2 5, 3 21, 3 231, 4 21, 4 231";

/// The third server is taken out of the configuration, and found again by what the others say.
fn discovery(bench: &Bench) -> Result<()> {
    bench.until_places(WELL)?;
    bench
        .admin("DELETE FROM mysql_servers WHERE hostname = '192.168.0.231'; LOAD MYSQL SERVERS TO RUNTIME")?;
    bench.until_places(WELL)?;
    let comment = "SELECT comment FROM runtime_mysql_servers WHERE hostname = '192.168.0.231'";
    let comment = bench.admin(comment)?;
    ensure!(comment.trim() == "discovered", "its comment is {comment:?}");
    bench
        .admin(
            "INSERT INTO mysql_servers (hostgroup_id, hostname, port, weight) VALUES (2, '192.168.0.231', 3306, 1); \
             LOAD MYSQL SERVERS TO RUNTIME",
        )
        .map(drop)
}

fn mode(bench: &Bench, function: &str) -> Result<()> {
    bench.cluster.query(0, &format!("SELECT {function}")).map(drop)
}

fn single(bench: &mut Bench) -> Result<()> {
    let own = bench.cluster.query(0, "SELECT @@server_uuid")?;
    mode(bench, &format!("group_replication_switch_to_single_primary_mode('{own}')"))
}

fn another_is_elected(bench: &Bench) -> bool {
    let role = "SELECT MEMBER_ROLE FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@server_uuid";
    bench.cluster.query(1, role).is_ok_and(|role| role == "PRIMARY")
}

/// Hands the primary's part back to the first server, once it is a member.
fn make_primary(bench: &Bench) -> Result<()> {
    let state = "SELECT MEMBER_STATE, MEMBER_ROLE FROM performance_schema.replication_group_members WHERE MEMBER_ID = @@server_uuid";
    crate::lab::wait::until("the old primary as a secondary", Duration::from_secs(60), || {
        bench.cluster.query(0, state).is_ok_and(|state| state == "ONLINE\tSECONDARY")
    })?;
    let own = bench.cluster.query(0, "SELECT @@server_uuid")?;
    bench.cluster.query(0, &format!("SELECT group_replication_set_as_primary('{own}')")).map(drop)
}
