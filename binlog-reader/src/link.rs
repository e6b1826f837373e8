//! One connection to the server: log in, ask, and read a dump.

use std::io;
use std::time::Duration;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use proxyd_wire::client::{Config as Account, Login, LoginError, Step, Tls};
use proxyd_wire::frame::{self, Located};
use proxyd_wire::response::{Answer, AnswerCollector};
use proxyd_wire::{Capabilities, Command, ErrPacket};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::config::{Config, Place};

/// A server that takes longer for a login or an answer is lost.
const PATIENCE: Duration = Duration::from_secs(5);
/// `gtid_executed` may be long; nothing else is.
const LONGEST_ANSWER: usize = 16 << 20;
/// utf8mb4_general_ci, which every server knows.
const COLLATION: u8 = 45;

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("login failed: {0}")]
    Login(#[from] LoginError),
    #[error("no answer in {} ms", .0.as_millis())]
    Silent(Duration),
    #[error("{0}")]
    Refused(ErrPacket),
    #[error("not an answer")]
    Malformed,
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

pub(crate) struct Link {
    stream: Box<dyn Stream>,
    capabilities: Capabilities,
    sequence: u8,
    input: Vec<u8>,
}

impl Link {
    /// Connects and logs in.
    pub(crate) async fn open(config: &Config) -> Result<Link, LinkError> {
        bounded(PATIENCE, async {
            let stream: Box<dyn Stream> = match &config.server {
                Place::Unix(path) => Box::new(UnixStream::connect(path).await?),
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
            };
            let capabilities = Capabilities::empty();
            let mut link = Link { stream, capabilities, sequence: 0, input: Vec::new() };
            link.log_in(config).await?;
            Ok(link)
        })
        .await
    }

    async fn log_in(&mut self, config: &Config) -> Result<(), LinkError> {
        let mut login = Login::new(Account {
            user: config.user.clone(),
            secret: config.password.clone(),
            database: None,
            collation: COLLATION,
            tls: Tls::Disabled,
            capabilities: Capabilities::LONG_PASSWORD
                | Capabilities::TRANSACTIONS
                | Capabilities::DEPRECATE_EOF,
            max_packet: 1 << 24,
            attributes: vec![("program_name".into(), env!("CARGO_BIN_NAME").into())],
            // Both are on one host.
            compress: false,
        });
        let mut step = Step::Wait;
        loop {
            step = match step {
                Step::Wait => login.on(&self.receive().await?)?,
                Step::Send(payload) => {
                    self.send(&payload).await?;
                    login.on(&self.receive().await?)?
                }
                Step::NeedRsaEncrypt { pem, plain } => {
                    login.encrypted(seal(&pem, &plain).ok_or(LoginError::NoPublicKey)?)?
                }
                Step::SendThenTls(_) => return Err(LoginError::OutOfTurn.into()),
                Step::Connected(connected) => {
                    self.capabilities = connected.capabilities;
                    return Ok(());
                }
            };
        }
    }

    /// Runs a statement; its rows as text.
    pub(crate) async fn query(&mut self, sql: &str) -> Result<Vec<Vec<String>>, LinkError> {
        self.ask(&[&[Command::Query as u8], sql.as_bytes()].concat(), PATIENCE).await
    }

    /// Sends a command and takes its answer.
    pub(crate) async fn ask(
        &mut self,
        payload: &[u8],
        patience: Duration,
    ) -> Result<Vec<Vec<String>>, LinkError> {
        bounded(patience, async {
            self.sequence = 0;
            self.send(payload).await?;
            let mut collector = AnswerCollector::new(self.capabilities, LONGEST_ANSWER);
            loop {
                let payload = self.receive().await?;
                match collector.on(&payload).map_err(|_| LinkError::Malformed)? {
                    None => {}
                    Some(Answer::Ok(_)) => return Ok(Vec::new()),
                    Some(Answer::Err(error)) => return Err(LinkError::Refused(error)),
                    Some(Answer::Rows { rows, .. }) => {
                        let text = |value: Option<Vec<u8>>| {
                            String::from_utf8_lossy(&value.unwrap_or_default()).into_owned()
                        };
                        return Ok(rows.into_iter().map(|row| row.into_iter().map(text).collect()).collect());
                    }
                }
            }
        })
        .await
    }

    /// Sends the command that a dump answers; from now on [`Link::read`] is all there is.
    pub(crate) async fn begin_dump(&mut self, payload: &[u8]) -> Result<(), LinkError> {
        self.sequence = 0;
        bounded(PATIENCE, self.send(payload)).await
    }

    /// The next bytes of a dump, frames and all; the server must not be silent for longer than `patience`.
    pub(crate) async fn read(&mut self, patience: Duration) -> Result<&[u8], LinkError> {
        self.input.clear();
        bounded(patience, async {
            self.input.reserve(64 * 1024);
            match self.stream.read_buf(&mut self.input).await? {
                0 => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                _ => Ok(()),
            }
        })
        .await?;
        Ok(&self.input)
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), LinkError> {
        let mut frames = Vec::with_capacity(payload.len() + frame::HEADER);
        frame::write(&mut frames, &mut self.sequence, payload);
        Ok(self.stream.write_all(&frames).await?)
    }

    async fn receive(&mut self) -> Result<Vec<u8>, LinkError> {
        loop {
            match frame::locate(&self.input, LONGEST_ANSWER).map_err(|_| LinkError::Malformed)? {
                Located::Complete { framed, next_sequence, .. } => {
                    let rest = self.input.split_off(framed);
                    let whole = std::mem::replace(&mut self.input, rest);
                    self.sequence = next_sequence;
                    return Ok(frame::payload(&whole).into_owned());
                }
                Located::Incomplete { .. } => {
                    self.input.reserve(16 * 1024);
                    if self.stream.read_buf(&mut self.input).await? == 0 {
                        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                    }
                }
            }
        }
    }
}

async fn bounded<T>(
    patience: Duration,
    what: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    timeout(patience, what).await.unwrap_or(Err(LinkError::Silent(patience)))
}

/// The password under the server's key: it leaves the machine in clear nowhere.
fn seal(public_key: &str, plain: &[u8]) -> Option<Vec<u8>> {
    let der = pem::parse(public_key).ok()?;
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(der.contents()).ok()?).ok()?;
    let mut out = vec![0; key.ciphertext_size()];
    key.encrypt(&OAEP_SHA1_MGF1SHA1, plain, &mut out, None).ok().map(|sealed| sealed.to_vec())
}
