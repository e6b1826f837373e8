//! How a connection to a backend begins: to its address, and through the login that wire's pure machine leads.

use std::io;
use std::time::Duration;

use proxyd_wire::auth::Secret;
use proxyd_wire::client::{Config, Connected, Login, LoginError, Step, Tls};
use proxyd_wire::{Capabilities, ErrPacket};
use tokio::net::{TcpStream, UnixStream};

use super::{FitError, Traits};
use crate::net::{BufferPool, Connection, Packets, Stream};
use crate::snapshot::Server;
use crate::tls::{Connector, rsa_encrypt};

/// No packet of a login is longer than this.
const LOGIN_PACKET: usize = 64 * 1024;
/// utf8mb4_general_ci, which every server knows.
const COLLATION: u16 = 45;

/// Who logs in at a backend, and how.
pub struct Account<'a> {
    pub user: &'a str,
    pub secret: &'a Secret,
    pub traits: Traits,
    pub collation: u16,
    /// Nothing will be translated: this client's own, and no other's.
    pub exactly: Option<Exactly<'a>>,
    /// The compressed protocol, where the server has it.
    pub compress: bool,
    /// What goes before everything else: a PROXY header, or nothing.
    pub preface: &'a [u8],
    /// Set for `use_ssl=1`.
    pub tls: Option<&'a Connector>,
}

impl<'a> Account<'a> {
    /// A login for statements of the proxy's own: no client is behind it whose ways it would have to take on.
    pub fn plain(user: &'a str, secret: &'a Secret, tls: Option<&'a Connector>) -> Account<'a> {
        Account {
            user,
            secret,
            traits: Traits::default(),
            collation: COLLATION,
            exactly: None,
            compress: false,
            preface: b"",
            tls,
        }
    }
}

/// Names and values that a client tells of itself at its login: program, driver, host and the like.
#[derive(Debug, Clone)]
pub struct ConnectAttributes(Vec<(String, String)>);

impl From<Vec<(String, String)>> for ConnectAttributes {
    fn from(pairs: Vec<(String, String)>) -> ConnectAttributes {
        ConnectAttributes(pairs)
    }
}

/// A client as it is, for the login of a connection that is its alone.
#[derive(Clone, Copy)]
pub struct Exactly<'a> {
    /// As far as the server has them.
    pub capabilities: Capabilities,
    /// Its connection attributes, if it has told any.
    pub attributes: Option<&'a ConnectAttributes>,
}

impl Exactly<'_> {
    fn own_attributes(&self) -> Vec<(String, String)> {
        self.attributes.map(|attributes| attributes.0.clone()).unwrap_or_default()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("cannot connect: {0}")]
    Io(#[from] io::Error),
    #[error("no answer in {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The account is at fault, not the server: trying elsewhere would not help.
    #[error("login refused: {0}")]
    Denied(ErrPacket),
    #[error("the server refuses connections: {0}")]
    Refused(ErrPacket),
    #[error("no TLS: {0}")]
    Tls(String),
    #[error("login failed: {0}")]
    Login(LoginError),
}

impl ConnectError {
    /// The MySQL error code that says it best.
    pub fn code(&self) -> u16 {
        match self {
            ConnectError::Io(_) => 2003,
            ConnectError::Timeout(_) => 2013,
            ConnectError::Denied(packet) | ConnectError::Refused(packet) => packet.code,
            ConnectError::Tls(_) | ConnectError::Login(LoginError::TlsNotOffered) => 2026,
            ConnectError::Login(_) => 2012,
        }
    }

    /// The account's fault: another server would say the same, and this one is as good as ever for other accounts.
    pub fn is_the_accounts(&self) -> bool {
        use LoginError::{PasswordUnknown, Plugin};
        matches!(self, ConnectError::Denied(_) | ConnectError::Login(PasswordUnknown(_) | Plugin(_)))
    }
}

impl From<LoginError> for ConnectError {
    fn from(error: LoginError) -> ConnectError {
        match error {
            // Access denied, no such schema, no privilege for it: what the account says wrong.
            LoginError::Refused(packet) if matches!(packet.code, 1044 | 1045 | 1049 | 1698) => {
                ConnectError::Denied(packet)
            }
            LoginError::Refused(packet) => ConnectError::Refused(packet),
            other => ConnectError::Login(other),
        }
    }
}

impl From<FitError> for ConnectError {
    fn from(error: FitError) -> ConnectError {
        match error {
            FitError::Refused(packet) => ConnectError::Refused(packet),
            FitError::Lost(error) => ConnectError::Io(error),
        }
    }
}

pub(super) async fn connect(server: &Server) -> io::Result<Stream> {
    if server.port == 0 {
        return Ok(Stream::Unix(UnixStream::connect(&*server.hostname).await?));
    }
    Ok(Stream::Tcp(TcpStream::connect((&*server.hostname, server.port)).await?))
}

pub(super) async fn log_in(
    connection: &mut Connection,
    account: &Account<'_>,
    server: &Server,
    buffers: &BufferPool,
) -> Result<Connected, ConnectError> {
    let mut login = Login::new(Config {
        user: account.user.to_owned(),
        secret: account.secret.clone(),
        database: None,
        collation: account.collation as u8,
        tls: account
            .tls
            .map_or(Tls::Disabled, |tls| if tls.required { Tls::Required } else { Tls::Preferred }),
        capabilities: capabilities_for(account),
        max_packet: 0x4000_0000,
        attributes: account.exactly.map_or_else(own_attributes, |exactly| exactly.own_attributes()),
        // What passes untouched passes without commands to tell apart.
        compress: account.compress && account.exactly.is_none(),
    });
    let mut packets = Packets::new(connection, buffers, LOGIN_PACKET);
    let first = packets.receive().await?;
    let mut step = login.on(&first)?;
    loop {
        step = match step {
            Step::Send(payload) => {
                packets.send(&payload).await?;
                login.on(&packets.receive().await?)?
            }
            Step::Wait => login.on(&packets.receive().await?)?,
            Step::SendThenTls(payload) => {
                packets.send(&payload).await?;
                let connector = account.tls.ok_or(LoginError::TlsNotOffered)?;
                let started = packets.connection.connect_tls(&connector.tls, server_name(server)?).await;
                started.map_err(|error| ConnectError::Tls(error.to_string()))?;
                login.tls_started()?
            }
            Step::NeedRsaEncrypt { pem, plain } => {
                let sealed = rsa_encrypt(pem.as_bytes(), &plain).ok_or(LoginError::NoPublicKey)?;
                login.encrypted(sealed)?
            }
            Step::Connected(connected) => {
                packets.connection.input.release(buffers);
                return Ok(connected);
            }
        };
    }
}

/// What is asked of the server.
fn capabilities_for(account: &Account<'_>) -> Capabilities {
    let mut capabilities = Capabilities::LONG_PASSWORD
        | Capabilities::LONG_FLAG
        | Capabilities::TRANSACTIONS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::SESSION_TRACK
        | Capabilities::DEPRECATE_EOF;
    capabilities.set(Capabilities::FOUND_ROWS, account.traits.found_rows);
    capabilities.set(Capabilities::IGNORE_SPACE, account.traits.ignore_space);
    capabilities.set(Capabilities::MULTI_STATEMENTS, account.traits.multi_statements);
    capabilities.set(Capabilities::LOCAL_FILES, account.traits.local_files);
    capabilities.set(Capabilities::QUERY_ATTRIBUTES, account.traits.attributes);
    if let Some(exactly) = account.exactly {
        // What the login itself needs is the login's own.
        let of_a_login = Capabilities::CONNECT_WITH_DB
            | Capabilities::CONNECT_ATTRS
            | Capabilities::SSL
            | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA;
        capabilities = exactly.capabilities.difference(of_a_login);
    }
    capabilities
}

/// What a server's `session_connect_attrs` shows of a connection that serves whoever comes.
fn own_attributes() -> Vec<(String, String)> {
    let pid = std::process::id().to_string();
    let pairs = [
        ("_client_name", "standfast"),
        ("_client_version", env!("CARGO_PKG_VERSION")),
        ("_pid", pid.as_str()),
        ("program_name", "standfast"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn server_name(server: &Server) -> io::Result<rustls::pki_types::ServerName<'static>> {
    rustls::pki_types::ServerName::try_from(server.hostname.to_string())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_the_account_can_mend_is_not_held_against_the_server() {
        let refused = |code| {
            let packet = ErrPacket::new(code, b"HY000", "");
            ConnectError::from(LoginError::Refused(packet)).is_the_accounts()
        };
        assert!(refused(1045) && refused(1049));
        assert!(!refused(1040) && !refused(1129));
        assert!(ConnectError::Login(LoginError::PasswordUnknown("caching_sha2_password")).is_the_accounts());
        assert!(ConnectError::Login(LoginError::Plugin("auth_socket".into())).is_the_accounts());
        assert!(!ConnectError::Login(LoginError::TlsNotOffered).is_the_accounts());
        assert!(!ConnectError::Timeout(Duration::from_secs(1)).is_the_accounts());
    }
}
