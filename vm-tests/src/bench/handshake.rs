//! What a TLS handshake costs by itself: a server that accepts, shakes hands, sends one byte and closes. It is what a storm under
//! TLS is compared with.
//!
//! A process of its own (`standfast-lab bench-handshake`), with the TLS library, the certificate and the shape of proxyd: a
//! thread a processor, each with a listener and a runtime of its own.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::mysql::link;

const GREETING: u8 = b'!';

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where to listen
    #[arg(long)]
    listen: SocketAddr,
    /// PEM
    #[arg(long)]
    certificate: PathBuf,
    /// PEM
    #[arg(long)]
    key: PathBuf,
}

/// What starts it with these options; `data` is where a proxyd keeps its certificate.
pub(crate) fn arguments<'a>(command: &'a mut Command, listen: SocketAddr, data: &Path) -> &'a mut Command {
    command.args(["bench-handshake", "--listen"]).arg(listen.to_string());
    command.arg("--certificate").arg(data.join("standfast-cert.pem"));
    command.arg("--key").arg(data.join("standfast-key.pem"))
}

/// Serves until the process is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(config(options)?));
    let workers = thread::available_parallelism()?.get();
    let serving: Vec<_> = (0..workers)
        .map(|_| {
            let (acceptor, listen) = (acceptor.clone(), options.listen);
            thread::spawn(move || serve(&acceptor, listen))
        })
        .collect();
    for worker in serving {
        worker.join().map_err(|_| anyhow!("a worker panicked"))??;
    }
    Ok(())
}

/// As proxyd has it: any version, no certificates of clients, nothing to resume with.
fn config(options: &Options) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(&options.certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&options.key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn serve(acceptor: &TlsAcceptor, listen: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let listener = listener(listen).with_context(|| format!("listen on {listen}"))?;
        loop {
            let (stream, _) = listener.accept().await?;
            let acceptor = acceptor.clone();
            // Whatever ends a connection, there is nobody left to tell.
            tokio::task::spawn_local(async move { greet(&acceptor, stream).await });
        }
    })
}

/// One of several at the same address.
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

async fn greet(acceptor: &TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut tls = acceptor.accept(stream).await?;
    tls.write_u8(GREETING).await?;
    // As proxyd does after COM_QUIT: closed, without another word.
    tls.flush().await
}

/// One client of it: until the server has closed.
pub(crate) async fn visit(address: SocketAddr, connector: &TlsConnector) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut tls = link::handshake(connector, stream).await?;
    match (tls.read_u8().await?, tls.read_u8().await) {
        (GREETING, Err(_)) => Ok(()),
        _ => Err(io::Error::other("another greeting than the handshake's")),
    }
}
