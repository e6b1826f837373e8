//! The server's side of a login, as a machine without a socket.
//!
//! The driver sends [`Login::greeting`], then gives each payload it receives to [`Login::on`] and does what the
//! [`Step`] says. Only [`Step::Send`] and [`Step::StartTls`] lead to another packet from the client; every other step
//! names the method with which the driver answers it. `Accept` and `Refuse` end it; the driver sends the OK itself,
//! after it has looked at its own limits.
//!
//! A user that does not exist is taken through the same packets as one with a clear-text password, to the same
//! error: who asks does not learn which names exist.

use crate::auth::native::{self, Stage2};
use crate::auth::sha2::{self, CachedHash};
use crate::auth::{Plugin, Secret};
use crate::capabilities::Capabilities;
use crate::handshake::{
    AuthMoreData, AuthSwitchRequest, ChangeUser, ClientHello, Greeting, HandshakeResponse, HelloError, NONCE,
};
use crate::response::ErrPacket;
use crate::status::Status;

/// What the proxy knows before a client says anything.
#[derive(Debug, Clone)]
pub struct Config {
    pub server_version: String,
    pub thread_id: u32,
    /// Random, without zero bytes ([`nonce_from`] makes it so).
    pub nonce: [u8; NONCE],
    /// What is offered; SSL is added when there is a certificate.
    pub capabilities: Capabilities,
    /// The lower byte of the default collation.
    pub collation: u8,
    pub default_plugin: Plugin,
    pub tls_available: bool,
    /// The client comes by a Unix socket, where passwords go unencrypted: nobody is in between.
    pub is_local: bool,
    /// The public key for full authentication without TLS; `None`: only under TLS or by a Unix socket.
    pub public_key_pem: Option<String>,
    /// The client's host, for the text of error 1045.
    pub peer_host: String,
}

/// Makes a nonce of random bytes: neither NUL (it ends strings) nor beyond ASCII (as MySQL's own).
pub fn nonce_from(random: [u8; NONCE]) -> [u8; NONCE] {
    random.map(|byte| (byte & 0x7f).max(1))
}

/// What is stored for a user.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    Clear(String),
    /// `*HEX`.
    Native(Stage2),
    /// `$A$…`, and the hash that an earlier full authentication has left, if any.
    Sha2 {
        hash: Vec<u8>,
        cached: Option<CachedHash>,
    },
}

/// What the driver has to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this payload, then give the next one to [`Login::on`].
    Send(Vec<u8>),
    /// Do a TLS handshake, then give the next payload to [`Login::on`].
    StartTls,
    /// Look [`Login::user`] up and call [`Login::credential`].
    NeedCredential,
    /// Decrypt with RSA-OAEP (SHA-1) and call [`Login::decrypted`].
    NeedRsaDecrypt(Vec<u8>),
    /// Run [`HashCheck::run`] (milliseconds of CPU) where that hurts nobody and call [`Login::hash_checked`].
    NeedHashCheck(HashCheck),
    /// Send these payloads (there may be none) and, if the session may begin, an OK.
    Accept { before_ok: Option<Vec<u8>> },
    /// Send this and close.
    Refuse(ErrPacket),
}

/// A password and the hash to check it against; see [`Step::NeedHashCheck`].
#[derive(Clone, PartialEq, Eq)]
pub struct HashCheck {
    password: Vec<u8>,
    hash: Vec<u8>,
}

impl HashCheck {
    pub fn run(&self) -> bool {
        sha2::verify_hash(&self.password, &self.hash)
    }
}

impl std::fmt::Debug for HashCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashCheck(hidden)")
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(hidden)")
    }
}

/// What the machine waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Hello,
    Credential,
    SwitchAnswer(Plugin),
    /// The password itself, or the request for the public key.
    Password,
    /// The password under RSA.
    EncryptedPassword,
    Decrypted,
    HashChecked,
    Over,
}

/// One client's login.
#[derive(Debug)]
pub struct Login {
    config: Config,
    state: State,
    tls: bool,
    client: HandshakeResponse,
    credential: Option<Credential>,
    learned: Option<Secret>,
}

impl Login {
    pub fn new(config: Config) -> Login {
        Login {
            config,
            state: State::Hello,
            tls: false,
            client: HandshakeResponse::default(),
            credential: None,
            learned: None,
        }
    }

    /// COM_CHANGE_USER on a connection that is logged in. `config` has the nonce of the greeting; `capabilities` are
    /// the connection's. The step is the first one to do.
    pub fn change_user(
        config: Config,
        capabilities: Capabilities,
        tls: bool,
        change: ChangeUser,
    ) -> (Login, Step) {
        let mut login = Login::new(config);
        login.tls = tls;
        login.client = HandshakeResponse {
            capabilities,
            collation: change.collation as u8,
            user: change.user,
            auth_response: change.auth_response,
            database: change.database,
            plugin: change.plugin,
            attributes: change.attributes,
            ..HandshakeResponse::default()
        };
        login.state = State::Credential;
        (login, Step::NeedCredential)
    }

    /// The payload of the server's first packet.
    pub fn greeting(&self) -> Vec<u8> {
        Greeting {
            server_version: self.config.server_version.clone(),
            thread_id: self.config.thread_id,
            nonce: self.config.nonce,
            capabilities: self.offered(),
            collation: self.config.collation,
            status: Status::AUTOCOMMIT,
            plugin: self.config.default_plugin.name().to_owned(),
        }
        .encode()
    }

    /// The user that the client named.
    pub fn user(&self) -> &str {
        &self.client.user
    }

    /// What the client asked for; its capabilities are those that both sides have.
    pub fn client(&self) -> &HandshakeResponse {
        &self.client
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Whom a PROXY header names, in time before [`Login::on`].
    pub fn set_peer_host(&mut self, host: String) {
        self.config.peer_host = host;
    }

    /// The public key that [`Config::public_key_pem`] had not yet; in time before [`Login::credential`].
    pub fn set_public_key(&mut self, pem: Option<String>) {
        self.config.public_key_pem = pem;
    }

    /// With what the client proved itself, if it can be used to log in elsewhere.
    pub fn learned(&self) -> Option<&Secret> {
        self.learned.as_ref()
    }

    /// The next payload from the client.
    pub fn on(&mut self, payload: &[u8]) -> Step {
        match self.state {
            State::Hello => self.on_hello(payload),
            State::SwitchAnswer(plugin) => self.check(plugin, payload),
            State::Password => self.on_password(payload),
            State::EncryptedPassword => self.decrypt(payload),
            State::Credential | State::Decrypted | State::HashChecked | State::Over => {
                self.refuse(out_of_turn())
            }
        }
    }

    /// The answer to [`Step::NeedCredential`]; `None` when there is no such user.
    pub fn credential(&mut self, credential: Option<Credential>) -> Step {
        if self.state != State::Credential {
            return self.refuse(out_of_turn());
        }
        self.credential = credential;
        let wanted = self.wanted_plugin();
        let answer = std::mem::take(&mut self.client.auth_response);
        if self.client_plugin() == Some(wanted) && self.is_final(wanted, &answer) {
            return self.check(wanted, &answer);
        }
        if !self.client.capabilities.contains(Capabilities::PLUGIN_AUTH) {
            return self.deny(!answer.is_empty());
        }
        self.state = State::SwitchAnswer(wanted);
        let switch = AuthSwitchRequest { plugin: wanted.name().to_owned(), data: self.config.nonce.to_vec() };
        Step::Send(switch.encode())
    }

    /// The answer to [`Step::NeedRsaDecrypt`]; `None` when it could not be decrypted.
    pub fn decrypted(&mut self, plain: Option<Vec<u8>>) -> Step {
        match (self.state, plain) {
            (State::Decrypted, Some(mut plain)) => {
                sha2::xor_nonce(&mut plain, &self.config.nonce);
                self.check_password(&plain)
            }
            (State::Decrypted, None) => self.deny(true),
            _ => self.refuse(out_of_turn()),
        }
    }

    /// The answer to [`Step::NeedHashCheck`].
    pub fn hash_checked(&mut self, matches: bool) -> Step {
        match self.state {
            State::HashChecked if matches => self.accept(None),
            State::HashChecked => self.deny(true),
            _ => self.refuse(out_of_turn()),
        }
    }

    fn offered(&self) -> Capabilities {
        let mut offered = self.config.capabilities
            | Capabilities::PROTOCOL_41
            | Capabilities::SECURE_CONNECTION
            | Capabilities::PLUGIN_AUTH
            | Capabilities::CONNECT_WITH_DB;
        offered.set(Capabilities::SSL, self.config.tls_available);
        offered
    }

    fn on_hello(&mut self, payload: &[u8]) -> Step {
        match ClientHello::parse(payload) {
            Ok(ClientHello::SslRequest(_)) if self.config.tls_available && !self.tls => {
                self.tls = true;
                Step::StartTls
            }
            Ok(ClientHello::SslRequest(_)) => self.refuse(bad_handshake()),
            Ok(ClientHello::Response(mut client)) => {
                client.capabilities &= self.offered();
                self.client = client;
                self.state = State::Credential;
                Step::NeedCredential
            }
            Err(HelloError::OldProtocol) => self.refuse(old_protocol()),
            Err(HelloError::Malformed(_)) => self.refuse(bad_handshake()),
        }
    }

    /// The plugin that can check this user; the client's own choice where the stored credential leaves one.
    fn wanted_plugin(&self) -> Plugin {
        match &self.credential {
            Some(Credential::Native(_)) => Plugin::NativePassword,
            Some(Credential::Sha2 { .. }) => Plugin::CachingSha2,
            Some(Credential::Clear(_)) | None => self.client_plugin().unwrap_or(self.config.default_plugin),
        }
    }

    /// The plugin that made the client's first answer.
    fn client_plugin(&self) -> Option<Plugin> {
        match self.client.capabilities.contains(Capabilities::PLUGIN_AUTH) {
            true if self.client.plugin.is_empty() => Some(self.config.default_plugin),
            true => Plugin::from_name(&self.client.plugin),
            false => Some(Plugin::NativePassword),
        }
    }

    /// Whether the first answer is one of this plugin, so that the client need not be asked again. A client that uses
    /// another plugin than the greeting's may say nothing at first and wait to be asked
    /// (`mysql --default-auth=mysql_native_password`): nothing is an empty password only otherwise.
    fn is_final(&self, plugin: Plugin, answer: &[u8]) -> bool {
        let length = match plugin {
            Plugin::NativePassword => 20,
            Plugin::CachingSha2 => 32,
        };
        let asked = plugin == self.config.default_plugin;
        let knows_plugins = self.client.capabilities.contains(Capabilities::PLUGIN_AUTH);
        answer.len() == length || is_empty_password(answer) && (asked || !knows_plugins)
    }

    fn check(&mut self, plugin: Plugin, answer: &[u8]) -> Step {
        let empty = is_empty_password(answer);
        let nonce = self.config.nonce;
        match (plugin, &self.credential) {
            (_, Some(Credential::Clear(password))) if password.is_empty() && empty => {
                self.learned = Some(Secret::Password(String::new()));
                self.accept(None)
            }
            (Plugin::NativePassword, Some(Credential::Clear(password))) => {
                let stored = native::stage2(&native::stage1(password.as_bytes()));
                let proven = !password.is_empty() && native::verify(answer, &nonce, &stored).is_some();
                let learned = Secret::Password(password.clone());
                if proven { self.accept_with(learned, None) } else { self.deny(!empty) }
            }
            (Plugin::NativePassword, Some(Credential::Native(stored))) => {
                match native::verify(answer, &nonce, stored) {
                    Some(stage1) => self.accept_with(Secret::NativeStage1(stage1), None),
                    None => self.deny(!empty),
                }
            }
            (Plugin::CachingSha2, Some(Credential::Clear(password))) => {
                let proven = sha2::verify(answer, &nonce, &sha2::cached_hash(password.as_bytes()));
                let learned = Secret::Password(password.clone());
                if proven { self.accept_with(learned, Some(sha2::FAST_AUTH_OK)) } else { self.deny(!empty) }
            }
            (Plugin::CachingSha2, Some(Credential::Sha2 { cached, .. })) => {
                let proven = cached.is_some_and(|cached| sha2::verify(answer, &nonce, &cached));
                match () {
                    () if proven => self.accept(Some(sha2::FAST_AUTH_OK)),
                    // A client with an empty password takes its turn as over; no server stores a hash of it.
                    () if empty => self.deny(false),
                    () => self.ask_for_password(),
                }
            }
            _ => self.deny(!empty),
        }
    }

    fn ask_for_password(&mut self) -> Step {
        self.state = State::Password;
        Step::Send(AuthMoreData(&[sha2::FULL_AUTH]).encode())
    }

    fn on_password(&mut self, payload: &[u8]) -> Step {
        if self.tls || self.config.is_local {
            return self.check_password(payload);
        }
        match (payload, &self.config.public_key_pem) {
            (&[sha2::REQUEST_PUBLIC_KEY], Some(pem)) => {
                self.state = State::EncryptedPassword;
                Step::Send(AuthMoreData(pem.as_bytes()).encode())
            }
            // RSA of 1024 bits or more; a client that has kept our key sends it at once. A shorter one is a password
            // in the clear: not taken.
            (encrypted, Some(_)) if encrypted.len() >= 128 => self.decrypt(encrypted),
            _ => self.deny(true),
        }
    }

    fn decrypt(&mut self, payload: &[u8]) -> Step {
        self.state = State::Decrypted;
        Step::NeedRsaDecrypt(payload.to_vec())
    }

    /// A password, with the NUL that clients put at its end.
    fn check_password(&mut self, bytes: &[u8]) -> Step {
        let password = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        let Some(Credential::Sha2 { hash, .. }) = &self.credential else { return self.deny(true) };
        let check = HashCheck { password: password.to_vec(), hash: hash.clone() };
        self.learned = std::str::from_utf8(password).ok().map(|text| Secret::Password(text.to_owned()));
        self.state = State::HashChecked;
        Step::NeedHashCheck(check)
    }

    fn accept_with(&mut self, learned: Secret, more_data: Option<u8>) -> Step {
        self.learned = Some(learned);
        self.accept(more_data)
    }

    fn accept(&mut self, more_data: Option<u8>) -> Step {
        self.state = State::Over;
        Step::Accept { before_ok: more_data.map(|byte| AuthMoreData(&[byte]).encode()) }
    }

    /// Error 1045, in the words of ProxySQL.
    fn deny(&mut self, with_password: bool) -> Step {
        let text = format!(
            "ProxySQL Error: Access denied for user '{}'@'{}' (using password: {})",
            self.client.user,
            self.config.peer_host,
            if with_password { "YES" } else { "NO" }
        );
        self.refuse(ErrPacket::new(1045, b"28000", text))
    }

    fn refuse(&mut self, error: ErrPacket) -> Step {
        self.state = State::Over;
        self.learned = None;
        Step::Refuse(error)
    }
}

/// An empty password is answered with nothing, or by some clients with a NUL.
fn is_empty_password(answer: &[u8]) -> bool {
    matches!(answer, [] | [0])
}

fn bad_handshake() -> ErrPacket {
    ErrPacket::new(1043, b"08S01", "Bad handshake")
}

fn old_protocol() -> ErrPacket {
    ErrPacket::new(
        1251,
        b"08004",
        "Client does not support authentication protocol requested by server; consider upgrading MySQL client",
    )
}

fn out_of_turn() -> ErrPacket {
    ErrPacket::new(1156, b"08S01", "Got packets out of order")
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
