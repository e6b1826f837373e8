//! A response as another peer wants it: EOFs after definitions or none, rows ended by an EOF or by an OK, session state
//! changes or none.
//!
//! A server and a client that negotiated different things read the same rows. What differs are a few small packets
//! around them, and so the sequence numbers of all that follow. This says which packets to change; bytes stay where
//! they are.

use std::ops::Range;

use super::schema_debt::{SchemaDebt, SchemaNews};
use super::session_track::{self, Change};
use super::{EofPacket, OkPacket};
use crate::capabilities::Capabilities;
use crate::frame;
use crate::lenenc::Malformed;
use crate::status::Status;

/// Bytes of a buffer to be replaced; an empty range is a place to insert at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub range: Range<usize>,
    pub with: Vec<u8>,
}

/// What becomes of a packet that has just ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rewrite {
    Replace(Vec<u8>),
    Append(Vec<u8>),
}

/// Which packet has just ended, as far as a dialect cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// An OK that is an answer of its own.
    Ok,
    /// The last column definition of a result set.
    LastColumn,
    EofAfterColumns,
    /// The EOF, or the OK in its place, that ends rows.
    Rows,
    /// The last of a block of a prepared statement's definitions.
    LastDefinition,
    EofAfterDefinitions,
}

/// The way from a server's capabilities to a client's.
#[derive(Debug)]
pub struct Dialect {
    from: Capabilities,
    to: Capabilities,
    /// The status in an EOF that the server did not send.
    status: Status,
    /// All session state changes go to the client, not only those that servers track by default.
    every_change: bool,
    /// How many packets more than the server has sent the client has got (modulo 256).
    shift: u8,
    /// The EOF after the column definitions is still to be sent.
    owes_eof: bool,
    schema: SchemaNews,
}

impl Dialect {
    /// `None` when the client can have every packet as it is.
    pub fn new(from: Capabilities, to: Capabilities, status: Status, every_change: bool) -> Option<Dialect> {
        let differing = (from ^ to) & (Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK);
        let needed = !differing.is_empty() || from.contains(Capabilities::SESSION_TRACK);
        let schema = SchemaNews::default();
        needed.then_some(Dialect { from, to, status, every_change, shift: 0, owes_eof: false, schema })
    }

    /// With what is owed since earlier commands.
    #[must_use]
    pub fn with_schema(self, schema: SchemaNews) -> Dialect {
        Dialect { schema, ..self }
    }

    pub(super) fn schema_debt(&self) -> SchemaDebt {
        self.schema.debt
    }

    pub(super) fn shift(&self) -> u8 {
        self.shift
    }

    pub(super) fn owes_eof(&self) -> bool {
        self.owes_eof
    }

    /// The EOF that has to stand before the row (or error) with this sequence number, if one is owed.
    pub(super) fn pay_eof(&mut self, sequence: u8) -> Option<Vec<u8>> {
        std::mem::take(&mut self.owes_eof).then(|| {
            let eof = self.frame(sequence, &self.plain_eof());
            self.shift = self.shift.wrapping_add(1);
            eof
        })
    }

    /// What becomes of a packet with this sequence number.
    pub(super) fn change(
        &mut self,
        ended: Ended,
        sequence: u8,
        payload: &[u8],
    ) -> Result<Option<Rewrite>, Malformed> {
        let adds = self.to_old();
        let drops = self.to_new();
        Ok(match ended {
            Ended::Ok => self.ok(OkPacket::HEADER, sequence, payload)?,
            Ended::LastColumn => {
                self.owes_eof = adds;
                None
            }
            Ended::EofAfterColumns if drops => {
                let eof = EofPacket::parse(payload)?;
                if eof.status.contains(Status::CURSOR_EXISTS) {
                    return Ok(Some(self.eof_as_ok(sequence, eof)));
                }
                self.shift = self.shift.wrapping_sub(1);
                Some(Rewrite::Replace(Vec::new()))
            }
            Ended::EofAfterDefinitions if drops => {
                self.shift = self.shift.wrapping_sub(1);
                Some(Rewrite::Replace(Vec::new()))
            }
            Ended::LastDefinition if adds => {
                let eof = self.frame(sequence.wrapping_add(1), &self.plain_eof());
                self.shift = self.shift.wrapping_add(1);
                Some(Rewrite::Append(eof))
            }
            Ended::Rows => self.end_of_rows(sequence, payload)?,
            Ended::EofAfterColumns | Ended::EofAfterDefinitions | Ended::LastDefinition => None,
        })
    }

    fn end_of_rows(&mut self, sequence: u8, payload: &[u8]) -> Result<Option<Rewrite>, Malformed> {
        // Some servers send an EOF all the same.
        let is_eof = payload.len() == 5 || !self.from.contains(Capabilities::DEPRECATE_EOF);
        if self.to.contains(Capabilities::DEPRECATE_EOF) {
            return match is_eof {
                true => Ok(Some(self.eof_as_ok(sequence, EofPacket::parse(payload)?))),
                false => self.ok(OkPacket::END_HEADER, sequence, payload),
            };
        }
        if is_eof && !self.owes_eof {
            return Ok(None);
        }
        let mut end = match is_eof {
            true => EofPacket::parse(payload)?,
            false => {
                let ok = OkPacket::parse(payload, self.from)?;
                if self.to.contains(Capabilities::SESSION_TRACK) {
                    self.schema.withhold(&ok.session_track);
                }
                EofPacket { warnings: ok.warnings, status: ok.status }
            }
        };
        end.status.remove(Status::SESSION_STATE_CHANGED);
        // Where a cursor was opened there is one EOF and no rows.
        let mut out = match end.status.contains(Status::CURSOR_EXISTS) {
            true => {
                self.owes_eof = false;
                Vec::new()
            }
            false => self.pay_eof(sequence).unwrap_or_default(),
        };
        out.extend(self.frame(sequence, &end.encode()));
        Ok(Some(Rewrite::Replace(out)))
    }

    /// An OK as the client reads it; `None` where that is what it is.
    fn ok(&mut self, header: u8, sequence: u8, payload: &[u8]) -> Result<Option<Rewrite>, Malformed> {
        let mut ok = OkPacket::parse(payload, self.from)?;
        let says_more = !ok.info.is_empty() || !ok.session_track.is_empty();
        if !says_more && !ok.status.contains(Status::SESSION_STATE_CHANGED) && !self.schema.is_due() {
            return Ok(None);
        }
        if !self.every_change {
            ok.session_track = only_default(&ok.session_track);
        }
        self.schema.settle(&mut ok.session_track);
        let encoded = match header {
            OkPacket::END_HEADER => ok.encode_end(self.to),
            _ => ok.encode(self.to),
        };
        Ok((encoded != payload).then(|| Rewrite::Replace(self.frame(sequence, &encoded))))
    }

    fn eof_as_ok(&self, sequence: u8, eof: EofPacket) -> Rewrite {
        let ok = OkPacket { status: eof.status, warnings: eof.warnings, ..OkPacket::default() };
        Rewrite::Replace(self.frame(sequence, &ok.encode_end(self.to)))
    }

    fn plain_eof(&self) -> Vec<u8> {
        EofPacket { warnings: 0, status: self.status }.encode()
    }

    fn frame(&self, sequence: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(frame::HEADER + payload.len());
        frame::write(&mut out, &mut sequence.wrapping_add(self.shift), payload);
        out
    }

    fn to_old(&self) -> bool {
        self.from.contains(Capabilities::DEPRECATE_EOF) && !self.to.contains(Capabilities::DEPRECATE_EOF)
    }

    fn to_new(&self) -> bool {
        !self.from.contains(Capabilities::DEPRECATE_EOF) && self.to.contains(Capabilities::DEPRECATE_EOF)
    }
}

/// The changes that a server reports to a client that has switched nothing on: `session_track_schema` is on by default
/// and these are the default `session_track_system_variables`.
fn only_default(block: &[u8]) -> Vec<u8> {
    const DEFAULT: [&[u8]; 5] = [
        b"time_zone",
        b"autocommit",
        b"character_set_client",
        b"character_set_results",
        b"character_set_connection",
    ];
    let mut out = Vec::new();
    for change in session_track::changes(block).map_while(Result::ok) {
        let default = match change {
            Change::SystemVariable { name, .. } => DEFAULT.contains(&name),
            Change::Schema(_) => true,
            _ => false,
        };
        if default {
            change.put(&mut out);
        }
    }
    out
}

#[cfg(test)]
#[path = "dialect_tests.rs"]
mod tests;
