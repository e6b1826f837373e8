//! The embedded backend's sockets: accept, log in, answer commands. One thread a connection.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Options;
use super::context::{Context, Process, Server, VERSION, lock};
use super::session::{Reply, Session, SqlError};
use crate::mysql::auth;
use crate::mysql::packet::{self, Greeting, Login};

/// A transaction that holds the write lock and says nothing for so long is rolled back: its client's host may have lost power,
/// and SQLite has one lock for everybody.
const IDLE_TRANSACTION: Duration = Duration::from_millis(500);

/// Serves until the process is killed.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(options.listen).with_context(|| format!("listen on {}", options.listen))?;
    let users =
        options.users.iter().filter_map(|u| u.split_once(':')).map(|(n, p)| (n.into(), p.into())).collect();
    let backend = Arc::new(Backend {
        users,
        file: options.db.clone(),
        server: Arc::new(Server::new(options.hostname.clone(), options.read_only)),
        next_id: AtomicU32::new(1),
    });
    for stream in listener.incoming() {
        let stream = stream.context("accept")?;
        let backend = Arc::clone(&backend);
        thread::Builder::new().name("session".into()).spawn(move || {
            let id = backend.next_id.fetch_add(1, Ordering::Relaxed);
            // Whatever ends a connection, there is nobody left to tell.
            let _ = backend.serve(stream, id);
            backend.server.processes().remove(&id);
        })?;
    }
    Ok(())
}

struct Backend {
    users: HashMap<String, String>,
    file: PathBuf,
    server: Arc<Server>,
    next_id: AtomicU32,
}

impl Backend {
    fn serve(&self, stream: TcpStream, id: u32) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        let mut wire = Wire { stream: BufReader::new(stream), sequence: 0 };
        let Some(login) = self.log_in(&mut wire, id)? else { return Ok(()) };
        let context = Context {
            server: Arc::clone(&self.server),
            connection_id: id,
            user: login.user.clone(),
            peer: peer.ip().to_string(),
            database: login.database.clone().or_else(|| Some("test".into())),
            last_insert_id: 0,
            user_variables: HashMap::new(),
            session_variables: HashMap::new(),
        };
        let mut session = match Session::open(&self.file, context) {
            Ok(session) => session,
            Err(error) => return wire.error(&error),
        };
        let process = Process {
            user: login.user,
            host: peer.to_string(),
            since: Instant::now(),
            running: String::new(),
        };
        self.server.processes().insert(id, process);
        wire.write(&packet::ok(0, 0, status(&session)))?;
        wire.answer_commands(&mut session)
    }

    /// Greeting, answer, verdict. `None`: turned away, and told so.
    fn log_in(&self, wire: &mut Wire, id: u32) -> io::Result<Option<Login>> {
        let nonce = nonce()?;
        wire.write(&Greeting::native(VERSION, &nonce).encode(id))?;
        let Some(mut login) = Login::parse(&wire.read()?) else {
            wire.write(&packet::err(1043, "08S01", "Bad handshake"))?;
            return Ok(None);
        };
        if login.plugin != auth::NATIVE {
            let mut switch = vec![0xfe];
            switch.extend_from_slice(auth::NATIVE.as_bytes());
            switch.push(0);
            switch.extend_from_slice(&nonce);
            switch.push(0);
            wire.write(&switch)?;
            login.answer = wire.read()?;
        }
        let password = self.users.get(&login.user);
        if password.is_some_and(|password| auth::native(password, &nonce) == login.answer) {
            return Ok(Some(login));
        }
        wire.write(&packet::err(1045, "28000", &format!("Access denied for user '{}'", login.user)))?;
        Ok(None)
    }
}

/// 20 bytes that are never zero: a zero would end the nonce early for some clients.
fn nonce() -> io::Result<[u8; 20]> {
    let mut bytes = [0u8; 20];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.map(|b| b & 0x3f | 0x40))
}

fn status(session: &Session) -> u16 {
    if session.in_transaction() { packet::AUTOCOMMIT | packet::IN_TRANSACTION } else { packet::AUTOCOMMIT }
}

/// Packets over a blocking socket.
struct Wire {
    stream: BufReader<TcpStream>,
    sequence: u8,
}

impl Wire {
    fn answer_commands(&mut self, session: &mut Session) -> io::Result<()> {
        loop {
            self.wait_for_command(session)?;
            self.sequence = 0;
            let command = self.read()?;
            let Some((code, argument)) = command.split_first() else { return Ok(()) };
            let text = String::from_utf8_lossy(argument);
            match code {
                0x01 => return Ok(()),
                0x02 => {
                    let selected = session.select_database(&text);
                    self.done(session, selected)?;
                }
                0x03 => self.query(session, &text)?,
                0x0e => self.done(session, Ok(()))?,
                0x1f => {
                    session.reset();
                    self.done(session, Ok(()))?;
                }
                0x16 => {
                    let text = "This backend has no prepared statements; run the demo with --backend mariadb";
                    self.write(&packet::err(1295, "HY000", text))?;
                }
                _ => self.write(&packet::err(1047, "08S01", "Unknown command"))?,
            }
        }
    }

    /// Blocks until bytes are there; gives up an idle transaction on the way.
    fn wait_for_command(&mut self, session: &mut Session) -> io::Result<()> {
        if !session.holds_lock() || !self.stream.buffer().is_empty() {
            return Ok(());
        }
        self.stream.get_ref().set_read_timeout(Some(IDLE_TRANSACTION))?;
        let waited = self.stream.get_ref().peek(&mut [0]);
        self.stream.get_ref().set_read_timeout(None)?;
        if let Err(error) = waited
            && matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
        {
            session.reset();
        }
        Ok(())
    }

    fn query(&mut self, session: &mut Session, text: &str) -> io::Result<()> {
        let (server, id) = {
            let context = lock(&session.context);
            (Arc::clone(&context.server), context.connection_id)
        };
        if let Some(process) = server.processes().get_mut(&id) {
            process.running = text.chars().take(200).collect();
        }
        match session.run(text) {
            Ok(Reply::Done { affected, insert_id }) => {
                self.write(&packet::ok(affected, insert_id, status(session)))
            }
            Ok(Reply::Rows { columns, rows }) => {
                let status = status(session);
                let mut out = Vec::new();
                let mut count = Vec::new();
                packet::put_lenenc_int(&mut count, columns.len() as u64);
                self.append(&mut out, &count);
                for column in &columns {
                    self.append(
                        &mut out,
                        &packet::column(&column.name, if column.numeric { 0x08 } else { 0xfd }),
                    );
                }
                self.append(&mut out, &packet::eof(status));
                for row in &rows {
                    self.append(&mut out, &packet::row(row));
                }
                self.append(&mut out, &packet::eof(status));
                self.stream.get_mut().write_all(&out)
            }
            Err(error) => self.error(&error),
        }
    }

    fn done(&mut self, session: &Session, result: Result<(), SqlError>) -> io::Result<()> {
        match result {
            Ok(()) => self.write(&packet::ok(0, 0, status(session))),
            Err(error) => self.error(&error),
        }
    }

    fn error(&mut self, error: &SqlError) -> io::Result<()> {
        self.write(&packet::err(error.code, error.state, &error.message))
    }

    fn append(&mut self, out: &mut Vec<u8>, payload: &[u8]) {
        out.extend_from_slice(&packet::header(payload.len(), self.sequence));
        out.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
    }

    fn write(&mut self, payload: &[u8]) -> io::Result<()> {
        let mut out = Vec::new();
        self.append(&mut out, payload);
        self.stream.get_mut().write_all(&out)
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        let len = u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize;
        self.sequence = header[3].wrapping_add(1);
        if len >= packet::MAX_PAYLOAD {
            return Err(io::Error::other("packet of 16 MB"));
        }
        let mut payload = vec![0; len];
        self.stream.read_exact(&mut payload)?;
        Ok(payload)
    }
}
