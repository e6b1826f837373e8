//! HTTP/1.1 around [`Library::answer`](super::answer::Library::answer): connections, their limits, TLS, headers. hyper speaks the protocol.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, LOCATION, ORIGIN};
use hyper::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::answer::{Answer, Library};
use super::doors::{Door, Wanted};
use super::scripts::{self, MAX_BODY, parameters_of, refusal};
use crate::tls::ClientTls;

/// At one door; the next ones wait in its queue.
const MAX_CLIENTS: usize = 64;
/// A request's head must be here by then, and the next one's too: an idle connection ends.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// A connection is asked to end after this, and ended a little later: nobody reads an answer for ever. A script that
/// runs has its own time, and its answer is waited for.
const LIFETIME: Duration = Duration::from_secs(60);
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The longest head of a request, and what is read ahead.
const BUFFER: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
/// The first byte of a TLS handshake.
const TLS_HANDSHAKE: u8 = 0x16;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What every connection needs.
pub struct Shared {
    library: Arc<Library>,
    tls: ClientTls,
    wanted: watch::Receiver<Wanted>,
}

impl Shared {
    pub fn new(library: Arc<Library>, tls: ClientTls, wanted: watch::Receiver<Wanted>) -> Shared {
        Shared { library, tls, wanted }
    }
}

/// Accepts until it is aborted, which ends its connections too.
pub async fn serve(listener: TcpListener, door: Door, shared: Arc<Shared>) {
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    let mut clients = JoinSet::new();
    loop {
        // Never closed, so there always comes a place.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let shared = shared.clone();
                clients.spawn(async move {
                    if let Err(error) = connection(stream, peer, door, shared).await {
                        tracing::debug!(%peer, %error, "web client");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the web server could not accept a connection");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Speaks TLS with who begins with it, and plain HTTP with who does not.
async fn connection(stream: TcpStream, peer: SocketAddr, door: Door, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    if timeout(HEAD_TIME, stream.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    if first[0] == TLS_HANDSHAKE {
        let stream = timeout(HEAD_TIME, shared.tls.acceptor().accept(stream)).await??;
        return converse(stream, door, true, shared).await;
    }
    // A password does not cross a network in the clear.
    let may_log_in = peer.ip().to_canonical().is_loopback();
    converse(stream, door, may_log_in, shared).await
}

async fn converse<S>(stream: S, door: Door, may_log_in: bool, shared: Arc<Shared>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let script = Arc::new(Mutex::new(()));
    let service = service_fn(|request: Request<Incoming>| {
        let (shared, script) = (shared.clone(), script.clone());
        async move {
            let response = if door == Door::Metrics && request.uri().path().starts_with(scripts::PREFIX) {
                let _runs = script.lock().await;
                run_script(request, &shared).await
            } else {
                respond(&request, door, may_log_in, &shared).await
            };
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(BUFFER)
            .max_headers(MAX_HEADERS)
            .serve_connection(TokioIo::new(stream), service)
    );
    let end = match timeout(LIFETIME, connection.as_mut()).await {
        Ok(end) => end,
        Err(_) => {
            connection.as_mut().graceful_shutdown();
            let last_words = async {
                drop(script.lock().await);
                sleep(LAST_WORDS).await;
            };
            tokio::select! {
                end = connection => end,
                () = last_words => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    };
    end.map_err(io::Error::other)
}

/// GET with its parameters in the query, POST with JSON as its body.
async fn run_script(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    // The browser of somebody on this host must not run scripts for any page that it shows.
    if head.headers.contains_key(ORIGIN)
        || head.headers.get("sec-fetch-site").is_some_and(|site| site != "none")
    {
        return response(refusal(403, "not for web pages"));
    }
    let parameters = match head.method {
        Method::GET => parameters_of(head.uri.query().unwrap_or_default()),
        Method::POST => match timeout(HEAD_TIME, Limited::new(body, MAX_BODY).collect()).await {
            Err(_) => return response(refusal(408, "the body did not come")),
            Ok(Err(_)) => return response(refusal(413, "the body is cut off, or longer than 64 KiB")),
            Ok(Ok(body)) => match String::from_utf8(body.to_bytes().into()) {
                Ok(text) => text,
                Err(_) => return response(refusal(400, "the body is no UTF-8")),
            },
        },
        _ => return not_allowed("GET, POST"),
    };
    response(shared.library.scripts.answer(head.method.as_str(), head.uri.path(), parameters).await)
}

fn not_allowed(methods: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, &format!("only {methods}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    response
}

async fn respond(
    request: &Request<Incoming>,
    door: Door,
    may_log_in: bool,
    shared: &Shared,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD");
    }
    let path = request.uri().path();
    if door == Door::Page && !may_log_in {
        return to_https(request, path);
    }
    let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credentials = shared.wanted.borrow().credentials.clone();
    response(shared.library.answer(door, path, authorization, &credentials).await)
}

/// The same place over TLS.
fn to_https(request: &Request<Incoming>, path: &str) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(location) = HeaderValue::from_str(&format!("https://{host}{path}")) else {
        return plain(StatusCode::FORBIDDEN, "only over https");
    };
    let mut response = plain(StatusCode::PERMANENT_REDIRECT, "only over https");
    response.headers_mut().insert(LOCATION, location);
    response
}

fn plain(code: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let body = format!("{text}\n").into_bytes();
    response(Answer { code: code.as_u16(), content_type: "text/plain; charset=utf-8", body })
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    if answer.code == 401 {
        let realm = HeaderValue::from_static("Basic realm=\"Standfast\", charset=\"UTF-8\"");
        headers.insert(WWW_AUTHENTICATE, realm);
    }
    response
}
