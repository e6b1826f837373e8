//! A TCP or Unix stream, plain or under TLS, and a buffered connection over it.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use proxyd_wire::compression::Algorithm;
use rustls::pki_types::CertificateDer;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf, Ready};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::compressed::{Compressed, Role};
use super::{Buffer, BufferPool};

/// Every kind of byte stream that a client or a backend may have. TLS is boxed: most connections are plain, and an
/// idle one should be small.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Any of the above, under the compressed protocol.
    Compressed(Box<Compressed>),
    /// Says nothing and takes everything: the client of a mirrored statement.
    Nowhere,
    /// The state between a plain stream and the same one under TLS; never seen outside an upgrade.
    Upgrading,
}

impl Stream {
    fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Stream::Tcp(tcp) => Some(tcp),
            Stream::Tls(tls) => Some(tls.get_ref().0),
            Stream::Compressed(compressed) => compressed.stream().tcp(),
            Stream::Unix(_) | Stream::Upgrading | Stream::Nowhere => None,
        }
    }

    /// The socket under it all.
    fn socket(&self) -> Option<Socket<'_>> {
        match self {
            Stream::Unix(unix) => Some(Socket::Unix(unix)),
            Stream::Compressed(compressed) => compressed.stream().socket(),
            _ => self.tcp().map(Socket::Tcp),
        }
    }

    /// Under TLS, compressed or not.
    fn tls(&self) -> Option<&TlsStream<TcpStream>> {
        match self {
            Stream::Tls(tls) => Some(tls),
            Stream::Compressed(compressed) => compressed.stream().tls(),
            _ => None,
        }
    }

    fn not_plain() -> io::Error {
        io::Error::other("the stream cannot be upgraded to TLS")
    }
}

/// What a stream's bytes come from in the end.
#[derive(Clone, Copy)]
enum Socket<'a> {
    Tcp(&'a TcpStream),
    Unix(&'a UnixStream),
}

impl<'a> Socket<'a> {
    fn poll_read_ready(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Socket::Tcp(tcp) => tcp.poll_read_ready(cx),
            Socket::Unix(unix) => unix.poll_read_ready(cx),
        }
    }

    /// What the reactor knows of the reading side, as of now.
    fn poll_state(self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        match self {
            Socket::Tcp(tcp) => pin!(tcp.ready(Interest::READABLE)).poll(cx),
            Socket::Unix(unix) => pin!(unix.ready(Interest::READABLE)).poll(cx),
        }
    }

    /// Whether the reactor has reported something to read. Nobody is told when that changes.
    fn is_reported_readable(self) -> bool {
        let nothing = || Ok(());
        let asked = match self {
            Socket::Tcp(tcp) => tcp.try_io(Interest::READABLE, nothing),
            Socket::Unix(unix) => unix.try_io(Interest::READABLE, nothing),
        };
        asked.is_ok()
    }

    fn options(self) -> SockRef<'a> {
        match self {
            Socket::Tcp(tcp) => SockRef::from(tcp),
            Socket::Unix(unix) => SockRef::from(unix),
        }
    }
}

/// What the kernel takes at once: all of most packets, for which nobody has to be made ready to wait.
fn write_now(tcp: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    match tcp.try_write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        done => done,
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Compressed(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Nowhere => Poll::Pending,
            Stream::Upgrading => Poll::Ready(Err(Stream::not_plain())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Compressed(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Nowhere => Poll::Ready(Ok(buf.len())),
            Stream::Upgrading => Poll::Ready(Err(Stream::not_plain())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_flush(cx),
            Stream::Unix(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
            Stream::Compressed(s) => Pin::new(s).poll_flush(cx),
            Stream::Upgrading | Stream::Nowhere => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Compressed(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Upgrading | Stream::Nowhere => Poll::Ready(Ok(())),
        }
    }
}

/// A stream and what has been read from it but not consumed.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    pub input: Buffer,
    pub bytes_in: u64,
    pub bytes_out: u64,
}

impl Connection {
    /// The descriptor, where it is a TCP connection's: for an operator who looks at the process from outside.
    pub fn fd(&self) -> Option<RawFd> {
        self.stream.tcp().map(AsRawFd::as_raw_fd)
    }

    pub fn new(stream: Stream) -> Connection {
        if let Some(tcp) = stream.tcp() {
            // Nagle's algorithm would hold small answers back; a stream that refuses the option still works.
            let _ = tcp.set_nodelay(true);
        }
        Connection { stream, input: Buffer::default(), bytes_in: 0, bytes_out: 0 }
    }

    /// Asks the kernel to notice a peer that vanished: first probe after `idle`, then every 5 s, three times.
    pub fn keepalive(&self, idle: Duration) {
        if let Some(tcp) = self.stream.tcp() {
            let options = socket2::TcpKeepalive::new()
                .with_time(idle)
                .with_interval(Duration::from_secs(5))
                .with_retries(3);
            let _ = SockRef::from(tcp).set_tcp_keepalive(&options);
        }
    }

    pub fn is_tls(&self) -> bool {
        self.stream.tls().is_some()
    }

    /// What the other side has shown of itself under TLS.
    pub fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.stream.tls()?.get_ref().1.peer_certificates()?.first()
    }

    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.stream.tcp().and_then(|tcp| tcp.local_addr().ok())
    }

    /// Reads once into the buffer; `want` is how long the packet at the front is known to be. 0 bytes is the end.
    pub async fn fill(&mut self, want: usize, pool: &BufferPool) -> io::Result<usize> {
        self.read_once(want, usize::MAX, pool).await
    }

    /// As [`Connection::fill`], but takes nothing beyond `want`: what follows may be a TLS handshake, not a packet.
    pub async fn fill_no_further(&mut self, want: usize, pool: &BufferPool) -> io::Result<usize> {
        let missing = want.saturating_sub(self.input.len()).max(1);
        self.read_once(want, missing, pool).await
    }

    async fn read_once(&mut self, want: usize, most: usize, pool: &BufferPool) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read_once(cx, want, most, pool)).await
    }

    /// As [`Connection::fill`]. While there is nothing to read no buffer is held, unless some bytes wait in it for more.
    pub fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
        pool: &BufferPool,
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_read_once(cx, want, usize::MAX, pool);
        if polled.is_pending() {
            self.input.release(pool);
        }
        polled
    }

    fn poll_read_once(
        &mut self,
        cx: &mut Context<'_>,
        want: usize,
        most: usize,
        pool: &BufferPool,
    ) -> Poll<io::Result<usize>> {
        let spare = self.input.spare(want, pool);
        let most = most.min(spare.len());
        let mut room = ReadBuf::new(&mut spare[..most]);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let count = room.filled().len();
        self.input.advance(count);
        self.bytes_in += count as u64;
        Poll::Ready(Ok(count))
    }

    /// Resolves when the peer has closed its sending side; stays pending while the peer only sends more.
    pub async fn peer_closed(&self) {
        poll_fn(|cx| self.poll_peer_closed(cx)).await;
    }

    /// As [`Connection::peer_closed`]. Whoever reads from the connection is not to wait for both at once.
    pub fn poll_peer_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(socket) = self.stream.socket() else { return Poll::Pending };
        if ready!(socket.poll_read_ready(cx)).is_err() {
            return Poll::Ready(());
        }
        // It is readable: bytes or the end, which this tells at once.
        match socket.poll_state(cx) {
            Poll::Ready(Ok(ready)) if !ready.is_read_closed() => Poll::Pending,
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    /// True when an idle stream has neither bytes nor an end waiting: nothing a peer at rest would have sent.
    pub fn is_quiet(&self) -> bool {
        if matches!(&self.stream, Stream::Compressed(compressed) if !compressed.is_empty()) {
            return false;
        }
        let Some(socket) = self.stream.socket() else { return true };
        let mut byte = [std::mem::MaybeUninit::uninit()];
        match socket.options().peek(&mut byte) {
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
            Ok(_) => false,
        }
    }

    /// As [`Connection::is_quiet`], from what the reactor has reported: no system call, but what came since this thread last
    /// asked for events is not seen.
    pub fn is_reported_quiet(&self) -> bool {
        if matches!(self.stream, Stream::Compressed(_)) {
            return self.is_quiet();
        }
        self.stream.socket().is_none_or(|socket| !socket.is_reported_readable())
    }

    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await?;
            }
            Stream::Compressed(compressed) => compressed.send(bytes).await?,
            Stream::Tcp(tcp) => {
                let taken = write_now(tcp, bytes)?;
                if let Some(rest @ [_, ..]) = bytes.get(taken..) {
                    tcp.write_all(rest).await?;
                }
            }
            plain => plain.write_all(bytes).await?,
        }
        self.bytes_out += bytes.len() as u64;
        Ok(())
    }

    /// As [`Connection::write_all`], for what goes on with an exchange instead of beginning one.
    pub async fn write_more(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Stream::Compressed(compressed) = &mut self.stream else { return self.write_all(bytes).await };
        compressed.send_more(bytes).await?;
        self.bytes_out += bytes.len() as u64;
        Ok(())
    }

    /// What the peer sends goes on with an exchange instead of beginning one; or that is over.
    pub fn follow(&mut self, on: bool) {
        if let Stream::Compressed(compressed) = &mut self.stream {
            compressed.follow(on);
        }
    }

    /// From here on everything goes in compressed blocks.
    pub fn compress(&mut self, algorithm: Algorithm, role: Role) {
        let stream = std::mem::replace(&mut self.stream, Stream::Upgrading);
        self.stream = Stream::Compressed(Box::new(Compressed::new(stream, algorithm, role)));
    }

    /// Passes bytes both ways, first those that were read already, until both sides have ended.
    pub async fn pipe(&mut self, other: &mut Connection, pool: &BufferPool) -> io::Result<()> {
        other.write_all(self.input.filled()).await?;
        self.input.consume(usize::MAX);
        self.input.release(pool);
        self.write_all(other.input.filled()).await?;
        other.input.consume(usize::MAX);
        other.input.release(pool);
        let (there, back) = tokio::io::copy_bidirectional(&mut self.stream, &mut other.stream).await?;
        other.bytes_out += there;
        other.bytes_in += back;
        self.bytes_in += there;
        self.bytes_out += back;
        Ok(())
    }

    pub async fn shutdown(&mut self) {
        // The peer may be gone already; there is nobody to tell.
        let _ = self.stream.shutdown().await;
    }

    /// Ends both directions at once: whoever uses the connection next meets an error.
    pub fn sever(&self) {
        if let Some(socket) = self.stream.socket() {
            // One that is closed already is what is wanted.
            let _ = socket.options().shutdown(std::net::Shutdown::Both);
        }
    }

    /// Server side of a TLS handshake on what was plain so far.
    ///
    /// # Errors
    /// Bytes that came before the handshake (a peer that injects into the plain part), or the handshake's own.
    pub async fn accept_tls(&mut self, acceptor: &TlsAcceptor) -> io::Result<()> {
        let tcp = self.take_plain()?;
        self.stream = Stream::Tls(Box::new(TlsStream::Server(acceptor.accept(tcp).await?)));
        Ok(())
    }

    /// Client side of a TLS handshake on what was plain so far.
    pub async fn connect_tls(
        &mut self,
        connector: &TlsConnector,
        name: rustls::pki_types::ServerName<'static>,
    ) -> io::Result<()> {
        let tcp = self.take_plain()?;
        self.stream = Stream::Tls(Box::new(TlsStream::Client(connector.connect(name, tcp).await?)));
        Ok(())
    }

    fn take_plain(&mut self) -> io::Result<TcpStream> {
        if !self.input.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes between the SSL request and TLS"));
        }
        match std::mem::replace(&mut self.stream, Stream::Upgrading) {
            Stream::Tcp(tcp) => Ok(tcp),
            other => {
                self.stream = other;
                Err(Stream::not_plain())
            }
        }
    }
}
