//! The doors with real sockets, and a control thread that is a task here.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

use super::super::answer::Library;
use super::super::control_side::{Notes, Question};
use super::super::daemons::Daemons;
use super::super::doors::{self, Credentials, Door, Wanted};
use super::super::scripts::{Route, Scripts};
use super::facts;
use crate::admin::tests::{DataDir, appliance};
use crate::tls;

struct Server {
    wanted: watch::Sender<Wanted>,
    metrics: SocketAddr,
    page: SocketAddr,
    routes: watch::Sender<Vec<Route>>,
    dir: DataDir,
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
    let (routes, scripts) = watch::channel(Vec::new());
    let credentials = Credentials { admin: String::new(), stats: "stats:secret".into() };
    let (wanted, wishes) =
        watch::channel(Wanted { doors: vec![(Door::Metrics, metrics), (Door::Page, page)], credentials });
    let clients = tls::ServerTls::open(&dir.0, "test1").expect("a certificate").clients();
    tokio::spawn(doors::keep(
        wishes,
        Arc::new(Library::new(Vec::new(), daemons, ask, Scripts::new(scripts))),
        clients,
    ));
    Server { wanted, metrics, page, routes, dir }
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

/// A route to a shell script made of `text`.
fn route(server: &Server, method: &str, uri: &str, milliseconds: u64, text: &str) -> Route {
    let script = server.dir.0.join(format!("{method}-{uri}"));
    let draft = script.with_extension("draft");
    std::fs::write(&draft, format!("#!/bin/sh\n{text}\n")).expect("a script");
    // Not written by this process: a child that another test starts meanwhile would hold it open, and it could not be run.
    let copied = std::process::Command::new("cp").args([&draft, &script]).status().expect("cp");
    assert!(copied.success());
    for path in [&script, &server.dir.0] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its rights");
    }
    Route {
        id: 1,
        timeout: Duration::from_millis(milliseconds),
        method: method.into(),
        uri: uri.into(),
        script: script.to_str().expect("UTF-8").into(),
    }
}

async fn post(address: SocketAddr, path: &str, body: &str) -> String {
    let head = "Host: x\r\nConnection: close";
    let length = body.len();
    talk(
        address,
        format!("POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes(),
    )
    .await
}

#[tokio::test]
async fn a_script_answers_with_what_it_prints() {
    let server = start(true).await;
    server.routes.send_replace(vec![
        route(&server, "GET", "echo", 5_000, "echo aside >&2; printf %s \"$1\""),
        route(&server, "POST", "echo", 5_000, "printf '[%s, %s]' \"$1\" $#"),
        route(
            &server,
            "GET",
            "long",
            5_000,
            "printf '\"'; head -c 500000 /dev/zero | tr '\\0' x; printf '\"'",
        ),
    ]);
    let answer = get(server.metrics, "/sync/echo?user=a%20b&n=1", "").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("content-type: application/json"),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\n{\"n\":\"1\",\"user\":\"a b\"}"), "{answer}");
    let answer = post(server.metrics, "/sync/echo", "{\"a\": [1, \"$(id)\"]}").await;
    assert!(answer.ends_with("\r\n\r\n[{\"a\": [1, \"$(id)\"]}, 1]"), "{answer}");
    let answer = get(server.metrics, "/sync/long", "").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.len() > 500_000, "{}", answer.len());
    assert!(get(server.page, "/sync/echo", LOGIN).await.starts_with("HTTP/1.1 404"), "not at that door");
    server.routes.send_replace(Vec::new());
    assert!(get(server.metrics, "/sync/echo", "").await.starts_with("HTTP/1.1 400"), "taken away");
}

#[tokio::test]
async fn a_script_that_fails_is_an_error_with_its_reason() {
    let server = start(true).await;
    let missing =
        Route { script: "/nonexistent/script".into(), ..route(&server, "GET", "missing", 1_000, "") };
    server.routes.send_replace(vec![
        missing,
        route(&server, "GET", "fails", 5_000, "echo '{}'; echo because >&2; exit 7"),
        route(&server, "GET", "text", 5_000, "echo hello"),
        route(&server, "GET", "silent", 5_000, "true"),
        route(&server, "GET", "slow", 200, "sleep 30 & sleep 30"),
    ]);
    for (uri, reason) in [
        ("missing", "cannot be run"),
        ("fails", "\"error_code\":\"7\",\"script_stderr\":\"because\""),
        ("text", "no JSON"),
        ("silent", "printed nothing"),
        ("slow", "killed after 200 ms"),
    ] {
        let begun = Instant::now();
        let answer = get(server.metrics, &format!("/sync/{uri}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 424") && answer.contains("\"type\":\"out\""), "{answer}");
        assert!(answer.contains(reason), "{reason}: {answer}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{uri}");
    }
}

#[tokio::test]
async fn what_no_script_should_see_runs_none() {
    let server = start(true).await;
    let mark = server.dir.0.join("ran");
    let touch = format!("touch {}; echo 1", mark.display());
    server.routes.send_replace(vec![
        route(&server, "POST", "touch", 5_000, &touch),
        route(&server, "GET", "touch", 5_000, &touch),
    ]);
    for bad in ["", "{", "a=1", "{} {}"] {
        assert!(post(server.metrics, "/sync/touch", bad).await.starts_with("HTTP/1.1 400"), "{bad}");
    }
    let long = format!("\"{}\"", "x".repeat(70_000));
    let answer = post(server.metrics, "/sync/touch", &long).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    let from_a_page = get(server.metrics, "/sync/touch", "Origin: http://example.com\r\n").await;
    assert!(from_a_page.starts_with("HTTP/1.1 403"), "{from_a_page}");
    let image = get(server.metrics, "/sync/touch", "Sec-Fetch-Site: cross-site\r\n").await;
    assert!(image.starts_with("HTTP/1.1 403"), "{image}");
    let put = b"PUT /sync/touch HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(talk(server.metrics, put).await.contains("allow: GET, POST"));
    assert!(!mark.exists());
}

#[tokio::test]
async fn no_more_scripts_run_than_there_are_places() {
    let server = start(true).await;
    let gate = server.dir.0.join("gate");
    let wait = format!("while ! test -e {}; do sleep 0.02; done; echo 1", gate.display());
    server.routes.send_replace(vec![route(&server, "GET", "wait", 60_000, &wait)]);
    let asked: Vec<_> = (0..17).map(|_| tokio::spawn(get_owned(server.metrics, "/sync/wait"))).collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !asked.iter().any(|task| task.is_finished()) {
        assert!(Instant::now() < deadline, "nobody was sent away");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    std::fs::write(&gate, "").expect("an open gate");
    let mut codes = Vec::new();
    for task in asked {
        codes.push(task.await.expect("an answer")[9..12].to_owned());
    }
    codes.sort_unstable();
    assert_eq!((codes[15].as_str(), codes[16].as_str()), ("200", "503"));
}

async fn get_owned(address: SocketAddr, path: &'static str) -> String {
    get(address, path, "").await
}
