//! The admin interface over a socket, seen by the proxy's own client.

use proxyd_wire::auth::Secret;
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

use super::super::server::serve;
use super::*;
use crate::backend::{Account, Backend};
use crate::net::{BufferPool, Listener};
use crate::snapshot::Server;
use crate::tls;

/// Serves an admin interface and runs `work` with its address.
fn with_server<F: AsyncFnOnce(Arc<Server>)>(work: F) {
    with_server_in(&DataDir::new(), work);
}

fn with_server_in<F: AsyncFnOnce(Arc<Server>)>(dir: &DataDir, work: F) {
    let server_tls = tls::ServerTls::open(&dir.0, "test1").expect("a certificate");
    let clients = server_tls.clients();
    let console = Console::boot(&dir.0, small_config());
    console.admin.set_tls(server_tls, backend_tls());
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    LocalSet::new().block_on(&tokio, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        spawn_local(serve(Listener::Tcp(listener), Rc::new(console.admin), Some(clients)));
        work(Arc::new(Server::new(0, "127.0.0.1", port))).await;
    });
}

async fn connect(server: &Arc<Server>, password: &str, tls: bool) -> Result<Backend, String> {
    let secret = Secret::Password(password.to_owned());
    let connector = backend_tls().connector("", 0, "").expect("TLS");
    let account = Account::plain("admin", &secret, tls.then_some(&connector));
    let reservation = server.reserve(10).expect("a place");
    let counters = crate::counters::ServerCounters::new(reservation.server());
    Backend::open(reservation, account, counters, &BufferPool::default())
        .await
        .map_err(|error| format!("{error:?}"))
}

#[test]
fn a_client_logs_in_and_is_answered_plain_and_under_tls() {
    with_server(async |server| {
        for tls in [false, true] {
            let mut client = connect(&server, "admin", tls).await.expect("logged in");
            let buffers = BufferPool::default();
            client.ping(&buffers).await.expect("answered");
            let rows =
                client.query("SELECT hostname, NULL FROM mysql_servers", &buffers).await.expect("rows");
            assert_eq!(rows, [[Some("db1".to_owned()), None]]);
            client.query("SELEC", &buffers).await.expect_err("refused");
            client.query("SELECT 1; SELECT 2", &buffers).await.expect_err("it did not negotiate several");
            let long = format!("SELECT '{}'", "x".repeat(17 << 20));
            let rows = client.query(&long, &buffers).await;
            assert!(rows.is_err(), "over the client's own limit, and only that connection suffers");
        }
    });
}

#[test]
fn a_wrong_password_is_refused_and_garbage_hurts_nobody() {
    with_server(async |server| {
        connect(&server, "wrong", false).await.expect_err("refused");
        for garbage in [&b"\xff\xff\xff\x01"[..], b"\x01\x00\x00\x01\x00", b"GET / HTTP/1.0\r\n\r\n", b""] {
            let mut raw =
                tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.expect("connected");
            tokio::io::AsyncWriteExt::write_all(&mut raw, garbage).await.expect("written");
        }
        connect(&server, "admin", false).await.expect("still there");
    });
}

#[test]
fn what_administrators_do_is_in_the_audit_log_without_passwords() {
    let dir = DataDir::new();
    with_server_in(&dir, async |server| {
        let buffers = BufferPool::default();
        let mut client = connect(&server, "admin", true).await.expect("logged in");
        for sql in [
            "SET mysql-auditlog_filename='audit.log'",
            "LOAD MYSQL VARIABLES TO RUNTIME",
            "UPDATE mysql_users SET password='hush-1'",
            "UPDATE mysql_servers SET weight=7",
            "PROXYSQL FLUSH LOGS",
        ] {
            client.query(sql, &buffers).await.expect("done");
        }
        client.query("UPDATE mysql_user SET password='hush-2'", &buffers).await.expect_err("no such table");
        connect(&server, "wrong", false).await.expect_err("refused");
    });
    let log = |number| {
        let file = dir.0.join(format!("audit.log.{number:08}"));
        // The log's thread may still be at it.
        (0..500)
            .find_map(|_| {
                std::thread::sleep(Duration::from_millis(10));
                std::fs::read_to_string(&file).ok().filter(|text| number == 1 || text.contains("Connect_ERR"))
            })
            .expect("a log")
    };
    let second = log(2);
    let first = log(1);
    assert!(first.contains("UPDATE mysql_servers SET weight=7") && first.contains("\"username\":\"admin\""));
    assert!(first.contains("UPDATE mysql_users SET password=?") && first.contains("\"ssl\":true"));
    assert!(second.contains("\"event\":\"Admin_Statement\"") && second.contains("no such table"), "{second}");
    assert!(!format!("{first}{second}").contains("hush-"));
}

fn backend_tls() -> tls::BackendTls {
    tls::BackendTls::open(&tls::WantedTls::default())
}
