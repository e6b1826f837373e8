//! A client that writes down every packet it gets. It negotiates what it is told to.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::generate::{Manner, SLOTS, Script, Step};
use crate::mysql::auth;
use crate::mysql::packet::{self, Greeting, Login, Reader};

const MULTI_STATEMENTS: u32 = 1 << 16;
const SESSION_TRACK: u32 = 1 << 23;
const DEPRECATE_EOF: u32 = 1 << 24;
const TRANSACTION_STATE: u8 = 5;
const MORE_RESULTS: u16 = 8;
const SESSION_STATE_CHANGED: u16 = 0x4000;
/// Longer than any statement here may wait.
const PATIENCE: Duration = Duration::from_secs(40);

/// Where to log in, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub address: SocketAddr,
    pub user: String,
    pub password: String,
}

/// What a client has seen: a line for each packet, under the step that asked for it.
pub(super) type Transcript = Vec<(String, Vec<String>)>;

/// Plays a whole session.
pub(super) fn play(place: &Place, script: &Script) -> Result<Transcript> {
    let mut connection = Connection::open(place, &script.manner)?;
    let mut transcript = Vec::new();
    for step in &script.steps {
        let lines = connection.step(step).with_context(|| format!("{step:?} after {transcript:#?}"))?;
        transcript.push((format!("{step:?}"), lines));
    }
    // The answer to COM_QUIT is the close.
    connection.command(&[1])?;
    Ok(transcript)
}

/// Statements that only prepare a session; every one must work.
pub(super) fn run_all(place: &Place, statements: &[String]) -> Result<()> {
    let manner = Manner { deprecate_eof: false, session_track: false, collation: 45, schema: None };
    let mut connection = Connection::open(place, &manner)?;
    for sql in statements {
        let lines = connection.step(&Step::Query(sql.clone()))?;
        ensure!(!lines.iter().any(|line| line.starts_with("ERR")), "{sql}: {lines:?}");
    }
    Ok(())
}

struct Connection {
    stream: BufReader<TcpStream>,
    manner: Manner,
    sequence: u8,
    statements: [Option<u32>; SLOTS],
}

impl Connection {
    fn open(place: &Place, manner: &Manner) -> Result<Self> {
        let stream = TcpStream::connect(place.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = BufReader::new(stream);
        let mut connection = Self { stream, manner: *manner, sequence: 0, statements: [None; SLOTS] };
        let greeting = Greeting::parse(&connection.read()?).context("the greeting")?;
        let plugin = if greeting.plugin == auth::CACHING_SHA2 { auth::CACHING_SHA2 } else { auth::NATIVE };
        let mut capabilities = packet::LONG_PASSWORD
            | packet::PROTOCOL_41
            | packet::TRANSACTIONS
            | packet::SECURE_CONNECTION
            | packet::MULTI_RESULTS
            | packet::PLUGIN_AUTH
            | MULTI_STATEMENTS;
        if manner.schema.is_some() {
            capabilities |= packet::CONNECT_WITH_DB;
        }
        if manner.deprecate_eof {
            capabilities |= DEPRECATE_EOF;
        }
        if manner.session_track {
            capabilities |= SESSION_TRACK;
        }
        let mut login = Login {
            capabilities,
            user: place.user.clone(),
            answer: auth::answer(plugin, &place.password, &greeting.nonce).unwrap_or_default(),
            database: manner.schema.map(str::to_owned),
            plugin: plugin.into(),
        }
        .encode();
        login[8] = manner.collation;
        connection.write(&login)?;
        loop {
            let reply = connection.read()?;
            match reply.first() {
                Some(0) => return Ok(connection),
                Some(1) => {}
                Some(0xfe) => {
                    let (plugin, nonce) = switch(&reply).context("the auth switch")?;
                    let answer = auth::answer(&plugin, &place.password, &nonce).context("the plugin")?;
                    connection.write(&answer)?;
                }
                _ => bail!("login refused: {}", String::from_utf8_lossy(&reply)),
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<Vec<String>> {
        let mut lines = Vec::new();
        match step {
            Step::Query(sql) => {
                self.command(&[&[3], sql.as_bytes()].concat())?;
                self.results(&mut lines)?;
            }
            Step::InitDb(name) => {
                self.command(&[&[2], name.as_bytes()].concat())?;
                self.results(&mut lines)?;
                // MySQL repeats the number of warnings of the connection's statement before.
                lines
                    .iter_mut()
                    .for_each(|line| line.truncate(line.find(", warnings").unwrap_or(line.len())));
            }
            Step::Ping => {
                self.command(&[14])?;
                self.results(&mut lines)?;
                // Some servers repeat the warnings of the statement before.
                lines.clear();
            }
            Step::Reset => {
                self.command(&[31])?;
                self.statements = [None; SLOTS];
                self.results(&mut lines)?;
            }
            Step::Prepare(slot, sql) => {
                self.close(*slot)?;
                self.command(&[&[22], sql.as_bytes()].concat())?;
                self.statements[*slot] = self.prepared(&mut lines)?;
            }
            Step::Execute(slot, values) => {
                if let Some(id) = self.statements[*slot] {
                    self.command(&execute(id, values))?;
                    self.results(&mut lines)?;
                }
            }
            Step::Close(slot) => self.close(*slot)?,
        }
        Ok(lines)
    }

    fn close(&mut self, slot: usize) -> Result<()> {
        match self.statements[slot].take() {
            Some(id) => self.command(&[&[25][..], &id.to_le_bytes()].concat()),
            None => Ok(()),
        }
    }

    fn prepared(&mut self, lines: &mut Vec<String>) -> Result<Option<u32>> {
        let reply = self.read()?;
        let mut reader = Reader::new(&reply);
        if reader.u8() != Some(0) {
            lines.push(error(&reply));
            return Ok(None);
        }
        let id = reader.u32().context("statement id")?;
        let (columns, parameters) = (reader.u16().context("columns")?, reader.u16().context("parameters")?);
        lines.push(format!("PREPARED {columns} {parameters}"));
        for count in [parameters, columns] {
            for _ in 0..count {
                lines.push(column(&self.read()?));
            }
            if count > 0 && !self.manner.deprecate_eof {
                ensure!(self.read()?.first() == Some(&0xfe), "no EOF after definitions");
            }
        }
        Ok(Some(id))
    }

    /// Everything up to the end of the last result.
    fn results(&mut self, lines: &mut Vec<String>) -> Result<()> {
        loop {
            let first = self.read()?;
            let status = match first.first() {
                Some(0) => self.ok("OK", &first, lines)?,
                Some(0xff) => {
                    lines.push(error(&first));
                    return Ok(());
                }
                _ => match self.rows(&first, lines)? {
                    Some(status) => status,
                    None => return Ok(()),
                },
            };
            if status & MORE_RESULTS == 0 {
                return Ok(());
            }
        }
    }

    /// Definitions and rows; `None` after an error among them.
    fn rows(&mut self, first: &[u8], lines: &mut Vec<String>) -> Result<Option<u16>> {
        let columns = Reader::new(first).lenenc_int().context("column count")?;
        for _ in 0..columns {
            lines.push(format!("COLUMN {}", column(&self.read()?)));
        }
        if !self.manner.deprecate_eof {
            ensure!(self.read()?.first() == Some(&0xfe), "no EOF after columns");
        }
        loop {
            let packet = self.read()?;
            match packet.first() {
                Some(0xff) => {
                    lines.push(error(&packet));
                    return Ok(None);
                }
                Some(0xfe) if self.manner.deprecate_eof => return self.ok("END", &packet, lines).map(Some),
                Some(0xfe) if packet.len() < 9 => {
                    let mut reader = Reader::new(&packet[1..]);
                    let (warnings, status) = (reader.u16().context("EOF")?, reader.u16().context("EOF")?);
                    lines.push(format!("EOF warnings {warnings} status {status:#06x}"));
                    return Ok(Some(status));
                }
                _ => lines.push(format!("ROW {}", text(&packet))),
            }
        }
    }

    fn ok(&self, name: &str, packet: &[u8], lines: &mut Vec<String>) -> Result<u16> {
        let mut reader = Reader::new(&packet[1..]);
        let (affected, id) = (reader.lenenc_int().context("OK")?, reader.lenenc_int().context("OK")?);
        let (status, warnings) = (reader.u16().context("OK")?, reader.u16().context("OK")?);
        let mut changes = Vec::new();
        let info = if self.manner.session_track && !reader.is_empty() {
            let info = reader.lenenc_bytes().context("info")?.to_vec();
            if status & SESSION_STATE_CHANGED != 0 {
                let mut block = Reader::new(reader.lenenc_bytes().context("session state")?);
                while !block.is_empty() {
                    let kind = block.u8().context("kind")?;
                    let change = text(block.lenenc_bytes().context("change")?);
                    // MySQL 9 tracks the transaction's state by default, older ones and MariaDB do not; nor does the proxy.
                    if kind != TRANSACTION_STATE {
                        changes.push(format!("{kind}:{change}"));
                    }
                }
            }
            info
        } else {
            reader.rest().to_vec()
        };
        changes.sort();
        let status = status & !SESSION_STATE_CHANGED;
        lines.push(format!(
            "{name} {affected} rows, id {id}, status {status:#06x}, warnings {warnings}, {:?} {changes:?}",
            text(&info),
        ));
        Ok(status)
    }

    fn command(&mut self, payload: &[u8]) -> Result<()> {
        self.sequence = 0;
        self.write(payload)
    }

    fn write(&mut self, payload: &[u8]) -> Result<()> {
        let mut bytes = packet::header(payload.len(), self.sequence).to_vec();
        bytes.extend_from_slice(payload);
        self.sequence = self.sequence.wrapping_add(1);
        Ok(self.stream.get_mut().write_all(&bytes)?)
    }

    fn read(&mut self) -> Result<Vec<u8>> {
        let mut header = [0; 4];
        self.stream.read_exact(&mut header)?;
        ensure!(header[3] == self.sequence, "packet {} where {} was due", header[3], self.sequence);
        self.sequence = self.sequence.wrapping_add(1);
        let mut payload = vec![0; u32::from_le_bytes([header[0], header[1], header[2], 0]) as usize];
        self.stream.read_exact(&mut payload)?;
        Ok(payload)
    }
}

fn switch(request: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut reader = Reader::new(request.get(1..)?);
    let plugin = String::from_utf8(reader.zero_terminated()?.to_vec()).ok()?;
    let nonce = reader.rest();
    Some((plugin, nonce.strip_suffix(&[0]).unwrap_or(nonce).to_vec()))
}

/// COM_STMT_EXECUTE with strings for parameters.
fn execute(id: u32, values: &[String]) -> Vec<u8> {
    let mut out = vec![23];
    out.extend(id.to_le_bytes());
    out.extend([0, 1, 0, 0, 0]);
    if !values.is_empty() {
        out.extend(std::iter::repeat_n(0, values.len().div_ceil(8)));
        out.push(1);
        values.iter().for_each(|_| out.extend([0xfd, 0]));
        values.iter().for_each(|value| {
            out.push(u8::try_from(value.len()).unwrap_or(0));
            out.extend(value.as_bytes());
        });
    }
    out
}

/// A definition; of a user variable only the name, as a variable that was never set has another type than one that is
/// NULL again.
fn column(packet: &[u8]) -> String {
    let line = text(packet);
    match line.split_once("@").filter(|(_, rest)| !rest.starts_with('@')) {
        Some((_, rest)) => rest.chars().take(1).collect(),
        None => line,
    }
}

fn error(packet: &[u8]) -> String {
    format!("ERR {}", text(packet.get(1..).unwrap_or_default()))
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}
