//! Where a response ends: follows raw backend bytes, whatever their cuts, and keeps only a few of them.
//!
//! The relay forwards bytes as they come; this says how many of them belong to the response that is under way and,
//! at its end, what the last OK, EOF or ERR said. It looks at frame headers, first bytes and short packets only.
//! Sources: MySQL, "COM_QUERY Response", "COM_STMT_PREPARE Response", "COM_FIELD_LIST Response".

mod walk;

use super::dialect::{Dialect, Ended, Rewrite};
use super::end::{End, First, Outcome, Prepared};
use super::{EofPacket, ErrPacket, OkPacket};
use crate::capabilities::Capabilities;
use crate::command::Command;
use crate::frame::{HEADER, MAX_PAYLOAD};
use crate::lenenc::{Malformed, NULL, Reader};
use crate::status::Status;

pub use walk::Converted;

/// What is kept of one OK, EOF or ERR that came in pieces; a longer one loses its tail.
const CAPTURE: usize = 64 * 1024;

/// The shape of the answer to a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// OK, ERR, LOCAL INFILE or result sets: COM_QUERY, COM_STMT_EXECUTE, COM_PROCESS_INFO.
    Results,
    /// COM_STMT_PREPARE.
    Prepare,
    /// COM_FIELD_LIST: column definitions without a count.
    FieldList,
    /// COM_STMT_FETCH: rows without column definitions.
    Fetch,
    /// One packet: OK, EOF or ERR.
    Simple,
    /// One packet of any text, or ERR: COM_STATISTICS.
    Text,
    /// No answer at all: COM_QUIT, COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA.
    Nothing,
}

impl Expect {
    /// What a server answers to a command.
    pub fn after(command: Command) -> Expect {
        match command {
            Command::Query | Command::StmtExecute | Command::ProcessInfo => Expect::Results,
            Command::StmtPrepare => Expect::Prepare,
            Command::FieldList => Expect::FieldList,
            Command::StmtFetch => Expect::Fetch,
            Command::Statistics => Expect::Text,
            Command::Quit | Command::StmtClose | Command::StmtSendLongData => Expect::Nothing,
            _ => Expect::Simple,
        }
    }
}

/// Which packet is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// The first one of an answer or of one of several results.
    First,
    Columns {
        left: u64,
    },
    EofAfterColumns,
    Rows,
    FieldList,
    PrepareOk,
    /// Definitions of parameters or columns of a prepared statement.
    Definitions {
        left: u16,
        columns_after: u16,
    },
    EofAfterDefinitions {
        columns_after: u16,
    },
    Simple,
    Text,
    Done,
}

/// What one call of [`ResponseTracker::scan`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Scan {
    /// How many bytes of the buffer belong to this response; less than all only when it is done.
    pub consumed: usize,
    pub done: Option<Outcome>,
}

/// Follows one response. Make a new one for each command.
#[derive(Debug)]
pub struct ResponseTracker {
    dialect: Option<Dialect>,
    /// What becomes of the packet that has just ended.
    rewrite: Option<Rewrite>,
    capabilities: Capabilities,
    due: Due,
    header: [u8; HEADER],
    header_filled: usize,
    packet: Packet,
    capture: Vec<u8>,
    outcome: Outcome,
}

/// The packet that the bytes are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Packet {
    /// Payload bytes of the current frame that have not come yet.
    left: usize,
    /// The current frame is full: another one continues its packet.
    continued: bool,
    /// The current frame continues a packet of which an earlier frame was seen.
    is_continuation: bool,
    /// Length of the first frame.
    length: usize,
    started: bool,
    /// The payload is wanted at the packet's end.
    captured: bool,
    first_byte: Option<u8>,
}

impl ResponseTracker {
    /// `capabilities` are those agreed with the backend that answers.
    pub fn new(expect: Expect, capabilities: Capabilities) -> ResponseTracker {
        let due = match expect {
            Expect::Results => Due::First,
            Expect::Prepare => Due::PrepareOk,
            Expect::FieldList => Due::FieldList,
            Expect::Fetch => Due::Rows,
            Expect::Simple => Due::Simple,
            Expect::Text => Due::Text,
            Expect::Nothing => Due::Done,
        };
        ResponseTracker {
            dialect: None,
            rewrite: None,
            capabilities,
            due,
            header: [0; HEADER],
            header_filled: 0,
            packet: Packet::default(),
            capture: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    /// True before the first byte of the answer: nothing of it can have reached the client.
    pub fn is_untouched(&self) -> bool {
        self.outcome.first.is_none() && self.header_filled == 0 && !self.packet.started
    }

    /// The same response for a client that speaks otherwise: to be followed with [`ResponseTracker::convert`].
    #[must_use]
    pub fn with_dialect(mut self, dialect: Option<Dialect>) -> ResponseTracker {
        self.dialect = dialect;
        self
    }

    /// Whether the payload of a packet with this first byte is needed, not only its length.
    fn is_wanted(&self, first: u8) -> bool {
        match self.due {
            Due::First
            | Due::PrepareOk
            | Due::Simple
            | Due::EofAfterColumns
            | Due::EofAfterDefinitions { .. } => true,
            Due::Rows | Due::FieldList => first == ErrPacket::HEADER || self.ends_rows(first),
            Due::Text | Due::Columns { .. } | Due::Definitions { .. } => first == ErrPacket::HEADER,
            Due::Done => false,
        }
    }

    /// Whether the packet is the EOF, or the OK in its place, that ends rows.
    fn ends_rows(&self, first: u8) -> bool {
        self.is_end(first, self.packet.length)
    }

    fn is_end(&self, first: u8, length: usize) -> bool {
        let limit = match self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            true => MAX_PAYLOAD,
            false => EofPacket::MAX_LENGTH,
        };
        first == EofPacket::HEADER && length < limit
    }

    /// A whole packet went by; `last` are its bytes if none had to be captured before.
    fn end_packet(&mut self, last: &[u8]) -> Result<(), Malformed> {
        if self.capture.is_empty() {
            let payload = if self.packet.captured { last } else { &[] };
            let due = self.due;
            return self.judge(payload).and_then(|()| self.rewrite(due, payload));
        }
        let captured = std::mem::take(&mut self.capture);
        let payload = if self.packet.captured { captured.as_slice() } else { &[] };
        self.outcome.tail_lost |= self.packet.captured && captured.len() == CAPTURE;
        let due = self.due;
        let judged = self.judge(payload).and_then(|()| self.rewrite(due, payload));
        self.capture = captured;
        judged
    }

    /// Decides what becomes of a packet that was `due`, for a client of another dialect.
    fn rewrite(&mut self, due: Due, payload: &[u8]) -> Result<(), Malformed> {
        let first = self.packet.first_byte;
        let ends_rows = first.is_some_and(|first| self.ends_rows(first));
        let Some(dialect) = &mut self.dialect else { return Ok(()) };
        let ended = match due {
            _ if first == Some(ErrPacket::HEADER) => return Ok(()),
            Due::First | Due::Simple if first == Some(OkPacket::HEADER) => Ended::Ok,
            Due::Rows | Due::FieldList | Due::Simple if ends_rows => Ended::Rows,
            Due::Columns { left: 0 | 1 } => Ended::LastColumn,
            Due::EofAfterColumns => Ended::EofAfterColumns,
            Due::Definitions { left: 0 | 1, .. } => Ended::LastDefinition,
            Due::EofAfterDefinitions { .. } => Ended::EofAfterDefinitions,
            _ => return Ok(()),
        };
        self.rewrite = dialect.change(ended, self.header[3], payload)?;
        Ok(())
    }

    fn judge(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let first = self.packet.first_byte;
        if first == Some(ErrPacket::HEADER) {
            return self.end_with_err(payload);
        }
        match self.due {
            Due::First => self.judge_first(payload),
            Due::Columns { left } => {
                self.due = match left.saturating_sub(1) {
                    0 => self.after_columns(),
                    left => Due::Columns { left },
                };
                Ok(())
            }
            Due::EofAfterColumns => {
                let eof = EofPacket::parse(payload)?;
                self.due = Due::Rows;
                // A cursor was opened: the rows come by COM_STMT_FETCH.
                if eof.status.contains(Status::CURSOR_EXISTS) {
                    self.end_result(eof.status, eof.warnings)
                } else {
                    Ok(())
                }
            }
            Due::Rows if first.is_some_and(|byte| self.ends_rows(byte)) => self.end_rows(payload),
            Due::Rows => {
                self.outcome.rows += 1;
                Ok(())
            }
            Due::FieldList if first.is_some_and(|byte| self.ends_rows(byte)) => {
                self.note_first(First::ResultSet);
                self.end_rows(payload)
            }
            Due::FieldList => Ok(()),
            Due::PrepareOk => self.judge_prepare(payload),
            Due::Definitions { left, columns_after } => {
                self.due = match left.saturating_sub(1) {
                    0 if self.capabilities.contains(Capabilities::DEPRECATE_EOF) => {
                        self.definitions(columns_after, 0)
                    }
                    0 => Due::EofAfterDefinitions { columns_after },
                    left => Due::Definitions { left, columns_after },
                };
                self.end_if_done()
            }
            Due::EofAfterDefinitions { columns_after } => {
                EofPacket::parse(payload)?;
                self.due = self.definitions(columns_after, 0);
                self.end_if_done()
            }
            Due::Simple => self.judge_simple(payload),
            Due::Text => {
                self.note_first(First::Text);
                self.finish(End::Complete)
            }
            Due::Done => Ok(()),
        }
    }

    fn judge_first(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        match payload.first() {
            Some(&OkPacket::HEADER) => {
                self.note_first(First::Ok);
                self.end_with_ok(payload)
            }
            Some(&NULL) => {
                self.note_first(First::LocalInfile);
                self.due = Due::First;
                self.outcome.end = Some(End::LocalInfile);
                Ok(())
            }
            _ => {
                let mut reader = Reader::new(payload);
                let left = reader.try_lenenc_int()?;
                if left == 0 || left > u64::from(u16::MAX) {
                    return Err(Malformed::TooMany);
                }
                self.note_first(First::ResultSet);
                self.due = Due::Columns { left };
                Ok(())
            }
        }
    }

    fn after_columns(&self) -> Due {
        match self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            true => Due::Rows,
            false => Due::EofAfterColumns,
        }
    }

    fn judge_prepare(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            OkPacket::HEADER => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        let statement = reader.try_u32()?;
        let columns = reader.try_u16()?;
        let parameters = reader.try_u16()?;
        reader.try_u8()?;
        self.outcome.warnings = reader.try_u16().unwrap_or(0);
        self.note_first(First::Ok);
        self.outcome.prepared = Some(Prepared { statement, columns, parameters });
        self.due = self.definitions(parameters, columns);
        self.end_if_done()
    }

    /// What is due when `left` definitions come now and `columns_after` of them in a second block.
    fn definitions(&self, left: u16, columns_after: u16) -> Due {
        match (left, columns_after) {
            (0, 0) => Due::Done,
            (0, columns) => Due::Definitions { left: columns, columns_after: 0 },
            _ => Due::Definitions { left, columns_after },
        }
    }

    fn end_if_done(&mut self) -> Result<(), Malformed> {
        if self.due == Due::Done { self.finish(End::Complete) } else { Ok(()) }
    }

    fn judge_simple(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        self.note_first(First::Ok);
        match payload.first() {
            Some(&OkPacket::HEADER) => self.end_with_ok(payload),
            Some(&EofPacket::HEADER) => {
                let eof = EofPacket::parse(payload)?;
                self.end_result(eof.status, eof.warnings)
            }
            Some(&other) => Err(Malformed::UnexpectedByte(other)),
            None => Err(Malformed::Truncated),
        }
    }

    fn end_rows(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        // An EOF is exactly five bytes; an OK is at least seven. Some servers send an EOF all the same.
        if payload.len() == 5 || !self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            let eof = EofPacket::parse(payload)?;
            return self.end_result(eof.status, eof.warnings);
        }
        self.end_with_ok(payload)
    }

    fn end_with_ok(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        let ok = self.outcome.take_ok(payload, self.capabilities)?;
        self.end_result(ok.0, ok.1)
    }

    fn end_result(&mut self, status: Status, warnings: u16) -> Result<(), Malformed> {
        self.outcome.status = Some(status);
        self.outcome.warnings = warnings;
        self.outcome.results += 1;
        if status.contains(Status::MORE_RESULTS_EXISTS) {
            self.due = Due::First;
            return Ok(());
        }
        self.finish(End::Complete)
    }

    fn end_with_err(&mut self, payload: &[u8]) -> Result<(), Malformed> {
        self.note_first(First::Err);
        self.outcome.error = Some(ErrPacket::parse(payload)?);
        self.outcome.status = None;
        self.finish(End::Complete)
    }

    fn note_first(&mut self, first: First) {
        self.outcome.first.get_or_insert(first);
    }

    fn finish(&mut self, end: End) -> Result<(), Malformed> {
        self.due = Due::Done;
        self.outcome.end = Some(end);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tracker_tests.rs"]
mod tests;
