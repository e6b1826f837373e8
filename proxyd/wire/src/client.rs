//! The client's side of a login at a backend, as a machine without a socket.
//!
//! The driver gives each payload it receives to [`Login::on`] and does what the [`Step`] says until `Connected`.
//! Sequence numbers go on counting through the SSL request and the TLS handshake after it.

use crate::auth::ed25519;
use crate::auth::native;
use crate::auth::sha2;
use crate::auth::{Plugin, Secret};
use crate::capabilities::Capabilities;
use crate::compression;
use crate::handshake::{
    AuthMoreData, AuthSwitchRequest, Greeting, GreetingError, HandshakeResponse, NONCE, SslRequest,
};
use crate::lenenc::Malformed;
use crate::response::{ErrPacket, OkPacket};
use crate::status::Status;

/// Whether a backend connection is under TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    Disabled,
    /// When the server offers it (ProxySQL's `use_ssl = 1`).
    Preferred,
    Required,
}

/// Who logs in, and what it wants to speak.
#[derive(Debug, Clone)]
pub struct Config {
    pub user: String,
    pub secret: Secret,
    pub database: Option<String>,
    /// The lower byte of the collation.
    pub collation: u8,
    pub tls: Tls,
    /// What is wanted; only what the server has too is used.
    pub capabilities: Capabilities,
    pub max_packet: u32,
    pub attributes: Vec<(String, String)>,
    /// The compressed protocol, where the server has it: zstd before zlib.
    pub compress: bool,
}

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this payload, then give the next one to [`Login::on`].
    Send(Vec<u8>),
    /// Nothing to send: give the next payload to [`Login::on`].
    Wait,
    /// Send this payload, do a TLS handshake and call [`Login::tls_started`].
    SendThenTls(Vec<u8>),
    /// Encrypt `plain` for this public key with RSA-OAEP (SHA-1) and call [`Login::encrypted`].
    NeedRsaEncrypt {
        pem: String,
        plain: Vec<u8>,
    },
    Connected(Connected),
}

/// A connection that is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connected {
    pub thread_id: u32,
    /// Without MariaDB's "5.5.5-".
    pub server_version: String,
    /// What both sides have.
    pub capabilities: Capabilities,
    pub status: Status,
    /// Session state changes that came with the login.
    pub session_track: Vec<u8>,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The server's own words.
    #[error("{0}")]
    Refused(ErrPacket),
    #[error("the greeting is no use: {0}")]
    Greeting(GreetingError),
    #[error("bad packet while logging in: {0}")]
    Malformed(#[from] Malformed),
    #[error("the server does not offer TLS and the connection must have it")]
    TlsNotOffered,
    #[error("the server wants the plugin {0}, which is not supported")]
    Plugin(String),
    #[error("the server wants {0}, for which the password itself is needed and only its hash is known")]
    PasswordUnknown(&'static str),
    #[error("the server gives no public key to hide the password with")]
    NoPublicKey,
    #[error("a step of the login was taken out of turn")]
    OutOfTurn,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    TlsHandshake,
    /// The server's verdict, or something more about the plugin.
    Verdict,
    PublicKey,
    Encryption,
    Over,
}

/// One login at a backend.
#[derive(Debug)]
pub struct Login {
    config: Config,
    state: State,
    tls: bool,
    plugin: Plugin,
    nonce: [u8; NONCE],
    connected: Connected,
}

impl Login {
    pub fn new(config: Config) -> Login {
        let connected = Connected {
            thread_id: 0,
            server_version: String::new(),
            capabilities: Capabilities::empty(),
            status: Status::empty(),
            session_track: Vec::new(),
        };
        Login {
            config,
            state: State::Greeting,
            tls: false,
            plugin: Plugin::NativePassword,
            nonce: [0; NONCE],
            connected,
        }
    }

    /// The next payload from the server.
    ///
    /// # Errors
    /// The login failed; close the connection.
    pub fn on(&mut self, payload: &[u8]) -> Result<Step, LoginError> {
        match self.state {
            State::Greeting => self.on_greeting(payload),
            State::Verdict => self.on_verdict(payload),
            State::PublicKey => self.on_public_key(payload),
            State::TlsHandshake | State::Encryption | State::Over => Err(LoginError::OutOfTurn),
        }
    }

    /// The TLS handshake of [`Step::SendThenTls`] is done.
    pub fn tls_started(&mut self) -> Result<Step, LoginError> {
        if self.state != State::TlsHandshake {
            return Err(LoginError::OutOfTurn);
        }
        self.tls = true;
        self.respond()
    }

    /// The answer to [`Step::NeedRsaEncrypt`].
    pub fn encrypted(&mut self, bytes: Vec<u8>) -> Result<Step, LoginError> {
        if self.state != State::Encryption {
            return Err(LoginError::OutOfTurn);
        }
        self.state = State::Verdict;
        Ok(Step::Send(bytes))
    }

    fn on_greeting(&mut self, payload: &[u8]) -> Result<Step, LoginError> {
        let greeting = Greeting::parse(payload).map_err(|error| match error {
            GreetingError::Refused(err) => LoginError::Refused(err),
            other => LoginError::Greeting(other),
        })?;
        let offers_tls = greeting.capabilities.contains(Capabilities::SSL);
        if self.config.tls == Tls::Required && !offers_tls {
            return Err(LoginError::TlsNotOffered);
        }
        let tls = offers_tls && self.config.tls != Tls::Disabled;
        self.connected.capabilities = self.agree(&greeting, tls);
        self.connected.thread_id = greeting.thread_id;
        self.connected.server_version = greeting.server_version;
        self.nonce = greeting.nonce;
        self.plugin = self.first_plugin(&greeting.plugin);
        if tls {
            self.state = State::TlsHandshake;
            let request = SslRequest {
                capabilities: self.connected.capabilities,
                max_packet: self.config.max_packet,
                collation: self.config.collation,
            };
            return Ok(Step::SendThenTls(request.encode()));
        }
        self.respond()
    }

    fn agree(&self, greeting: &Greeting, tls: bool) -> Capabilities {
        let must = Capabilities::PROTOCOL_41 | Capabilities::SECURE_CONNECTION | Capabilities::PLUGIN_AUTH;
        let mut wanted = self.config.capabilities | must | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA;
        wanted.set(Capabilities::CONNECT_WITH_DB, self.config.database.is_some());
        wanted.set(Capabilities::CONNECT_ATTRS, !self.config.attributes.is_empty());
        wanted.set(Capabilities::SSL, tls);
        let zstd = Capabilities::ZSTD_COMPRESSION_ALGORITHM;
        let has_zstd = greeting.capabilities.contains(zstd | Capabilities::LONG_PASSWORD);
        wanted.set(zstd, self.config.compress && has_zstd);
        wanted.set(Capabilities::COMPRESS, self.config.compress && !has_zstd);
        // No definitions left out: the response tracker would lose its way.
        wanted.remove(
            Capabilities::OPTIONAL_RESULTSET_METADATA
                | Capabilities::MARIADB_CACHE_METADATA
                | Capabilities::MARIADB_PROGRESS,
        );
        wanted & greeting.capabilities
    }

    /// The server's default plugin where we know it; else ours, and the server will ask to switch.
    fn first_plugin(&self, name: &str) -> Plugin {
        match (Plugin::from_name(name), &self.config.secret) {
            (_, Secret::NativeStage1(_)) => Plugin::NativePassword,
            (Some(plugin), Secret::Password(_)) => plugin,
            (None, Secret::Password(_)) if name.is_empty() => Plugin::NativePassword,
            (None, Secret::Password(_)) => Plugin::CachingSha2,
        }
    }

    fn respond(&mut self) -> Result<Step, LoginError> {
        self.state = State::Verdict;
        let zstd = self.connected.capabilities.contains(Capabilities::ZSTD_COMPRESSION_ALGORITHM);
        let response = HandshakeResponse {
            capabilities: self.connected.capabilities,
            max_packet: self.config.max_packet,
            collation: self.config.collation,
            user: self.config.user.clone(),
            auth_response: self.token()?,
            database: self.config.database.clone(),
            plugin: self.plugin.name().to_owned(),
            attributes: self.config.attributes.clone(),
            zstd_level: zstd.then_some(compression::ZSTD_LEVEL),
        };
        Ok(Step::Send(response.encode()))
    }

    fn token(&self) -> Result<Vec<u8>, LoginError> {
        Ok(match (self.plugin, &self.config.secret) {
            (_, Secret::Password(password)) if password.is_empty() => Vec::new(),
            (Plugin::NativePassword, Secret::Password(password)) => {
                native::token(&native::stage1(password.as_bytes()), &self.nonce).to_vec()
            }
            (Plugin::NativePassword, Secret::NativeStage1(stage1)) => {
                native::token(stage1, &self.nonce).to_vec()
            }
            (Plugin::CachingSha2, Secret::Password(password)) => {
                sha2::token(password.as_bytes(), &self.nonce).to_vec()
            }
            (Plugin::CachingSha2, Secret::NativeStage1(_)) => {
                return Err(LoginError::PasswordUnknown(Plugin::CachingSha2.name()));
            }
        })
    }

    fn on_verdict(&mut self, payload: &[u8]) -> Result<Step, LoginError> {
        match payload.first() {
            Some(&OkPacket::HEADER) => {
                // MariaDB 11 puts a certificate proof where the info is; nothing of it is needed here.
                let ok = OkPacket::parse(payload, self.connected.capabilities)?;
                self.state = State::Over;
                self.connected.status = ok.status;
                self.connected.session_track = ok.session_track;
                Ok(Step::Connected(self.connected.clone()))
            }
            Some(&ErrPacket::HEADER) => Err(LoginError::Refused(ErrPacket::parse(payload)?)),
            Some(&AuthSwitchRequest::HEADER) => self.on_switch(&AuthSwitchRequest::parse(payload)?),
            Some(&AuthMoreData::HEADER) => self.on_more_data(AuthMoreData::parse(payload)?.0),
            Some(&other) => Err(Malformed::UnexpectedByte(other).into()),
            None => Err(Malformed::Truncated.into()),
        }
    }

    fn on_switch(&mut self, switch: &AuthSwitchRequest) -> Result<Step, LoginError> {
        if switch.plugin == ed25519::CLIENT_NAME {
            return self.sign(&switch.data);
        }
        // mysql_clear_password is none of ours: a server that asks for it is not trusted with the password.
        self.plugin =
            Plugin::from_name(&switch.plugin).ok_or_else(|| LoginError::Plugin(switch.plugin.clone()))?;
        self.nonce = *switch.data.first_chunk().ok_or(Malformed::Truncated)?;
        self.token().map(Step::Send)
    }

    /// MariaDB's ed25519: an answer that proves the password and gives nothing of it away.
    fn sign(&self, nonce: &[u8]) -> Result<Step, LoginError> {
        let nonce: &[u8; ed25519::NONCE] = nonce.first_chunk().ok_or(Malformed::Truncated)?;
        match &self.config.secret {
            Secret::Password(password) => Ok(Step::Send(ed25519::sign(password.as_bytes(), nonce).to_vec())),
            Secret::NativeStage1(_) => Err(LoginError::PasswordUnknown(ed25519::CLIENT_NAME)),
        }
    }

    fn on_more_data(&mut self, data: &[u8]) -> Result<Step, LoginError> {
        match (self.plugin, data) {
            (Plugin::CachingSha2, [sha2::FAST_AUTH_OK]) => Ok(Step::Wait),
            (Plugin::CachingSha2, [sha2::FULL_AUTH]) if self.tls => Ok(Step::Send(self.password()?)),
            (Plugin::CachingSha2, [sha2::FULL_AUTH]) => {
                self.password()?;
                self.state = State::PublicKey;
                Ok(Step::Send(vec![sha2::REQUEST_PUBLIC_KEY]))
            }
            _ => Err(Malformed::UnexpectedByte(AuthMoreData::HEADER).into()),
        }
    }

    fn on_public_key(&mut self, payload: &[u8]) -> Result<Step, LoginError> {
        if payload.first() == Some(&ErrPacket::HEADER) {
            return Err(LoginError::Refused(ErrPacket::parse(payload)?));
        }
        let pem =
            std::str::from_utf8(AuthMoreData::parse(payload)?.0).map_err(|_| LoginError::NoPublicKey)?;
        let mut plain = self.password()?;
        sha2::xor_nonce(&mut plain, &self.nonce);
        self.state = State::Encryption;
        Ok(Step::NeedRsaEncrypt { pem: pem.to_owned(), plain })
    }

    /// The password and a NUL.
    fn password(&self) -> Result<Vec<u8>, LoginError> {
        match &self.config.secret {
            Secret::Password(password) => Ok([password.as_bytes(), &[0]].concat()),
            Secret::NativeStage1(_) => Err(LoginError::PasswordUnknown(self.plugin.name())),
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
