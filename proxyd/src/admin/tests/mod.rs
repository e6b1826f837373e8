//! The admin interface without sockets: statements in, answers out.

mod article;
mod bulk;
mod commands;
mod digests;
mod exporter;
mod galera;
mod grammar;
mod layers;
mod orders;
mod round_trip;
mod route;
mod server;
mod surface;
mod tables;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use configs::{Angel, Appliance, FirstBoot, Host, Paths, Proxy, Value};

use super::service::{Admin, AdminError, Answer, Session};
use super::store::Rights;
use crate::control::WorkerHandle;
use crate::runtime::Runtime;
use crate::snapshot::Snapshot;

/// A data directory that goes away with its test.
pub struct DataDir(pub PathBuf);

impl DataDir {
    pub fn new() -> DataDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("standfast-admin-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a directory");
        DataDir(path)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An admin interface and one session in it.
pub struct Console {
    pub admin: Admin,
    pub session: Session,
    pub runtime: Rc<RefCell<Runtime>>,
}

impl Console {
    pub fn boot(dir: &Path, first_boot: FirstBoot) -> Console {
        Console::with_workers(dir, first_boot, Vec::new())
    }

    pub fn with_workers(dir: &Path, first_boot: FirstBoot, workers: Vec<WorkerHandle>) -> Console {
        Console::new(dir, first_boot, workers, i64::MAX)
    }

    /// Tables with more than `many` rows are filled by [`Console::finish`].
    fn new(dir: &Path, first_boot: FirstBoot, workers: Vec<WorkerHandle>, many: i64) -> Console {
        let slot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let runtime = Rc::new(RefCell::new(Runtime::new(slot, workers)));
        let config = first_boot.clone();
        let read_config = Box::new(move || Ok(config.clone()));
        let appliance = appliance(dir, first_boot);
        let admin = Admin::boot_leaving(&appliance, runtime.clone(), read_config, many).expect("boots");
        let session = admin.open_session(1, "admin", Rights::default());
        Console { admin, session, runtime }
    }

    /// Runs every statement of a text; the answer is the last one's.
    pub fn run(&mut self, text: &str) -> Result<Answer, AdminError> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let mut last = Answer::Ok { affected: 0, warnings: 0 };
        for statement in self.admin.split(text) {
            last = tokio.block_on(self.admin.execute(&mut self.session, &statement))?;
        }
        Ok(last)
    }

    pub fn ok(&mut self, text: &str) -> Answer {
        self.run(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    pub fn refused(&mut self, text: &str) -> String {
        match self.run(text) {
            Ok(answer) => panic!("{text}: {answer:?}"),
            Err(error) => error.text,
        }
    }

    /// The rows of a SELECT, cells joined by commas, NULL as `-`.
    pub fn rows(&mut self, text: &str) -> Vec<String> {
        match self.ok(text) {
            Answer::Rows(result) => result
                .rows
                .into_iter()
                .map(|row| {
                    row.into_iter().map(|cell| cell.unwrap_or("-".into())).collect::<Vec<_>>().join(",")
                })
                .collect(),
            answer @ Answer::Ok { .. } => panic!("{text}: {answer:?}"),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.runtime.borrow().snapshot()
    }
}

pub fn appliance(dir: &Path, first_boot: FirstBoot) -> Appliance {
    Appliance {
        host: Host { name: "test1".into(), address: [127, 0, 0, 1].into() },
        peers: Vec::new(),
        routers: Vec::new(),
        checks: Vec::new(),
        angel: Angel {
            grace: Duration::from_secs(1),
            hang_timeout: Duration::from_millis(500),
            crash_limit: 2,
            crash_window: Duration::from_secs(30),
            max_backoff: Duration::from_secs(5),
            recovery: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        },
        proxy: Proxy {
            workers: 3,
            mysql_listen: vec!["0.0.0.0:6033".parse().expect("an address")],
            admin_listen: vec!["127.0.0.1:6032".parse().expect("an address")],
            packet_memory: 1 << 30,
        },
        paths: Paths { run_dir: dir.to_owned(), data_dir: dir.to_owned() },
        first_boot,
    }
}

/// One server, one user, one rule, and the article's admin login.
pub fn small_config() -> FirstBoot {
    let row = |cells: &[(&str, Value)]| -> BTreeMap<String, Value> {
        cells.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    };
    let text = |text: &str| Value::Text(text.to_owned());
    let server = row(&[("hostgroup_id", Value::Integer(10)), ("hostname", text("db1"))]);
    let user = row(&[
        ("username", text("app")),
        ("password", text("secret")),
        ("default_hostgroup", Value::Integer(10)),
    ]);
    let rule = row(&[
        ("rule_id", Value::Integer(1)),
        ("active", Value::Integer(1)),
        ("match_digest", text("^SELECT ")),
        ("destination_hostgroup", Value::Integer(10)),
    ]);
    FirstBoot {
        tables: [("mysql_servers", server), ("mysql_users", user), ("mysql_query_rules", rule)]
            .into_iter()
            .map(|(table, row)| (table.to_owned(), vec![row]))
            .collect(),
        mysql_variables: [("monitor_username".to_owned(), "watcher".to_owned())].into(),
        admin_variables: [("admin_credentials".to_owned(), "admin:admin".to_owned())].into(),
    }
}
