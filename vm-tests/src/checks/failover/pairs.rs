//! A pair of hostgroups on real servers: what each `check_type` makes of a server, lag by a heartbeat table, and a single writer
//! that stays the writer when the proxy is restarted.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::bed::Bed;
use super::server::Kind;
use crate::checks::runner::Runner;
use crate::lab::wait;
use crate::mysql97::root::SidRoot;

/// The monitor looks often, so that a test does not wait for it.
const SETTINGS: &str = "monitor_read_only_interval = 200\nmonitor_ping_interval = 200\n\
                        monitor_replication_lag_interval = 200\n";
const PATIENCE: Duration = Duration::from_secs(60);

/// The second server is `read_only` but for what `set` says: how many servers write then.
struct Case {
    check_type: &'static str,
    set: &'static str,
    writers: u64,
}

const CASES: [Case; 5] = [
    Case { check_type: "read_only", set: "DO 0", writers: 1 },
    Case { check_type: "innodb_read_only", set: "DO 0", writers: 2 },
    Case { check_type: "read_only|innodb_read_only", set: "DO 0", writers: 1 },
    Case { check_type: "read_only&innodb_read_only", set: "DO 0", writers: 2 },
    Case { check_type: "read_only|innodb_read_only", set: "SET GLOBAL read_only = 0", writers: 2 },
];

/// MariaDB has no such variable.
const MYSQL_CASES: [Case; 2] = [
    Case { check_type: "super_read_only", set: "SET GLOBAL super_read_only = 0", writers: 2 },
    Case { check_type: "super_read_only", set: "SET GLOBAL super_read_only = 1", writers: 1 },
];

/// As pt-heartbeat makes it.
const HEARTBEAT: &str = "CREATE TABLE test.heartbeat (ts VARCHAR(26) NOT NULL, server_id INT UNSIGNED NOT NULL PRIMARY KEY, \
                         file VARCHAR(255), position BIGINT UNSIGNED, relay_master_log_file VARCHAR(255), \
                         exec_master_log_pos BIGINT UNSIGNED); GRANT SELECT ON test.heartbeat TO monitor@'%'";

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    for kind in [Kind::MariaDb, Kind::MySql(SidRoot::get()?)] {
        let name = kind.name();
        if !runner.wants(&format!("pairs/{name}")) {
            continue;
        }
        let mut bed = Bed::start(&runner.binaries, &kind, SETTINGS)?;
        bed.follow_read_only()?;
        bed.until_writer(0)?;
        let own: &[Case] = if matches!(kind, Kind::MySql(_)) { &MYSQL_CASES } else { &[] };
        for case in CASES.iter().chain(own) {
            let title = format!("pairs/{name}: {} after {}", case.check_type, case.set);
            runner.check(&title, || says(&bed, case));
        }
        runner.check(&format!("pairs/{name}: lag by a heartbeat table"), || heartbeat(&bed));
        runner
            .check(&format!("pairs/{name}: a single writer outlives the proxy"), || single_writer(&mut bed));
    }
    Ok(())
}

fn says(bed: &Bed, case: &Case) -> Result<()> {
    bed.servers[1].set_read_only(true)?;
    bed.servers[1].query(case.set)?;
    bed.admin(&format!(
        "UPDATE mysql_replication_hostgroups SET check_type = '{}'; LOAD MYSQL SERVERS TO RUNTIME",
        case.check_type
    ))?;
    let count = "SELECT COUNT(*) FROM runtime_mysql_servers WHERE hostgroup_id = 1 AND status = 'ONLINE'";
    wait::until(&format!("{} writers", case.writers), PATIENCE, || {
        bed.number(count).is_ok_and(|writers| writers == case.writers)
    })
    .with_context(|| bed.servers_now())?;
    let failed =
        "SELECT COUNT(*) FROM monitor.mysql_server_read_only_log WHERE error LIKE '%nknown system variable%'";
    ensure!(bed.number(failed)? == 0, "a server does not know what it was asked for");
    Ok(())
}

/// The source says when it was; the replica's lag is how long ago that is, whatever its threads say of themselves.
fn heartbeat(bed: &Bed) -> Result<()> {
    let [source, replica] = &bed.servers;
    replica.query("SET GLOBAL read_only = 1")?;
    source.query(HEARTBEAT)?;
    let beat = |ago: i32| {
        source.query(&format!(
            "REPLACE INTO test.heartbeat (ts, server_id) VALUES \
             (DATE_FORMAT(SYSDATE(6) - INTERVAL {ago} SECOND, '%Y-%m-%dT%H:%i:%s.%f'), 1)"
        ))
    };
    let status = format!(
        "SELECT status FROM runtime_mysql_servers WHERE hostgroup_id = 2 AND hostname = '{}'",
        replica.address
    );
    let until = |wanted: &str| {
        wait::until(&format!("a replica that is {wanted}"), PATIENCE, || {
            bed.admin(&status).is_ok_and(|status| status == wanted)
        })
        .with_context(|| {
            bed.admin("SELECT * FROM monitor.mysql_server_replication_lag_log").unwrap_or_default()
        })
    };
    // Beats that are still to come: as long as the test takes there is no lag.
    beat(-600)?;
    bed.admin(&format!(
        "SET mysql-monitor_replication_lag_use_percona_heartbeat = 'test.heartbeat'; LOAD MYSQL VARIABLES TO RUNTIME; \
         UPDATE mysql_replication_hostgroups SET check_type = 'read_only'; \
         UPDATE mysql_servers SET max_replication_lag = 5 WHERE hostgroup_id = 2 AND hostname = '{}'; \
         LOAD MYSQL SERVERS TO RUNTIME",
        replica.address
    ))?;
    until("ONLINE")?;
    beat(90)?;
    until("SHUNNED")?;
    let seen = bed.number("SELECT MAX(repl_lag) FROM monitor.mysql_server_replication_lag_log")?;
    ensure!((90..120).contains(&seen), "the lag was told as {seen} s");
    beat(-600)?;
    until("ONLINE")?;
    Ok(())
}

/// Who was promoted goes on writing though the proxy that knew it is killed, and the old writer says that it may write as well.
fn single_writer(bed: &mut Bed) -> Result<()> {
    bed.admin(
        "INSERT INTO mysql_hostgroup_attributes (hostgroup_id, hostgroup_settings) VALUES (1, '{\\\"single_writer\\\": 1}'); \
         LOAD MYSQL SERVERS TO RUNTIME; SAVE MYSQL SERVERS TO DISK",
    )?;
    bed.until_writer(0)?;
    bed.servers[0].set_read_only(true)?;
    bed.servers[1].promote()?;
    bed.until_writer(1)?;
    bed.servers[0].set_read_only(false)?;
    let old = bed.servers[0].address;
    let quarantined = format!(
        "SELECT COUNT(*) FROM runtime_mysql_servers WHERE hostname = '{old}' AND hostgroup_id = 2 AND status = 'SHUNNED'"
    );
    wait::until("the old writer in quarantine", PATIENCE, || bed.number(&quarantined).is_ok_and(|n| n == 1))
        .with_context(|| bed.servers_now())?;
    let said = bed.log().len();
    bed.restart_proxy()?;
    bed.until_writer(1)?;
    wait::until("the old writer in quarantine again", PATIENCE, || {
        bed.number(&quarantined).is_ok_and(|n| n == 1)
    })
    .with_context(|| bed.servers_now())?;
    let log = bed.log();
    let since = log.get(said..).unwrap_or_default();
    ensure!(since.contains("the single writer"), "the new proxy says nothing of it: {since}");
    ensure!(!since.contains(&format!("writer={old}")), "for a while the old one wrote: {since}");
    Ok(())
}
