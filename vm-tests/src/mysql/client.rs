//! A small MySQL client over a tokio socket, plain or under TLS: log in, query, ping. It retries nothing and hides nothing.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::auth;
use super::link::Link;
use super::packet::{self, Greeting, Login, MAX_PAYLOAD};

/// How an attempt failed, in the words that the report uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection was refused (a reset in answer to the SYN).
    Refused,
    /// The connection was reset or closed in the middle.
    Lost(&'static str),
    /// No answer in time; set by the caller.
    TimedOut(&'static str),
    /// The server answered with an error.
    Server { code: u16, message: String },
    /// The server said something that this client cannot read.
    Protocol(&'static str),
    /// The network said no.
    Network(ErrorKind),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused => write!(f, "connection refused"),
            Failure::Lost(phase) => write!(f, "connection lost ({phase})"),
            Failure::TimedOut(phase) => write!(f, "timed out ({phase})"),
            Failure::Server { code, message } => write!(f, "error {code}: {message}"),
            Failure::Protocol(what) => write!(f, "protocol: {what}"),
            Failure::Network(kind) => write!(f, "network: {kind}"),
        }
    }
}

/// Who logs in, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub address: SocketAddr,
    pub user: String,
    pub password: String,
    pub database: Option<String>,
}

/// Connections made and commands sent by all clients of this process: a proxy's own counters must agree.
static DIALLED: AtomicU64 = AtomicU64::new(0);
static SENT: AtomicU64 = AtomicU64::new(0);

/// How many connections were made, and commands sent on them.
pub(crate) fn counts() -> (u64, u64) {
    (DIALLED.load(Ordering::Relaxed), SENT.load(Ordering::Relaxed))
}

/// Rows of a text result; empty for an OK.
pub(crate) type Rows = Vec<Vec<Option<String>>>;

/// A logged-in connection.
pub(crate) struct Client {
    stream: BufReader<Link>,
    sequence: u8,
    phase: &'static str,
}

impl Client {
    /// Opens the connection; nothing is said yet.
    pub(crate) async fn dial(account: &Account) -> Result<TcpStream, Failure> {
        let stream = TcpStream::connect(account.address).await.map_err(|error| match error.kind() {
            ErrorKind::ConnectionRefused => Failure::Refused,
            ErrorKind::ConnectionReset => Failure::Lost("connect"),
            other => Failure::Network(other),
        })?;
        DIALLED.fetch_add(1, Ordering::Relaxed);
        // Delayed small packets would be measured as the proxy's.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Logs in; `caching_sha2_password` by its fast path only.
    pub(crate) async fn log_in(stream: TcpStream, account: &Account) -> Result<Self, Failure> {
        Self::enter(stream, account, None).await
    }

    /// Connects and logs in.
    pub(crate) async fn connect(account: &Account) -> Result<Self, Failure> {
        Self::enter(Self::dial(account).await?, account, None).await
    }

    /// Connects and logs in under TLS.
    pub(crate) async fn connect_tls(account: &Account, tls: &TlsConnector) -> Result<Self, Failure> {
        Self::enter(Self::dial(account).await?, account, Some(tls)).await
    }

    async fn enter(
        stream: TcpStream,
        account: &Account,
        tls: Option<&TlsConnector>,
    ) -> Result<Self, Failure> {
        let mut client = Self { stream: BufReader::new(Link::Plain(stream)), sequence: 0, phase: "greeting" };
        let greeting = client.read().await?;
        if greeting.first() == Some(&0xff) {
            return Err(server_error(&greeting));
        }
        let greeting = Greeting::parse(&greeting).ok_or(Failure::Protocol("greeting"))?;
        let mut login = Self::login(account, &greeting);
        if let Some(tls) = tls {
            client.phase = "TLS";
            login.capabilities |= packet::SSL;
            client.write(&login.ssl_request()).await?;
            client.stream = match client.stream.into_inner().secured(tls).await {
                Ok(link) => BufReader::new(link),
                Err(error) => return Err(lost("TLS", &error)),
            };
        }
        client.phase = "login";
        client.authenticate(account, &login).await?;
        Ok(client)
    }

    fn login(account: &Account, greeting: &Greeting) -> Login {
        let plugin = if greeting.plugin == auth::CACHING_SHA2 { auth::CACHING_SHA2 } else { auth::NATIVE };
        let mut capabilities = packet::LONG_PASSWORD
            | packet::PROTOCOL_41
            | packet::TRANSACTIONS
            | packet::SECURE_CONNECTION
            | packet::MULTI_RESULTS
            | packet::PLUGIN_AUTH;
        if account.database.is_some() {
            capabilities |= packet::CONNECT_WITH_DB;
        }
        Login {
            capabilities,
            user: account.user.clone(),
            answer: auth::answer(plugin, &account.password, &greeting.nonce).unwrap_or_default(),
            database: account.database.clone(),
            plugin: plugin.into(),
        }
    }

    async fn authenticate(&mut self, account: &Account, login: &Login) -> Result<(), Failure> {
        self.write(&login.encode()).await?;
        loop {
            let reply = self.read().await?;
            match reply.first() {
                Some(0x00) => return Ok(()),
                Some(0xff) => return Err(server_error(&reply)),
                Some(0xfe) => self.switch_plugin(account, &reply).await?,
                Some(0x01) if reply.get(1) == Some(&3) => {}
                Some(0x01) => {
                    return Err(Failure::Protocol("full caching_sha2_password authentication wanted"));
                }
                _ => return Err(Failure::Protocol("login reply")),
            }
        }
    }

    async fn switch_plugin(&mut self, account: &Account, request: &[u8]) -> Result<(), Failure> {
        let mut r = packet::Reader::new(&request[1..]);
        let plugin = r.zero_terminated().ok_or(Failure::Protocol("auth switch"))?;
        let nonce = r.rest();
        let nonce = nonce.strip_suffix(&[0]).unwrap_or(nonce);
        let plugin = std::str::from_utf8(plugin).map_err(|_| Failure::Protocol("auth switch"))?;
        let answer =
            auth::answer(plugin, &account.password, nonce).ok_or(Failure::Protocol("auth plugin"))?;
        self.write(&answer).await
    }

    /// COM_QUERY; reads the whole (text) result.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Rows, Failure> {
        self.phase = "query";
        let mut command = vec![0x03];
        command.extend_from_slice(sql.as_bytes());
        self.command(&command).await?;
        self.rows(|packet, _| packet::parse_row(packet)).await
    }

    /// COM_QUERY, of one frame, that rests before its last bytes; the answer is an OK.
    pub(crate) async fn query_with_a_rest(&mut self, sql: &str, rest: Duration) -> Result<(), Failure> {
        self.phase = "query";
        let mut bytes = packet::header(sql.len() + 1, 0).to_vec();
        bytes.push(0x03);
        bytes.extend_from_slice(sql.as_bytes());
        let (most, last) = bytes.split_at(bytes.len() - 10);
        self.stream.write_all(most).await.map_err(|e| self.lost(&e))?;
        tokio::time::sleep(rest).await;
        self.stream.write_all(last).await.map_err(|e| self.lost(&e))?;
        self.sequence = 1;
        self.rows(|packet, _| packet::parse_row(packet)).await.map(drop)
    }

    /// One result; `parse` takes a row's packet and the number of columns.
    async fn rows(
        &mut self,
        parse: impl Fn(&[u8], usize) -> Option<Vec<Option<String>>>,
    ) -> Result<Rows, Failure> {
        let first = self.read().await?;
        match first.first() {
            Some(0x00) => return Ok(Vec::new()),
            Some(0xff) => return Err(server_error(&first)),
            Some(0xfb) | None => return Err(Failure::Protocol("query reply")),
            Some(_) => {}
        }
        let columns = packet::Reader::new(&first).lenenc_int().and_then(|count| usize::try_from(count).ok());
        let columns = columns.ok_or(Failure::Protocol("column count"))?;
        for _ in 0..columns {
            self.read().await?;
        }
        self.read().await?;
        let mut rows = Vec::new();
        loop {
            let next = self.read().await?;
            match next.first() {
                Some(0xfe) if next.len() < 9 => return Ok(rows),
                Some(0xff) => return Err(server_error(&next)),
                _ => rows.push(parse(&next, columns).ok_or(Failure::Protocol("row"))?),
            }
        }
    }

    /// COM_STMT_PREPARE; the statement's id.
    pub(crate) async fn prepare(&mut self, sql: &str) -> Result<u32, Failure> {
        self.phase = "prepare";
        let mut command = vec![0x16];
        command.extend_from_slice(sql.as_bytes());
        self.command(&command).await?;
        let first = self.read().await?;
        if first.first() == Some(&packet::ERR) {
            return Err(server_error(&first));
        }
        let mut r = packet::Reader::new(&first);
        let head = (|| Some((r.u8()?, r.u32()?, r.u16()?, r.u16()?)))();
        let (_, id, columns, parameters) = head.ok_or(Failure::Protocol("prepare reply"))?;
        for count in [parameters, columns] {
            // The definitions, and the EOF behind them.
            for _ in 0..count + u16::from(count > 0) {
                self.read().await?;
            }
        }
        Ok(id)
    }

    /// COM_STMT_EXECUTE with whole numbers for parameters, for a statement that has no result or columns of text.
    pub(crate) async fn execute(&mut self, statement: u32, values: &[i64]) -> Result<Rows, Failure> {
        self.phase = "execute";
        let mut command = vec![0x17];
        command.extend(statement.to_le_bytes());
        command.extend([0, 1, 0, 0, 0]);
        if !values.is_empty() {
            command.extend(std::iter::repeat_n(0, values.len().div_ceil(8)));
            command.push(1);
            values.iter().for_each(|_| command.extend([0x08, 0]));
            values.iter().for_each(|value| command.extend(value.to_le_bytes()));
        }
        self.command(&command).await?;
        self.rows(|packet, columns| {
            let mut r = packet::Reader::new(packet);
            let nulls = (columns + 9) / 8;
            let map = r.bytes(1).and_then(|_| r.bytes(nulls))?;
            let is_null = |column: usize| map[(column + 2) / 8] & 1 << ((column + 2) % 8) != 0;
            (0..columns)
                .map(|column| match is_null(column) {
                    true => Some(None),
                    false => Some(Some(String::from_utf8_lossy(r.lenenc_bytes()?).into_owned())),
                })
                .collect()
        })
        .await
    }

    /// COM_PING.
    pub(crate) async fn ping(&mut self) -> Result<(), Failure> {
        self.phase = "ping";
        self.command(&[0x0e]).await?;
        let reply = self.read().await?;
        match reply.first() {
            Some(0x00) => Ok(()),
            Some(0xff) => Err(server_error(&reply)),
            _ => Err(Failure::Protocol("ping reply")),
        }
    }

    /// COM_QUIT; the answer is the close of the connection, which nobody waits for.
    pub(crate) async fn quit(mut self) {
        let _ = self.command(&[0x01]).await;
    }

    /// COM_QUIT, and waits until the server has closed: the side that closes first keeps the port for a minute.
    pub(crate) async fn leave(mut self) -> Result<(), Failure> {
        self.phase = "quit";
        self.command(&[0x01]).await?;
        match self.stream.read_u8().await {
            Err(_) => Ok(()),
            Ok(_) => Err(Failure::Protocol("an answer to COM_QUIT")),
        }
    }

    /// COM_QUERY, for somebody who leaves with the first packet of the answer.
    pub(crate) async fn ask(&mut self, sql: &str) -> Result<(), Failure> {
        self.phase = "query";
        let mut command = vec![0x03];
        command.extend_from_slice(sql.as_bytes());
        self.command(&command).await?;
        self.read().await.map(drop)
    }

    /// COM_QUERY, with the answer read and thrown away: how many bytes its packets had.
    pub(crate) async fn drain(&mut self, sql: &str) -> Result<u64, Failure> {
        self.phase = "query";
        let mut command = vec![0x03];
        command.extend_from_slice(sql.as_bytes());
        self.command(&command).await?;
        self.rest().await
    }

    /// The rest of an answer, read and thrown away.
    pub(crate) async fn rest(&mut self) -> Result<u64, Failure> {
        let (mut bytes, mut ends) = (0, 0);
        while ends < 2 {
            let (len, first) = self.skip().await?;
            bytes += len as u64 + 4;
            match first {
                packet::ERR => return Err(Failure::Protocol("an error instead of rows")),
                0xfe if len < 9 => ends += 1,
                _ => {}
            }
        }
        Ok(bytes)
    }

    /// Length and first byte of the next packet.
    async fn skip(&mut self) -> Result<(usize, u8), Failure> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await.map_err(|e| self.lost(&e))?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        let (mut left, mut first) = (len, None);
        while left > 0 {
            let phase = self.phase;
            let there = self.stream.fill_buf().await.map_err(|e| lost(phase, &e))?;
            let Some(byte) = there.first() else { return Err(Failure::Lost("query")) };
            first.get_or_insert(*byte);
            let taken = there.len().min(left);
            self.stream.consume(taken);
            left -= taken;
        }
        Ok((len, first.unwrap_or_default()))
    }

    /// The bare connection, for somebody who only wants it to stay open.
    pub(crate) fn into_link(self) -> Link {
        self.stream.into_inner()
    }

    async fn command(&mut self, payload: &[u8]) -> Result<(), Failure> {
        self.sequence = 0;
        self.write(payload).await?;
        SENT.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn write(&mut self, payload: &[u8]) -> Result<(), Failure> {
        let mut bytes = packet::header(payload.len(), self.sequence).to_vec();
        bytes.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        self.stream.write_all(&bytes).await.map_err(|e| self.lost(&e))?;
        self.stream.flush().await.map_err(|e| self.lost(&e))
    }

    async fn read(&mut self) -> Result<Vec<u8>, Failure> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header).await.map_err(|e| self.lost(&e))?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        if len >= MAX_PAYLOAD {
            return Err(Failure::Protocol("packet of 16 MB"));
        }
        self.sequence = header[3].wrapping_add(1);
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload).await.map_err(|e| self.lost(&e))?;
        Ok(payload)
    }

    fn lost(&self, error: &std::io::Error) -> Failure {
        lost(self.phase, error)
    }
}

fn lost(phase: &'static str, error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Failure::Lost(phase),
        other => Failure::Network(other),
    }
}

fn server_error(payload: &[u8]) -> Failure {
    let (code, message) = packet::parse_err(payload);
    Failure::Server { code, message }
}
