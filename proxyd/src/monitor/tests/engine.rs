//! The engine against a small server on the loopback that plays a database: alive, silent, writable or not.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use proxyd_wire::auth::Plugin;
use proxyd_wire::response::{ColumnDefinition, text_resultset};
use proxyd_wire::server::{Config, Credential, Login, Step};
use proxyd_wire::{Capabilities, Command, ErrPacket, OkPacket, Status as Flags};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

use super::super::engine::{Handle, start_with};
use crate::admin::{Check, CheckLog};
use crate::net::{BufferPool, Connection, Packets, Stream};
use crate::runtime::{
    Address, ReplicationHostgroup, Runtime, ServerRow, ServersConfig, Settings, SharedRuntime,
};
use crate::snapshot::{Server, Snapshot, Status};

const WRITERS: u32 = 10;
const READERS: u32 = 20;
/// Far more than anything here takes, for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Database {
    read_only: Cell<bool>,
    /// Replies to `SHOW SLAVE STATUS` only, as old servers do.
    lag: Cell<u32>,
    /// Takes connections and says nothing on them any more.
    silent: Cell<bool>,
}

impl Database {
    async fn listen(self: Rc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let database = self.clone();
            tokio::task::spawn_local(async move {
                // The monitors leave whenever they like.
                let _ = database.serve(Connection::new(Stream::Tcp(stream))).await;
            });
        }
    }

    async fn serve(&self, mut connection: Connection) -> std::io::Result<()> {
        let buffers = BufferPool::default();
        let mut packets = Packets::new(&mut connection, &buffers, 1 << 16);
        let mut login = Login::new(Config {
            server_version: "8.0.11".into(),
            thread_id: 1,
            nonce: [b'n'; 20],
            capabilities: Capabilities::LONG_PASSWORD,
            collation: 45,
            default_plugin: Plugin::CachingSha2,
            tls_available: false,
            is_local: false,
            public_key_pem: None,
            peer_host: "127.0.0.1".into(),
        });
        self.while_silent().await;
        packets.send(&login.greeting()).await?;
        login.on(&packets.receive().await?);
        match login.credential(Some(Credential::Clear("monitor".into()))) {
            Step::Accept { before_ok } => {
                if let Some(payload) = before_ok {
                    packets.send(&payload).await?;
                }
            }
            Step::Refuse(error) => return packets.send(&error.encode()).await,
            other => panic!("{other:?}"),
        }
        let ok =
            OkPacket { status: Flags::AUTOCOMMIT, ..OkPacket::default() }.encode(Capabilities::PROTOCOL_41);
        packets.send(&ok).await?;
        loop {
            let command = packets.receive().await?;
            self.while_silent().await;
            match command.first().copied().and_then(Command::from_byte) {
                Some(Command::Ping) => packets.send(&ok).await?,
                Some(Command::Query) => {
                    let (name, value) = match command.get(1..) {
                        Some(b"SHOW REPLICA STATUS") => {
                            packets.send(&ErrPacket::new(1064, b"42000", "syntax").encode()).await?;
                            continue;
                        }
                        Some(b"SHOW SLAVE STATUS") => ("Seconds_Behind_Master", self.lag.get()),
                        _ => ("read_only", u32::from(self.read_only.get())),
                    };
                    let rows = [vec![Some(value.to_string())]];
                    let columns = [ColumnDefinition::integer(name)];
                    let answer =
                        text_resultset(&columns, &rows, Flags::AUTOCOMMIT, Capabilities::PROTOCOL_41);
                    packets.connection.write_all(&answer).await?;
                }
                _ => return Ok(()),
            }
        }
    }

    async fn while_silent(&self) {
        while self.silent.get() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What is never late, on a machine with much other work.
const PATIENT: [&str; 4] = [
    "mysql-monitor_read_only_timeout",
    "mysql-monitor_ping_timeout",
    "mysql-monitor_connect_timeout",
    "mysql-monitor_replication_lag_timeout",
];

/// A database, a runtime with it as a reader of a pair, and monitors with intervals of a test's length.
struct Scene {
    database: Rc<Database>,
    runtime: SharedRuntime,
    logs: Rc<RefCell<Vec<CheckLog>>>,
    monitors: Handle,
    address: Address,
}

impl Scene {
    async fn set(variables: &[(&str, &str)]) -> Scene {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Address { hostname: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
        let database = Rc::new(Database::default());
        tokio::task::spawn_local(database.clone().listen(listener));

        let mut runtime = Runtime::new(Arc::new(ArcSwap::from_pointee(Snapshot::default())), Vec::new());
        let mut settings = Settings::default();
        for (name, value) in variables {
            settings.set(name, value);
        }
        runtime.load_settings(settings);
        let pair = ReplicationHostgroup { writer: WRITERS, reader: READERS, check_type: "read_only".into() };
        runtime.load_servers(ServersConfig {
            servers: vec![row(&address)],
            replication: vec![pair],
            ..ServersConfig::default()
        });
        let runtime = Rc::new(RefCell::new(runtime));
        let logs = Rc::new(RefCell::new(Vec::new()));
        let sink = logs.clone();
        let monitors = start_with(runtime.clone(), None, move |log| sink.borrow_mut().push(log.clone()));
        Scene { database, runtime, logs, monitors, address }
    }

    fn load(&self, variables: &[(&str, &str)]) {
        let mut settings = self.runtime.borrow().settings().clone();
        variables.iter().for_each(|(name, value)| settings.set(name, value));
        self.runtime.borrow_mut().load_settings(settings);
    }

    /// Checks that take their time are answered all the same.
    fn wait_longer(&self) {
        self.load(&PATIENT.map(|name| (name, "10000")));
    }

    /// Hostgroup and status of each place the database has.
    fn places(&self) -> Vec<(u32, Status)> {
        let runtime = self.runtime.borrow();
        let live = runtime.members().iter().filter(|member| !member.removed);
        live.map(|member| (member.row.hostgroup_id, member.status)).collect()
    }

    async fn until(&self, wanted: &[(u32, Status)]) {
        let reached = async {
            while self.places() != wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, reached).await;
        assert!(outcome.is_ok(), "wanted {wanted:?}, got {:?}; {:?}", self.places(), self.logs.borrow());
    }

    fn logged(&self, wanted: impl Fn(&CheckLog) -> bool) -> usize {
        self.logs.borrow().iter().filter(|log| wanted(log)).count()
    }
}

fn row(address: &Address) -> ServerRow {
    ServerRow { max_replication_lag: 10, ..ServerRow::new(READERS, address.clone()) }
}

fn play(act: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, act);
}

const ONLINE_WRITER: [(u32, Status); 2] = [(WRITERS, Status::Online), (READERS, Status::Online)];

#[test]
fn a_server_goes_where_read_only_says_at_once_when_a_worker_asks() {
    play(async {
        let scene = Scene::set(&[("mysql-monitor_read_only_interval", "600000")]).await;
        scene.until(&ONLINE_WRITER).await;
        scene.database.read_only.set(true);
        scene.monitors.check_role_now(&Server::new(WRITERS, "127.0.0.1", scene.address.port));
        scene.until(&[(READERS, Status::Online)]).await;
        assert!(scene.logged(|log| log.check == Check::ReadOnly(Some(true)) && log.error.is_none()) == 1);
    });
}

#[test]
fn a_silent_server_is_shunned_stays_writer_and_comes_back() {
    play(async {
        let scene = Scene::set(&[
            ("mysql-monitor_read_only_interval", "100"),
            ("mysql-monitor_ping_interval", "100"),
        ])
        .await;
        scene.wait_longer();
        scene.until(&ONLINE_WRITER).await;
        scene.database.silent.set(true);
        scene.load(&PATIENT.map(|name| (name, "100")));
        scene.until(&[(WRITERS, Status::Shunned), (READERS, Status::Shunned)]).await;
        let reason = scene.runtime.borrow().members()[0].reason.clone();
        assert!(reason.contains(" pings missed"), "{reason}");
        assert!(scene.logged(|log| log.check == Check::Ping && log.error.is_some()) >= 3);
        scene.wait_longer();
        scene.database.silent.set(false);
        scene.until(&ONLINE_WRITER).await;
        assert!(scene.runtime.borrow().latency_us(&scene.address) > 0);
    });
}

#[test]
fn the_last_server_of_a_hostgroup_is_back_once_the_monitors_have_connected_anew() {
    play(async {
        let scene = Scene::set(&[]).await;
        scene.wait_longer();
        scene.until(&ONLINE_WRITER).await;
        let connects = || scene.logged(|log| log.check == Check::Connect && log.error.is_none());
        let first = async {
            while connects() == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, first).await.expect("the next would be in two minutes");
        let shunned = Instant::now();
        {
            let mut runtime = scene.runtime.borrow_mut();
            let writer = runtime.members()[0].server.clone();
            (0..5).for_each(|_| runtime.connect_failed(&writer, 2003, "refused", shunned));
        }
        assert_eq!(scene.places(), [(WRITERS, Status::Shunned), (READERS, Status::Online)]);
        let reached = async {
            while scene.places() != ONLINE_WRITER {
                // Its time does not pass: only the monitors can end it.
                scene.runtime.borrow_mut().tick(shunned);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, reached).await.expect("the monitors connect soon");
        assert!(connects() >= 2);
    });
}

#[test]
fn switching_the_monitors_off_takes_their_word_back() {
    play(async {
        let fast = [
            ("mysql-monitor_ping_interval", "100"),
            ("mysql-monitor_ping_timeout", "100"),
            ("mysql-monitor_read_only_timeout", "100"),
            ("mysql-monitor_ping_max_failures", "1"),
        ];
        let scene = Scene::set(&fast).await;
        scene.database.silent.set(true);
        scene.until(&[(READERS, Status::Shunned)]).await;
        scene.load(&[("mysql-monitor_enabled", "false")]);
        scene.until(&[(READERS, Status::Online)]).await;
    });
}

#[test]
fn a_wrong_monitor_password_is_logged_and_shuns_nobody() {
    play(async {
        let wrong = [("mysql-monitor_password", "wrong"), ("mysql-monitor_ping_interval", "100")];
        let scene = Scene::set(&wrong).await;
        let denied = |log: &CheckLog| log.error.as_deref().is_some_and(|text| text.contains("1045"));
        let enough = async {
            while scene.logged(|log| log.check == Check::Ping && denied(log)) < 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.unwrap();
        assert_eq!(scene.places(), [(READERS, Status::Online)]);
        assert!(scene.logged(|log| log.check == Check::Connect && denied(log)) > 0);
    });
}

#[test]
fn a_reader_that_lags_is_shunned_and_comes_back_and_its_place_as_writer_is_not() {
    play(async {
        let scene = Scene::set(&[("mysql-monitor_replication_lag_interval", "100")]).await;
        scene.until(&ONLINE_WRITER).await;
        scene.database.lag.set(11);
        scene.until(&[(WRITERS, Status::Online), (READERS, Status::Shunned)]).await;
        scene.database.silent.set(true);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(scene.places(), [(WRITERS, Status::Online), (READERS, Status::Shunned)]);
        scene.database.silent.set(false);
        scene.database.lag.set(0);
        scene.until(&ONLINE_WRITER).await;
        assert!(scene.logged(|log| log.check == Check::Lag(Some(11)) && log.error.is_none()) > 0);
    });
}
