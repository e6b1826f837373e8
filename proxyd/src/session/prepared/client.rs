//! The prepared statements of one client: ids of our own, what it sent ahead of an execution, and the execution itself.
//! No I/O.

use std::ops::Range;
use std::rc::Rc;

use hashbrown::HashMap;
use proxyd_wire::attributed::Attributed;
use proxyd_wire::execute::{self, Types};
use proxyd_wire::{Malformed, frame};

use super::cache::{Hold, Shared};
use super::handles::Ready;
use crate::reply::frames_of;

/// More than any application keeps open on one connection; MySQL's own limit is per server (max_prepared_stmt_count).
pub const MAX_STATEMENTS: usize = 16_382;

/// What one client has prepared.
#[derive(Debug, Default)]
pub struct ClientStatements {
    by_id: HashMap<u32, ClientStatement>,
    last_id: u32,
    /// Bytes of all texts, and of all long data that waits for its execution.
    texts: usize,
    long_data: usize,
}

#[derive(Debug)]
pub struct ClientStatement {
    hold: Hold,
    /// The client's text, where a rule has replaced it: the rules go on looking at this one.
    original: Option<Rc<[u8]>>,
    /// The parameter types that the client sent last.
    types: Option<Rc<[u8]>>,
    /// Packets of COM_STMT_SEND_LONG_DATA in their frames.
    long_data: Vec<u8>,
    /// There was more of it than is held: the execution fails.
    too_long: bool,
}

impl ClientStatement {
    pub fn shared(&self) -> &Rc<Shared> {
        self.hold.shared()
    }

    /// The text that the rules look at, if it is not the one the servers get.
    pub fn original(&self) -> Option<Rc<[u8]>> {
        self.original.clone()
    }
}

/// Why a statement cannot be executed.
#[derive(Debug, PartialEq, Eq)]
pub enum Unfit {
    Unknown,
    Malformed(Malformed),
    /// The client relies on types that it never sent.
    NoTypes,
    /// More long data than `mysql-max_allowed_packet`.
    TooLong,
}

impl ClientStatements {
    /// Whether a client with `limit` as its `mysql-max_allowed_packet` may have one more of this length.
    pub fn has_room(&self, text: usize, limit: usize) -> bool {
        self.by_id.len() < MAX_STATEMENTS && self.texts + text <= limit.saturating_mul(2)
    }

    /// Gives the statement an id.
    pub fn add(&mut self, shared: &Rc<Shared>, original: Option<Rc<[u8]>>) -> u32 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.by_id.contains_key(&self.last_id) {
                break;
            }
        }
        self.texts += shared.text.len();
        let hold = Hold::by_client(shared);
        let statement =
            ClientStatement { hold, original, types: None, long_data: Vec::new(), too_long: false };
        self.by_id.insert(self.last_id, statement);
        self.last_id
    }

    pub fn get(&self, id: u32) -> Option<&ClientStatement> {
        self.by_id.get(&id)
    }

    /// False when there was none.
    pub fn remove(&mut self, id: u32) -> bool {
        let Some(gone) = self.by_id.remove(&id) else { return false };
        self.texts -= gone.shared().text.len();
        self.long_data -= gone.long_data.len();
        true
    }

    pub fn clear(&mut self) {
        *self = ClientStatements { last_id: self.last_id, ..ClientStatements::default() };
    }

    /// COM_STMT_SEND_LONG_DATA: held until the execution, up to `limit` bytes over all statements.
    pub fn add_long_data(&mut self, id: u32, frames: &[u8], limit: usize) {
        let Some(statement) = self.by_id.get_mut(&id) else { return };
        if statement.too_long || self.long_data + frames.len() > limit {
            self.long_data -= statement.long_data.len();
            statement.long_data = Vec::new();
            statement.too_long = true;
            return;
        }
        self.long_data += frames.len();
        statement.long_data.extend_from_slice(frames);
    }

    /// Bytes of long data that wait for their execution.
    pub fn long_data(&self) -> usize {
        self.long_data
    }

    /// COM_STMT_RESET: what was sent ahead is forgotten.
    pub fn forget_long_data(&mut self, id: u32) {
        drop(self.take_long_data(id));
    }

    fn take_long_data(&mut self, id: u32) -> Vec<u8> {
        let Some(statement) = self.by_id.get_mut(&id) else { return Vec::new() };
        statement.too_long = false;
        self.long_data -= statement.long_data.len();
        std::mem::take(&mut statement.long_data)
    }

    /// COM_STMT_EXECUTE in its frames, with what the client sent before. `attributed`: it has QUERY_ATTRIBUTES.
    pub fn execution<'a>(
        &mut self,
        id: u32,
        frames: &'a mut [u8],
        attributed: bool,
    ) -> Result<Execution<'a>, Unfit> {
        let statement = self.by_id.get_mut(&id).ok_or(Unfit::Unknown)?;
        let shared = statement.shared().clone();
        if statement.too_long {
            self.forget_long_data(id);
            return Err(Unfit::TooLong);
        }
        let parameters = shared.description().map_or(0, |it| it.parameters);
        let head = frames.get(frame::HEADER..frames.len().min(frame::HEADER + frame::MAX_PAYLOAD));
        let form = Form::of(head.unwrap_or_default(), parameters, attributed).map_err(Unfit::Malformed)?;
        let sent = form.types(head.unwrap_or_default());
        if sent.is_some() && statement.types.as_deref() != sent {
            statement.types = sent.map(Rc::from);
        }
        if form.relies() && statement.types.is_none() {
            return Err(Unfit::NoTypes);
        }
        let types = statement.types.clone();
        let long_data = self.take_long_data(id);
        Ok(Execution {
            shared,
            client_id: id,
            frames,
            made: None,
            types,
            form,
            long_data,
            server_id: 0,
            again: false,
        })
    }
}

/// One execution on its way to whichever connection will have it.
#[derive(Debug)]
pub struct Execution<'a> {
    pub shared: Rc<Shared>,
    pub client_id: u32,
    frames: &'a mut [u8],
    /// The frames with types in them, where the connection at hand does not know them.
    made: Option<Vec<u8>>,
    /// Two bytes for each parameter; `None` where there are none.
    pub types: Option<Rc<[u8]>>,
    form: Form,
    long_data: Vec<u8>,
    /// The server's id of the statement on the connection it was aimed at last.
    pub server_id: u32,
    /// The statement was prepared again, because a server had lost it: once is enough.
    pub again: bool,
}

/// What an execution looks like, as far as its types.
#[derive(Debug)]
enum Form {
    /// The statement has no parameters, and there are no attributes.
    Bare,
    /// The types are in it, at this place of the payload.
    Typed {
        types_at: Range<usize>,
    },
    /// They are those of an earlier execution; the flag that says so is at this place of the payload.
    Relied {
        flag_at: usize,
    },
    Attributed(Box<Attributed>),
}

impl Form {
    fn of(payload: &[u8], parameters: u16, attributed: bool) -> Result<Form, Malformed> {
        if attributed {
            let found = Attributed::parse(payload, parameters)?;
            return Ok(found.map_or(Form::Bare, |found| Form::Attributed(Box::new(found))));
        }
        Ok(match execute::types(payload, parameters)? {
            Types::None => Form::Bare,
            Types::Sent(_) => Form::Typed { types_at: execute::types_at(parameters) },
            Types::Relied { flag_at } => Form::Relied { flag_at },
        })
    }

    /// The types, two bytes for each parameter, if this execution brings them.
    fn types<'a>(&'a self, payload: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Form::Typed { types_at } => payload.get(types_at.clone()),
            Form::Attributed(form) => form.types(),
            Form::Bare | Form::Relied { .. } => None,
        }
    }

    fn relies(&self) -> bool {
        match self {
            Form::Relied { .. } => true,
            Form::Attributed(form) => form.relies(),
            Form::Bare | Form::Typed { .. } => false,
        }
    }
}

impl Execution<'_> {
    /// Puts in what the connection needs: its id of the statement, and the types unless it remembers the same. A client's
    /// attributes are left out where the connection has not `attributed`.
    pub fn aim(&mut self, ready: Ready<'_>, attributed: bool) {
        self.server_id = ready.server_id;
        let id = ready.server_id.to_le_bytes();
        put_id(self.frames, id);
        put_ids(&mut self.long_data, id);
        let types = self.types.as_deref().unwrap_or_default();
        let payload = || frame::payload(self.frames);
        let retyped = self.form.relies() && ready.types != Some(types);
        let made = match &self.form {
            Form::Attributed(form) if !attributed => {
                Some(form.plain(&payload(), types, |index| sent_ahead(&self.long_data, index)))
            }
            Form::Attributed(form) if retyped => Some(form.with_types(&payload(), types)),
            Form::Relied { flag_at } if retyped => Some(execute::with_types(&payload(), *flag_at, types)),
            _ => None,
        };
        self.made = made.map(|payload| frames_of(&payload, 0));
    }

    /// What to send, after the long data.
    pub fn frames(&self) -> &[u8] {
        self.made.as_deref().unwrap_or(self.frames)
    }

    pub fn long_data(&self) -> &[u8] {
        &self.long_data
    }

    /// Two bytes for each parameter.
    pub fn types(&self) -> &[u8] {
        self.types.as_deref().unwrap_or_default()
    }
}

/// Whether a parameter is among these packets of COM_STMT_SEND_LONG_DATA.
fn sent_ahead(mut packets: &[u8], parameter: usize) -> bool {
    let at = frame::HEADER + execute::STATEMENT_AT + 4;
    while let Ok(frame::Located::Complete { framed, .. }) = frame::locate(packets, usize::MAX) {
        let (packet, rest) = packets.split_at(framed);
        let index =
            packet.get(at..at + 2).map(|bytes| bytes.iter().rev().fold(0, |n, &b| n << 8 | usize::from(b)));
        if index == Some(parameter) {
            return true;
        }
        packets = rest;
    }
    false
}

/// The id stands at the same place in every command about a prepared statement.
pub fn put_id(frames: &mut [u8], id: [u8; 4]) {
    let at = frame::HEADER + execute::STATEMENT_AT;
    if let Some(place) = frames.get_mut(at..at + 4) {
        place.copy_from_slice(&id);
    }
}

/// The same in packets that follow each other.
fn put_ids(mut packets: &mut [u8], id: [u8; 4]) {
    while let Ok(frame::Located::Complete { framed, .. }) = frame::locate(packets, usize::MAX) {
        let (packet, rest) = packets.split_at_mut(framed);
        put_id(packet, id);
        packets = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::prepared::cache::{Cache, Key};
    use crate::session::settings::{Charset, Settings};
    use proxyd_sql::Digest;
    use proxyd_wire::response::Description;
    use std::time::Instant;

    /// A statement with one parameter.
    fn prepared(statements: &mut ClientStatements) -> u32 {
        let (mut cache, environment) = (Cache::new(0, 1), Settings::new("a", Charset::Id(45)));
        let text = b"DO ?";
        let key = Key { user: "app", environment: &environment, text };
        let shared = cache.find_or_make(key, &proxyd_sql::classify(text), 100, Digest::default);
        let answer = [
            &[12, 0, 0, 1, 0, 5, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0][..],
            &[1, 0, 0, 2, 3],
            &[5, 0, 0, 3, 0xfe, 0, 0, 2, 0],
        ];
        let description =
            Description::parse(&answer.concat(), proxyd_wire::Capabilities::PROTOCOL_41).unwrap().1;
        cache.describe(&shared, description, 1, Instant::now());
        statements.add(&shared, None)
    }

    fn frames(types: &[u8], value: &[u8]) -> Vec<u8> {
        let flag = u8::from(!types.is_empty());
        frames_of(&[&[0x17, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, flag], types, value].concat(), 0)
    }

    fn ready(types: Option<&[u8]>) -> Ready<'_> {
        Ready { server_id: 0x0102_0304, types }
    }

    #[test]
    fn types_travel_where_they_are_not_known() {
        let mut statements = ClientStatements::default();
        let id = prepared(&mut statements);
        let mut relies = frames(&[], &[5]);
        assert_eq!(statements.execution(id, &mut relies, false).unwrap_err(), Unfit::NoTypes);
        let mut sends = frames(&[1, 0], &[5]);
        statements.execution(id, &mut sends, false).unwrap();
        let mut execution = statements.execution(id, &mut relies, false).unwrap();
        execution.aim(ready(Some(&[1, 0])), false);
        assert_eq!(execution.frames()[4..], [0x17, 4, 3, 2, 1, 0, 1, 0, 0, 0, 0, 0, 5]);
        for other in [None, Some(&[8, 0][..])] {
            execution.aim(ready(other), false);
            assert_eq!(execution.frames()[4..], [0x17, 4, 3, 2, 1, 0, 1, 0, 0, 0, 0, 1, 1, 0, 5]);
            assert_eq!(execution.frames()[..4], [15, 0, 0, 0]);
        }
        assert_eq!(statements.execution(9, &mut relies, false).unwrap_err(), Unfit::Unknown);
        assert!(matches!(statements.execution(id, &mut relies[..8], false), Err(Unfit::Malformed(_))));
    }

    #[test]
    fn long_data_waits_for_one_execution_and_is_bounded() {
        let mut statements = ClientStatements::default();
        let id = prepared(&mut statements);
        let data = frames_of(&[0x18, 1, 0, 0, 0, 0, 0, b'x'], 0);
        statements.add_long_data(id, &data, 100);
        statements.add_long_data(id, &data, 100);
        let mut sends = frames(&[0xfc, 0], &[]);
        let mut execution = statements.execution(id, &mut sends, false).unwrap();
        execution.aim(ready(None), false);
        let aimed = [8, 0, 0, 0, 0x18, 4, 3, 2, 1, 0, 0, b'x'];
        assert_eq!(execution.long_data(), [aimed, aimed].concat());
        assert!(statements.execution(id, &mut sends, false).unwrap().long_data().is_empty());
        statements.add_long_data(id, &data, data.len());
        statements.add_long_data(id, &data, data.len());
        assert_eq!(statements.long_data, 0);
        assert_eq!(statements.execution(id, &mut sends, false).unwrap_err(), Unfit::TooLong);
        assert!(statements.execution(id, &mut sends, false).is_ok());
        statements.add_long_data(id, &data, 100);
        assert!(statements.remove(id) && !statements.remove(id));
        assert_eq!((statements.long_data, statements.texts), (0, 0));
    }
}
