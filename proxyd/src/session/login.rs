//! A client's login: drives wire's pure machine over the socket, and builds the session at its end.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use proxyd_wire::auth::{Plugin, Secret};
use proxyd_wire::compression::Algorithm;
use proxyd_wire::handshake::{ChangeUser, NONCE};
use proxyd_wire::proxy_header::{self, Ends, Found};
use proxyd_wire::response::SchemaDebt;
use proxyd_wire::server::{Config, Credential, Login, Step, nonce_from};
use proxyd_wire::{Capabilities, Status, frame};

use super::full_auth::public_key;
use super::record::{Names, Record};
use super::settings::{Charset, Settings};
use super::{Cause, Phase, Session, SessionEnd, charset};
use crate::backend::{ConnectAttributes, Traits};
use crate::gate::Ticket;
use crate::net::{Connection, Packets, Role, Stream};
use crate::peer::Peer;
use crate::reply::{self, Codes, Refusal};
use crate::snapshot::{self, User};
use crate::tls;
use crate::users::NamedUser;
use crate::variables::Variables;
use crate::worker::Worker;

/// No packet of a login is longer: names, a token and 64 KiB of connection attributes.
const LOGIN_PACKET: usize = 128 * 1024;
/// A request for TLS with its header. Every other packet that a login may begin with is longer.
const SSL_REQUEST: usize = 36;
/// utf8mb4_general_ci, which every server and client knows.
const COLLATION: u8 = 45;

/// What clients may negotiate. (EOFs and session state changes are translated; query attributes are dropped where a server has
/// none.)
fn offered(variables: &Variables) -> Capabilities {
    let local_files = match variables.enable_load_data_local_infile {
        true => Capabilities::LOCAL_FILES,
        false => Capabilities::empty(),
    };
    let compression = match variables.have_compress {
        true => Capabilities::COMPRESS | Capabilities::ZSTD_COMPRESSION_ALGORITHM,
        false => Capabilities::empty(),
    };
    local_files
        | compression
        | Capabilities::LONG_PASSWORD
        | Capabilities::FOUND_ROWS
        | Capabilities::LONG_FLAG
        | Capabilities::CONNECT_WITH_DB
        | Capabilities::ODBC
        | Capabilities::IGNORE_SPACE
        | Capabilities::INTERACTIVE
        | Capabilities::TRANSACTIONS
        | Capabilities::MULTI_STATEMENTS
        | Capabilities::MULTI_RESULTS
        | Capabilities::PS_MULTI_RESULTS
        | Capabilities::CONNECT_ATTRS
        | Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA
        | Capabilities::SESSION_TRACK
        | Capabilities::DEPRECATE_EOF
        | Capabilities::QUERY_ATTRIBUTES
}

/// Logs a client in.
pub async fn accept(
    stream: Stream,
    record: Rc<Record>,
    worker: Rc<Worker>,
) -> Result<Box<Session>, SessionEnd> {
    let limit = worker.snapshot().variables.connect_timeout_client;
    let greeted = tokio::time::timeout(limit, greet(stream, record.clone(), worker));
    tokio::select! {
        session = greeted => session.unwrap_or(Err(SessionEnd::proxy(Phase::Handshake, Cause::Timeout))),
        _ = record.interrupted() => Err(SessionEnd::proxy(Phase::Handshake, Cause::Killed)),
    }
}

async fn greet(stream: Stream, record: Rc<Record>, worker: Rc<Worker>) -> Result<Box<Session>, SessionEnd> {
    let snapshot = worker.snapshot();
    let mut client = Connection::new(stream);
    client.keepalive(std::time::Duration::from_secs(120));
    let trusted = &snapshot.variables.proxy_protocol_networks;
    let by_proxy = record.peer().ip().is_some_and(|ip| trusted.contains(ip));
    if !by_proxy {
        admit(&mut client, &record, &worker).await?;
    }
    let Some(ticket) = worker.shared.gate.enter(snapshot.variables.max_connections) else {
        worker.counters.global.borrow_mut().access_denied_max_connections += 1;
        return Err(turn_away(&mut client, &Refusal::too_many_connections(), 0).await);
    };
    let nonce = fresh_nonce();
    let mut login = Login::new(config(&worker, &record, nonce));
    let mut packets = Packets::new(&mut client, &worker.buffers, LOGIN_PACKET);
    packets.send(&login.greeting()).await.map_err(handshake)?;
    let mut destination = packets.connection.local_addr();
    if by_proxy {
        // A proxy sends its header at once, but one that speaks to MySQL may wait for the greeting.
        if let Some(ends) = proxy_header(packets.connection, &worker).await? {
            record.set_peer(ends.source.into());
            destination = Some(ends.destination);
        }
        admit(packets.connection, &record, &worker).await?;
        login.set_peer_host(record.peer().host());
    }
    let first = packets.receive_of(SSL_REQUEST).await.map_err(handshake)?;
    let step = login.on(&first);
    let proven = drive(&mut packets, &mut login, step, &worker).await?;
    let sequence = packets.sequence;
    begin(client, sequence, login, proven, ticket, nonce, record, worker, destination).await
}

/// Turns away a host that failed too often.
async fn admit(client: &mut Connection, record: &Record, worker: &Worker) -> Result<(), SessionEnd> {
    let limits = worker.snapshot().variables.client_hosts;
    if record.peer().ip().is_none_or(|ip| worker.shared.hosts.admits(ip, limits)) {
        return Ok(());
    }
    let text = "this host failed to log in too often; PROXYSQL FLUSH MYSQL CLIENT HOSTS forgives it";
    client.shutdown().await;
    Err(SessionEnd::proxy(Phase::Handshake, Cause::Refused(text.into())))
}

/// Takes a PROXY header off the front of what the client sends, if there is one, and not a byte more.
async fn proxy_header(client: &mut Connection, worker: &Worker) -> Result<Option<Ends>, SessionEnd> {
    let bad = || SessionEnd::protocol(Phase::Handshake, "a malformed PROXY header");
    loop {
        let want = match proxy_header::find(client.input.filled()).map_err(|_| bad())? {
            Found::Incomplete { want } => want,
            Found::None => return Ok(None),
            Found::Header { length, ends } => {
                client.input.consume(length);
                return Ok(ends);
            }
        };
        if client.fill_no_further(want, &worker.buffers).await.map_err(handshake)? == 0 {
            return Err(handshake(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

/// Turns a proven login into a session, within the user's limits, and says OK.
#[expect(clippy::too_many_arguments, reason = "each is one part of the session")]
async fn begin(
    mut client: Connection,
    sequence: u8,
    login: Login,
    proven: Proven,
    mut ticket: Ticket,
    nonce: [u8; NONCE],
    record: Rc<Record>,
    worker: Rc<Worker>,
    local: Option<SocketAddr>,
) -> Result<Box<Session>, SessionEnd> {
    let Proven { account, secret } = proven;
    if let Some(refusal) = not_as_required(login.user(), &account, &client) {
        return Err(turn_away(&mut client, &refusal, sequence).await);
    }
    if !ticket.claim(login.user(), account.max_connections) {
        worker.counters.global.borrow_mut().access_denied_max_connections += 1;
        return Err(turn_away(&mut client, &Refusal::user_has_too_many(login.user()), sequence).await);
    }
    let hello = login.client();
    let collation = charset::known_or_default(hello.collation.into());
    let compression = Algorithm::agreed(hello.capabilities, hello.zstd_level);
    let schema = chosen_schema(hello.database.as_deref(), &account, &worker);
    if let Some(refusal) = foreign_schema(login.user(), hello.database.as_deref(), &account) {
        return Err(turn_away(&mut client, &refusal, sequence).await);
    }
    let attributes = passed_on(&account, &hello.attributes);
    let identity = Identity {
        traits: Traits {
            found_rows: hello.capabilities.contains(Capabilities::FOUND_ROWS),
            ignore_space: hello.capabilities.contains(Capabilities::IGNORE_SPACE),
            multi_statements: hello.capabilities.contains(Capabilities::MULTI_STATEMENTS),
            local_files: hello.capabilities.contains(Capabilities::LOCAL_FILES),
            attributes: hello.capabilities.contains(Capabilities::QUERY_ATTRIBUTES),
            origin: None,
        },
        capabilities: hello.capabilities,
        codes: Codes::of(&hello.attributes),
        client_address: record.peer().host().into(),
        proxy_address: local.map(|a| a.ip().to_canonical().to_string()).unwrap_or_default().into(),
        proxy_port: local.map_or(0, |a| a.port()),
        settings: first_settings(&schema, collation, &account),
        account,
        secret,
        collation,
        nonce,
        attributes,
    };
    let mut session = Box::new(build(client, ticket, record, worker, identity));
    session.introduce();
    let frames = reply::ok_at(session.capabilities, session.status(), sequence);
    session.client.write_all(&frames).await.map_err(handshake)?;
    if let Some(algorithm) = compression {
        session.client.compress(algorithm, Role::Server);
    }
    Ok(session)
}

/// Who a session belongs to, and what it is set to: all that a copy of it needs.
pub(super) struct Identity {
    traits: Traits,
    capabilities: Capabilities,
    codes: Codes,
    account: Arc<NamedUser>,
    secret: Secret,
    client_address: Box<str>,
    proxy_address: Box<str>,
    proxy_port: u16,
    settings: Settings,
    collation: u16,
    nonce: [u8; NONCE],
    attributes: Option<Box<ConnectAttributes>>,
}

/// A session that has done nothing yet.
pub(super) fn build(
    client: Connection,
    ticket: Ticket,
    record: Rc<Record>,
    worker: Rc<Worker>,
    identity: Identity,
) -> Session {
    Session {
        traits: identity.traits,
        capabilities: identity.capabilities,
        codes: identity.codes,
        client_address: identity.client_address,
        proxy_address: identity.proxy_address,
        proxy_port: identity.proxy_port,
        settings: identity.settings,
        account: identity.account,
        secret: identity.secret,
        collation: identity.collation,
        nonce: identity.nonce,
        attributes: identity.attributes,
        attached: Vec::new(),
        statements: None,
        last_insert_id: 0,
        modes: Status::empty(),
        hold: None,
        schema_debt: SchemaDebt::default(),
        next_flag: 0,
        tee: None,
        new_connection: false,
        client,
        ticket,
        record,
        worker,
    }
}

impl Session {
    /// For a session that runs one of this one's statements once more.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            traits: self.traits,
            capabilities: self.capabilities,
            codes: self.codes,
            account: self.account.clone(),
            secret: self.secret.clone(),
            client_address: self.client_address.clone(),
            proxy_address: self.proxy_address.clone(),
            proxy_port: self.proxy_port,
            settings: self.settings.clone(),
            collation: self.collation,
            nonce: self.nonce,
            attributes: None,
        }
    }

    /// COM_CHANGE_USER: a login in the middle of a connection; everything before it is forgotten.
    pub(super) async fn change_user(&mut self, frames: &[u8]) -> Result<(), SessionEnd> {
        let change = match ChangeUser::parse(&frame::payload(frames), self.capabilities) {
            Ok(change) => change,
            Err(error) => return self.malformed(error).await,
        };
        let collation = change.collation;
        let worker = self.worker.clone();
        let config = config(&worker, &self.record, self.nonce);
        let (mut login, step) = Login::change_user(config, self.capabilities, self.client.is_tls(), change);
        let mut packets = Packets::new(&mut self.client, &worker.buffers, LOGIN_PACKET);
        packets.sequence = 1;
        let Proven { account, secret } = drive(&mut packets, &mut login, step, &worker).await?;
        let sequence = packets.sequence;
        if let Some(refusal) = not_as_required(login.user(), &account, &self.client) {
            return Err(turn_away(&mut self.client, &refusal, sequence).await);
        }
        self.release();
        if !self.ticket.claim(login.user(), account.max_connections) {
            return Err(
                turn_away(&mut self.client, &Refusal::user_has_too_many(login.user()), sequence).await
            );
        }
        self.collation = charset::known_or_default(collation);
        let schema = chosen_schema(login.client().database.as_deref(), &account, &worker);
        if let Some(refusal) = foreign_schema(login.user(), login.client().database.as_deref(), &account) {
            return Err(turn_away(&mut self.client, &refusal, sequence).await);
        }
        self.settings = first_settings(&schema, self.collation, &account);
        self.attributes = passed_on(&account, &login.client().attributes);
        self.account = account;
        self.secret = secret;
        self.introduce();
        let frames = reply::ok_at(self.capabilities, self.status(), sequence);
        self.send(&frames).await
    }

    /// Puts the names into the process list.
    fn introduce(&self) {
        let names = Names { user: Some(self.account.clone()), schema: self.settings.schema.clone() };
        self.record.names.replace(names);
        drop(self.record.rest(std::time::Instant::now()));
    }
}

/// A client's connection attributes, if a server is to have them: what serves whoever comes has the proxy's own.
fn passed_on(account: &User, attributes: &[(String, String)]) -> Option<Box<ConnectAttributes>> {
    account.fast_forward.then(|| Box::new(attributes.to_vec().into()))
}

/// A client that has proven who it is.
struct Proven {
    account: Arc<NamedUser>,
    secret: Secret,
}

/// Does what the machine says until the client is proven or refused.
async fn drive(
    packets: &mut Packets<'_>,
    login: &mut Login,
    mut step: Step,
    worker: &Rc<Worker>,
) -> Result<Proven, SessionEnd> {
    let mut account = None;
    let mut remembered = None;
    loop {
        step = match step {
            Step::Send(payload) => {
                packets.send(&payload).await.map_err(handshake)?;
                login.on(&packets.receive().await.map_err(handshake)?)
            }
            Step::StartTls => {
                packets
                    .connection
                    .accept_tls(&worker.shared.client_tls.acceptor())
                    .await
                    .map_err(handshake)?;
                login.on(&packets.receive().await.map_err(handshake)?)
            }
            Step::NeedCredential => {
                account = worker.user_named(login.user()).await;
                let (credential, secret) = credential(account.as_deref(), login.user(), worker);
                remembered = secret;
                if matches!(credential, Some(Credential::Sha2 { .. })) && !login.is_tls() {
                    login.set_public_key(public_key(&worker.shared.rsa).await);
                }
                login.credential(credential)
            }
            Step::NeedRsaDecrypt(sealed) => {
                let rsa = worker.shared.rsa.clone();
                let opened =
                    tokio::task::spawn_blocking(move || rsa.get().and_then(|key| key.decrypt(&sealed)));
                login.decrypted(opened.await.unwrap_or(None))
            }
            Step::NeedHashCheck(check) => {
                // Milliseconds of CPU: not on the thread that serves everybody else.
                let matches = tokio::task::spawn_blocking(move || check.run()).await.unwrap_or(false);
                login.hash_checked(matches)
            }
            Step::Accept { before_ok } => {
                if let Some(payload) = before_ok {
                    packets.send(&payload).await.map_err(handshake)?;
                }
                let proven = account.zip(login.learned().cloned().or(remembered));
                let Some((account, secret)) = proven else {
                    return Err(SessionEnd::proxy(Phase::Handshake, Cause::Refused("no credential".into())));
                };
                if let snapshot::Credential::Sha2(stored) = &account.credential {
                    worker.shared.full_auth.learn(login.user(), stored, &secret);
                }
                let secret = account.backend_secret().unwrap_or(secret);
                return Ok(Proven { account, secret });
            }
            Step::Refuse(error) => {
                worker.counters.global.borrow_mut().access_denied_wrong_password +=
                    u64::from(error.code == 1045);
                // The client may be gone already.
                let _ = packets.send(&error.encode()).await;
                packets.connection.shutdown().await;
                return Err(SessionEnd::proxy(Phase::Handshake, Cause::Refused(error.message)));
            }
        };
    }
}

fn config(worker: &Rc<Worker>, record: &Record, nonce: [u8; NONCE]) -> Config {
    let variables = &worker.snapshot().variables;
    let is_local = record.peer() == Peer::Local;
    Config {
        server_version: variables.server_version.clone(),
        thread_id: record.id,
        nonce,
        capabilities: offered(variables),
        collation: COLLATION,
        default_plugin: Plugin::from_name(&variables.default_authentication_plugin)
            .unwrap_or(Plugin::CachingSha2),
        tls_available: variables.have_ssl && !is_local,
        is_local,
        // Made, if need be, once it is known that this user needs it.
        public_key_pem: None,
        peer_host: record.peer().host(),
    }
}

/// What is stored for a user, and the password that an earlier full authentication has left.
fn credential(
    account: Option<&NamedUser>,
    user: &str,
    worker: &Worker,
) -> (Option<Credential>, Option<Secret>) {
    let Some(account) = account else { return (None, None) };
    match &account.credential {
        snapshot::Credential::Clear(password) => (Some(Credential::Clear(password.to_string())), None),
        snapshot::Credential::Native(stage2) => (Some(Credential::Native(*stage2)), None),
        snapshot::Credential::Sha2(stored) => {
            let known = worker.shared.full_auth.find(user, stored);
            let cached = known.as_ref().map(|(hash, _)| *hash);
            (
                Some(Credential::Sha2 { hash: stored.as_bytes().to_vec(), cached }),
                known.map(|(_, secret)| secret),
            )
        }
    }
}

fn chosen_schema(asked: Option<&str>, account: &User, worker: &Worker) -> String {
    let snapshot = worker.snapshot();
    let candidates = [asked.unwrap_or_default(), &account.default_schema, &snapshot.variables.default_schema];
    candidates.into_iter().find(|name| !name.is_empty()).unwrap_or_default().to_owned()
}

/// What a session begins with.
pub fn first_settings(schema: &str, collation: u16, account: &User) -> Settings {
    let mut settings = Settings::new(schema, Charset::Id(collation));
    let assignments = account.isolation.map(|level| proxyd_sql::parse_set(level.statement().as_bytes()));
    for assignment in assignments.into_iter().flatten().flatten() {
        settings.assign(&assignment);
    }
    settings
}

/// `use_ssl` and `spiffe_id`: what a user's connection must have.
fn not_as_required(user: &str, account: &User, client: &Connection) -> Option<Refusal> {
    if account.use_ssl && !client.is_tls() {
        return Some(Refusal::tls_required(user));
    }
    let wanted = account.spiffe_id.as_deref()?;
    let shown = client.peer_certificate().is_some_and(|certificate| tls::names_uri(certificate, wanted));
    (!shown).then(|| Refusal::certificate_required(user, wanted))
}

/// `schema_locked`: a login may ask for no other schema than the user's own.
fn foreign_schema(user: &str, asked: Option<&str>, account: &User) -> Option<Refusal> {
    let asked = asked
        .filter(|name| account.schema_locked && !name.is_empty() && **name != *account.default_schema)?;
    Some(Refusal::schema_locked(user, asked))
}

fn fresh_nonce() -> [u8; NONCE] {
    let mut random = [0; NONCE];
    // The system's generator does not fail once it is seeded; an all-ones nonce would only weaken this one login.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        tracing::error!("the system gives no random numbers");
    }
    nonce_from(random)
}

async fn turn_away(client: &mut Connection, refusal: &Refusal, sequence: u8) -> SessionEnd {
    // The client may be gone already.
    let _ = client.write_all(&refusal.frames(sequence)).await;
    client.shutdown().await;
    SessionEnd::proxy(Phase::Handshake, Cause::Refused(refusal.text().to_owned()))
}

fn handshake(error: io::Error) -> SessionEnd {
    SessionEnd::client(Phase::Handshake, error)
}
