//! Aurora, played by a fake: roles, discovery, fail-over, lag and the tables of `monitor`, with a client that writes all the time.
//!
//! A server's host name is its identifier and `domain_name`. Here both together are an address, `10` and `.7.7.7`, so that no
//! name has to be resolved: the cluster is 10.7.7.7, 11.7.7.7 and so on, in a namespace of its own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::fake_bed::{FakeBed, LIMIT};
use super::runner::Runner;
use super::shell;
use crate::fake::Answer;
use crate::lab::wait;

const COLUMNS: [&str; 5] =
    ["SERVER_ID", "SESSION_ID", "LAST_UPDATE_TIMESTAMP", "REPLICA_LAG_IN_MILLISECONDS", "CPU"];
const TABLES: &str = "\
    [[mysql_servers]]\nhostgroup_id = 1\nhostname = \"10.7.7.7\"\nweight = 100\n\
    [[mysql_servers]]\nhostgroup_id = 2\nhostname = \"11.7.7.7\"\nweight = 1000\n\
    [[mysql_aws_aurora_hostgroups]]\nwriter_hostgroup = 1\nreader_hostgroup = 2\ndomain_name = \".7.7.7\"\n\
    check_interval_ms = 200\ncheck_timeout_ms = 3000\nmax_lag_ms = 100\nnew_reader_weight = 7\n\
    [[mysql_users]]\nusername = \"app\"\npassword = \"app\"\ndefault_hostgroup = 1\n";

pub(super) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("mariadb", "mariadb-client")?;
    let scene = Scene::start(&runner.binaries)?;
    runner.check("aurora/roles, and a server that nobody configured", || roles(&scene));
    runner.check("aurora/lag shuns a reader and lets it back", || lag(&scene));
    runner.check("aurora/weights by zone stay as configured", || zones(&scene));
    runner.check("aurora/fail-over, and who is no longer named", || fail_over(&scene));
    runner.check("aurora/the tables of monitor", || tables(&scene));
    Ok(())
}

/// What the fake cluster is.
#[derive(Debug, Default)]
struct Cluster {
    writer: u8,
    /// Each server's lag, by the first byte of its address.
    named: BTreeMap<u8, u64>,
    dead: Vec<u8>,
    /// Seconds: later answers carry later times.
    clock: u64,
}

impl Cluster {
    fn answer(&mut self, asked: SocketAddr, sql: &str) -> Answer {
        let SocketAddr::V4(asked) = asked else { return Answer::Gone };
        let own = asked.ip().octets()[0];
        if self.dead.contains(&own) {
            return Answer::Gone;
        }
        if sql.contains("REPLICA_HOST_STATUS") {
            self.clock += 1;
            return Answer::Rows(
                COLUMNS.to_vec(),
                self.named.iter().map(|(id, lag)| self.row(*id, *lag)).collect(),
            );
        }
        match sql.starts_with("SELECT @@own") {
            true => Answer::Rows(vec!["own"], vec![vec![Some(own.to_string())]]),
            false => Answer::Done,
        }
    }

    fn row(&self, id: u8, lag: u64) -> Vec<Option<String>> {
        let is_writer = id == self.writer;
        let session =
            if is_writer { "MASTER_SESSION_ID".into() } else { format!("9c2b5a4e-0000-11ef-{id:04}") };
        let time =
            format!("2024-11-02 {:02}:{:02}:{:02}", self.clock / 3600, self.clock / 60 % 60, self.clock % 60);
        let lag = (!is_writer).then(|| format!("{lag}.375"));
        vec![Some(id.to_string()), Some(session), Some(time), lag, Some("3.5".into())]
    }
}

struct Scene {
    cluster: Arc<Mutex<Cluster>>,
    bed: FakeBed,
}

impl Scene {
    fn start(binaries: &Path) -> Result<Scene> {
        let named = BTreeMap::from([(10, 0), (11, 5), (12, 5)]);
        let cluster = Arc::new(Mutex::new(Cluster { writer: 10, named, ..Cluster::default() }));
        let addresses = [10, 11, 12, 13].map(|id| SocketAddr::from((Ipv4Addr::new(id, 7, 7, 7), 3306)));
        let played = Arc::clone(&cluster);
        let script = move |asked: SocketAddr, sql: &str| lock(&played).answer(asked, sql);
        let bed = FakeBed::start("aurora", binaries, &addresses, Arc::new(script), TABLES)?;
        Ok(Scene { cluster, bed })
    }

    fn change(&self, change: impl FnOnce(&mut Cluster)) {
        change(&mut lock(&self.cluster));
    }

    /// The cluster names this server, with such a lag.
    fn name(&self, id: u8, lag: u64) {
        lock(&self.cluster).named.insert(id, lag);
    }

    fn admin(&self, sql: &str) -> Result<String> {
        self.bed.admin(sql)
    }

    /// Who answers a write.
    fn writes(&self) -> Result<String> {
        self.bed.client("-uapp -papp", "SELECT @@own FOR UPDATE")
    }

    /// `hostgroup identifier` of each place, in order, `!` behind those that are not ONLINE.
    fn places(&self) -> Result<String> {
        let text = self.admin(
            "SELECT hostgroup_id || ' ' || REPLACE(hostname, '.7.7.7', '') || IIF(status = 'ONLINE', '', '!') \
             FROM runtime_mysql_servers WHERE status <> 'OFFLINE_HARD' ORDER BY 1",
        )?;
        Ok(text.lines().collect::<Vec<_>>().join(", "))
    }

    fn until(&self, places: &str) -> Result<Duration> {
        wait::until(&format!("the places {places}"), LIMIT, || self.places().is_ok_and(|seen| seen == places))
            .with_context(|| format!("they are {:?}", self.places()))
    }
}

fn lock(cluster: &Mutex<Cluster>) -> MutexGuard<'_, Cluster> {
    cluster.lock().unwrap_or_else(PoisonError::into_inner)
}

fn roles(scene: &Scene) -> Result<()> {
    scene.until("1 10, 2 11, 2 12")?;
    ensure!(scene.writes()? == "10");
    scene.name(13, 5);
    scene.until("1 10, 2 11, 2 12, 2 13")?;
    scene.admin("LOAD MYSQL SERVERS TO RUNTIME")?;
    ensure!(scene.places()? == "1 10, 2 11, 2 12, 2 13", "a load keeps who was discovered");
    Ok(())
}

fn lag(scene: &Scene) -> Result<()> {
    scene.name(12, 90);
    scene.until("1 10, 2 11, 2 12!, 2 13")?;
    scene.name(12, 20);
    scene.until("1 10, 2 11, 2 12, 2 13").map(drop)
}

fn zones(scene: &Scene) -> Result<()> {
    let weights = scene.admin("SELECT weight FROM runtime_mysql_servers ORDER BY hostgroup_id, hostname")?;
    ensure!(weights.lines().eq(["100", "1000", "7", "7"]), "{weights}");
    Ok(())
}

/// The writer dies; the others go on naming it for a moment, then name another.
fn fail_over(scene: &Scene) -> Result<()> {
    scene.change(|cluster| cluster.dead.push(10));
    std::thread::sleep(Duration::from_secs(1));
    scene.change(|cluster| {
        cluster.writer = 11;
        cluster.named.remove(&10);
    });
    // One that comes now waits for the new writer, and would be told of an error after `mysql-connect_timeout_server_max`.
    let by = scene.writes().with_context(|| scene.bed.proxy.log())?;
    ensure!(by == "11", "the write went to {by}");
    scene.until("1 11, 2 10!, 2 12, 2 13")?;
    scene.change(|cluster| {
        cluster.dead.clear();
        cluster.named.insert(10, 5);
        cluster.named.remove(&13);
    });
    scene.until("1 11, 2 10, 2 12").map(drop)
}

fn tables(scene: &Scene) -> Result<()> {
    let failovers =
        scene.admin("SELECT writer_hostgroup, hostname FROM monitor.mysql_server_aws_aurora_failovers")?;
    ensure!(failovers == "1\t11.7.7.7", "{failovers}");
    let row = "SELECT COUNT(DISTINCT SERVER_ID), MAX(CPU), MAX(estimated_lag_ms - replica_lag_in_milliseconds) \
               FROM monitor.mysql_server_aws_aurora_log WHERE error IS NULL";
    let seen = scene.admin(row)?;
    ensure!(seen == "4\t4\t30", "{seen}");
    let checked = "SELECT SUM(checks_tot > checks_ok AND last_error IS NOT NULL), SUM(checks_ok > 0) \
                   FROM monitor.mysql_server_aws_aurora_check_status";
    let seen = scene.admin(checked)?;
    ensure!(seen == "1\t4", "{seen}");
    let metric = "SELECT COUNT(*) FROM monitor.mysql_server_aws_aurora_log WHERE error IS NOT NULL";
    ensure!(scene.admin(metric)?.parse::<u32>()? > 0, "no row of a failed check");
    Ok(())
}
