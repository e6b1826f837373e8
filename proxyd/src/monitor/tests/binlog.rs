//! What is made of a binlog reader: one that talks, hangs up, talks nonsense, and is no longer configured.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::super::listen_to_readers;
use crate::control::{WorkerCommand, WorkerHandle};
use crate::executed::News;
use crate::runtime::{Runtime, ServerRow, ServersConfig, SharedRuntime};
use crate::snapshot::Snapshot;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
/// Far more than anything here takes, for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

struct Scene {
    runtime: SharedRuntime,
    reader: TcpListener,
    /// What a worker is told.
    told: mpsc::UnboundedReceiver<WorkerCommand>,
}

impl Scene {
    async fn set() -> Scene {
        let reader = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (commands, told) = mpsc::unbounded_channel();
        let slot = Arc::new(ArcSwap::from_pointee(Snapshot::default()));
        let runtime = Runtime::new(slot, vec![WorkerHandle::new(0, commands)]);
        let runtime = Rc::new(RefCell::new(runtime));
        let scene = Scene { runtime, reader, told };
        scene.load(scene.reader.local_addr().unwrap().port());
        tokio::task::spawn_local(listen_to_readers(scene.runtime.clone()));
        scene
    }

    fn load(&self, gtid_port: u16) {
        let row = ServerRow { gtid_port, ..ServerRow::sample(20, "127.0.0.1") };
        self.runtime
            .borrow_mut()
            .load_servers(ServersConfig { servers: vec![row], ..ServersConfig::default() });
    }

    async fn client(&self) -> TcpStream {
        self.reader.accept().await.unwrap().0
    }

    /// The next news for workers.
    async fn news(&mut self) -> News {
        loop {
            if let WorkerCommand::Executed(told) = self.told.recv().await.unwrap() {
                return told.1.clone();
            }
        }
    }

    /// What `stats_mysql_gtid_executed` would show.
    fn shown(&self) -> Vec<(Option<String>, u64)> {
        let runtime = self.runtime.borrow();
        runtime.executed().rows().map(|(_, executed, events)| (executed, events)).collect()
    }
}

#[test]
fn a_reader_is_heard_until_it_hangs_up_or_talks_nonsense() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let act = async {
        let mut scene = Scene::set().await;
        let mut client = scene.client().await;
        client.write_all(format!("ST={A}:1-5\n").as_bytes()).await.unwrap();
        assert!(matches!(scene.news().await, News::Everything(_)));
        client.write_all(b"I1=3e11fa4771ca11e19e33c80aa9429562:6\nI2=7\nI4=8-").await.unwrap();
        assert!(matches!(scene.news().await, News::More(ranges) if ranges.len() == 2));
        assert_eq!(scene.shown(), [(Some(format!("{A}:1-7")), 2)]);
        drop(client);
        assert_eq!(scene.news().await, News::Silence);
        assert_eq!(scene.shown(), [(None, 2)]);

        let mut client = scene.client().await;
        client.write_all(format!("ST={A}:1-9\n").as_bytes()).await.unwrap();
        assert!(matches!(scene.news().await, News::Everything(_)));
        client.write_all(b"HTTP/1.1 400 Bad Request\r\n").await.unwrap();
        assert_eq!(scene.news().await, News::Silence);

        let _silent = scene.client().await;
        scene.load(0);
        assert_eq!(scene.news().await, News::Silence);
        assert_eq!(scene.shown(), []);
    };
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(PATIENCE, act).await.unwrap() });
}
