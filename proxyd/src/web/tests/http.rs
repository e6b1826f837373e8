//! The doors with real sockets, and a control thread that is a task here.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::super::answer::Library;
use super::super::control_side::{Notes, Question};
use super::super::daemons::Daemons;
use super::super::doors::{self, Credentials, Door, Wanted};
use super::facts;
use crate::admin::tests::{DataDir, appliance};
use crate::tls;

struct Server {
    wanted: watch::Sender<Wanted>,
    metrics: SocketAddr,
    page: SocketAddr,
    _dir: DataDir,
}

/// Ports that are free now.
fn free() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    listener.local_addr().expect("an address")
}

async fn start(answers: bool) -> Server {
    let dir = DataDir::new();
    let daemons = Daemons::new(&appliance(&dir.0, configs::FirstBoot::default()));
    let (ask, mut questions) = mpsc::channel(4);
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Some(question) = questions.recv().await {
            match question {
                _ if !answers => kept.push(question),
                Question::Facts(reply) => drop(reply.send(facts())),
                Question::Notes(reply) => drop(reply.send(Notes::default())),
            }
        }
    });
    let (metrics, page) = (free(), free());
    let credentials = Credentials { admin: String::new(), stats: "stats:secret".into() };
    let (wanted, wishes) =
        watch::channel(Wanted { doors: vec![(Door::Metrics, metrics), (Door::Page, page)], credentials });
    let acceptor = tls::ServerTls::open(&dir.0, "test1").expect("a certificate").acceptor();
    tokio::spawn(doors::keep(wishes, Arc::new(Library::new(Vec::new(), daemons, ask)), acceptor));
    Server { wanted, metrics, page, _dir: dir }
}

async fn connect(address: SocketAddr) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpStream::connect(address).await {
            Ok(stream) => return stream,
            Err(error) if Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Sends bytes, returns all that comes back.
async fn talk(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = connect(address).await;
    // The server may have said no, and closed, before all is sent.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ =
        tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn get(address: SocketAddr, path: &str, more: &str) -> String {
    talk(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n").as_bytes())
        .await
}

const LOGIN: &str = "Authorization: Basic c3RhdHM6c2VjcmV0\r\n";

#[tokio::test]
async fn numbers_for_all_and_the_page_for_those_with_a_password() {
    let server = start(true).await;
    let metrics = get(server.metrics, "/metrics", "").await;
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("\nproxysql_uptime_seconds_total 61\n"), "{metrics}");
    assert!(get(server.metrics, "/health", "").await.contains("\"verdict\":\"serving\""));
    assert!(get(server.metrics, "/status.json", LOGIN).await.starts_with("HTTP/1.1 404"));
    let stranger = get(server.page, "/", "").await;
    assert!(
        stranger.starts_with("HTTP/1.1 401") && stranger.contains("www-authenticate: Basic"),
        "{stranger}"
    );
    assert!(
        get(server.page, "/health", "Authorization: Basic c3RhdHM6eA==\r\n")
            .await
            .starts_with("HTTP/1.1 401")
    );
    let page = get(server.page, "/", LOGIN).await;
    assert!(page.contains("content-security-policy: default-src 'none'") && page.contains("<h1>Standfast"));
    assert!(get(server.page, "/status.json", LOGIN).await.contains("\"hostgroups\":["));
    for file in ["/script.js", "/style.css"] {
        assert!(get(server.page, file, LOGIN).await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn what_is_no_proper_request_is_refused() {
    let server = start(true).await;
    let post = talk(
        server.metrics,
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(100_000));
    let answer = talk(server.metrics, long.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(200));
    let answer = talk(server.metrics, many.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    for garbage in [&b"\0\0\0\0\r\n\r\n"[..], b"\x16\x03\x01\xff\xff\0\0\0", b"HELO\r\n\r\n", b"\x16"] {
        let mut stream = connect(server.page).await;
        stream.write_all(garbage).await.expect("sent");
    }
    assert!(get(server.metrics, "/health", "").await.starts_with("HTTP/1.1 200"), "it still answers");
}

#[tokio::test]
async fn more_clients_than_places_wait_their_turn() {
    let server = start(true).await;
    let mut idle = Vec::new();
    for _ in 0..63 {
        idle.push(connect(server.metrics).await);
    }
    assert!(get(server.metrics, "/health", "").await.starts_with("HTTP/1.1 200"));
    idle.push(connect(server.metrics).await);
    let late = tokio::spawn(async move { get(server.metrics, "/health", "").await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!late.is_finished(), "no place was free");
    drop(idle);
    assert!(late.await.expect("an answer").starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_silent_control_thread_is_down() {
    let server = start(false).await;
    let health = get(server.metrics, "/health", "").await;
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("\"verdict\":\"down\""), "{health}");
    assert!(get(server.metrics, "/metrics", "").await.starts_with("HTTP/1.1 503"));
}

#[tokio::test]
async fn doors_close_and_open_when_the_variables_change() {
    let server = start(true).await;
    let mut before = connect(server.page).await;
    server.wanted.send_modify(|wanted| wanted.doors.retain(|(door, _)| *door == Door::Metrics));
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), before.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "a closed door ends its connections");
    assert!(TcpStream::connect(server.page).await.is_err());
    server.wanted.send_modify(|wanted| wanted.doors.push((Door::Page, server.page)));
    assert!(get(server.page, "/", LOGIN).await.starts_with("HTTP/1.1 200"));
    // The same port on every address: the old socket is in the way until it is closed.
    let everywhere = SocketAddr::new([0, 0, 0, 0].into(), server.page.port());
    server.wanted.send_modify(|wanted| wanted.doors = vec![(Door::Page, everywhere)]);
    assert!(get(server.page, "/", LOGIN).await.starts_with("HTTP/1.1 200"));
}
