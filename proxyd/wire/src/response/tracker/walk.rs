//! Cuts raw bytes into packets for the tracker, whatever the cuts between reads, and keeps only what it wants to see.

use super::{CAPTURE, Due, Packet, ResponseTracker, Scan};
use crate::frame::{HEADER, Header};
use crate::lenenc::Malformed;
use crate::response::dialect::{Dialect, Edit, Rewrite};
use crate::response::end::{End, Outcome};
use crate::response::{EofPacket, OkPacket};

/// What one call of [`ResponseTracker::convert`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Converted {
    /// How many bytes of the buffer are dealt with, before the edit. What is left has to be shown again, with more
    /// behind it where there was no edit.
    pub consumed: usize,
    /// To be made before the consumed bytes go to the client; what is left of the buffer then follows it.
    pub edit: Option<Edit>,
    pub done: Option<Outcome>,
}

/// Bytes of frames, which may be given other sequence numbers in place.
trait Frames {
    fn bytes(&self) -> &[u8];
    fn renumber(&mut self, at: usize, shift: u8);
}

impl Frames for &[u8] {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn renumber(&mut self, _at: usize, _shift: u8) {}
}

impl Frames for &mut [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn renumber(&mut self, at: usize, shift: u8) {
        if let Some(number) = self.get_mut(at) {
            *number = number.wrapping_add(shift);
        }
    }
}

/// What to do about the packet that comes next.
enum Ahead {
    Go,
    /// It cannot be told before more of it is there.
    Wait,
    /// These frames go first.
    Insert(Vec<u8>),
}

impl ResponseTracker {
    /// Looks at the next bytes from the backend, in order, each once.
    ///
    /// After an outcome with [`End::LocalInfile`] the same tracker follows the answer to the file's data.
    ///
    /// # Errors
    /// Bytes that are no such response: the connection cannot be used any more.
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Scan, Malformed> {
        self.walk(buffer).map(|Converted { consumed, done, .. }| Scan { consumed, done })
    }

    /// As [`ResponseTracker::scan`], and makes the bytes the client's: gives frames their sequence numbers in place,
    /// and says what else to edit. A packet that may need it is left until it is there as a whole.
    ///
    /// # Errors
    /// As above.
    pub fn convert(&mut self, buffer: &mut [u8]) -> Result<Converted, Malformed> {
        self.walk(buffer)
    }

    fn walk<F: Frames>(&mut self, mut frames: F) -> Result<Converted, Malformed> {
        let (mut at, length) = (0, frames.bytes().len());
        while self.due != Due::Done {
            self.pass_rows(&mut frames, &mut at);
            let start = at;
            if !self.packet.started && self.dialect.is_some() {
                match self.look_ahead(&frames.bytes()[at..]) {
                    Ahead::Go => {}
                    Ahead::Wait => return Ok(Converted { consumed: at, edit: None, done: None }),
                    Ahead::Insert(with) => {
                        let edit = Some(Edit { range: at..at, with });
                        return Ok(Converted { consumed: at, edit, done: None });
                    }
                }
            }
            let is_read = self.read_whole(&mut frames, &mut at)?;
            if is_read || self.packet.started || self.read_header(&mut frames, &mut at) {
                let whole = is_read || self.read_payload(frames.bytes(), &mut at)?;
                let edit = self.rewrite.take().map(|rewrite| match rewrite {
                    Rewrite::Replace(with) => Edit { range: start..at, with },
                    Rewrite::Append(with) => Edit { range: at..at, with },
                });
                let done = self.outcome.end.take().filter(|_| whole).map(|end| {
                    let outcome = std::mem::take(&mut self.outcome);
                    let schema_debt = self.dialect.as_ref().map(Dialect::schema_debt).unwrap_or_default();
                    Outcome { end: Some(end), schema_debt, ..outcome }
                });
                if done.is_some() || edit.is_some() {
                    return Ok(Converted { consumed: at, edit, done });
                }
                if whole || at < length {
                    continue;
                }
            }
            return Ok(Converted { consumed: length, edit: None, done: None });
        }
        let nothing = Outcome { end: Some(End::Complete), ..Outcome::default() };
        Ok(Converted { consumed: at, edit: None, done: Some(nothing) })
    }

    /// Whether the packet at the front of `rest` may go on its way.
    fn look_ahead(&mut self, rest: &[u8]) -> Ahead {
        if self.packet.continued {
            return Ahead::Go;
        }
        let Some(header) = Header::peek(rest) else { return Ahead::Wait };
        let first = match rest.get(HEADER) {
            Some(&first) => first,
            None if header.length == 0 => return Ahead::Go,
            None => return Ahead::Wait,
        };
        let ends_rows = self.is_end(first, header.length);
        let may_change = match self.due {
            Due::First => first == OkPacket::HEADER,
            Due::Simple => true,
            Due::EofAfterColumns | Due::EofAfterDefinitions { .. } => true,
            Due::Rows | Due::FieldList => ends_rows,
            _ => false,
        };
        if may_change && !header.is_continued() && rest.len() < HEADER + header.length {
            return Ahead::Wait;
        }
        match &mut self.dialect {
            Some(dialect) if self.due == Due::Rows && !ends_rows => {
                dialect.pay_eof(header.sequence).map_or(Ahead::Go, Ahead::Insert)
            }
            _ => Ahead::Go,
        }
    }

    /// Takes the rows that are there as a whole: nothing of them matters but their number.
    fn pass_rows<F: Frames>(&mut self, frames: &mut F, at: &mut usize) {
        let owes = self.dialect.as_ref().is_some_and(Dialect::owes_eof);
        if self.due != Due::Rows || owes || !self.is_between_packets() {
            return;
        }
        let shift = self.dialect.as_ref().map_or(0, Dialect::shift);
        while let Some((header, rest)) = frames.bytes().get(*at..).and_then(<[u8]>::split_first_chunk) {
            let header = Header::parse(header);
            let is_row = rest.first().is_some_and(|&first| first < EofPacket::HEADER);
            if header.length == 0 || header.is_continued() || !is_row || rest.len() < header.length {
                return;
            }
            if shift != 0 {
                frames.renumber(*at + HEADER - 1, shift);
            }
            self.outcome.rows += 1;
            *at += HEADER + header.length;
        }
    }

    /// Takes the packet at `at`, if all of it is there in one frame, as most are.
    fn read_whole<F: Frames>(&mut self, frames: &mut F, at: &mut usize) -> Result<bool, Malformed> {
        let bytes = frames.bytes().get(*at..).filter(|_| self.is_between_packets());
        let Some((raw, rest)) = bytes.and_then(<[u8]>::split_first_chunk) else { return Ok(false) };
        let header = Header::parse(raw);
        if header.is_continued() || rest.len() < header.length {
            return Ok(false);
        }
        self.header = *raw;
        let first_byte = rest.first().copied().filter(|_| header.length > 0);
        self.packet = Packet { length: header.length, first_byte, ..Packet::default() };
        self.packet.captured = first_byte.is_some_and(|first| self.is_wanted(first));
        self.capture.clear();
        if let Some(dialect) = &self.dialect {
            frames.renumber(*at + HEADER - 1, dialect.shift());
        }
        let start = *at + HEADER;
        *at = start + header.length;
        self.end_packet(frames.bytes().get(start..*at).unwrap_or_default())?;
        Ok(true)
    }

    /// Nothing of the next packet has been read.
    fn is_between_packets(&self) -> bool {
        !self.packet.started && !self.packet.continued && self.header_filled == 0
    }

    /// Takes header bytes; true when a frame has begun.
    fn read_header<F: Frames>(&mut self, frames: &mut F, at: &mut usize) -> bool {
        while self.header_filled < HEADER {
            let Some(&byte) = frames.bytes().get(*at) else { return false };
            self.header[self.header_filled] = byte;
            self.header_filled += 1;
            *at += 1;
        }
        if let Some(dialect) = &self.dialect {
            frames.renumber(*at - 1, dialect.shift());
        }
        self.header_filled = 0;
        let header = Header::parse(&self.header);
        let continuation = self.packet.continued;
        if !continuation {
            self.capture.clear();
            self.packet = Packet { length: header.length, ..Packet::default() };
        }
        self.packet.left = header.length;
        self.packet.continued = header.is_continued();
        self.packet.is_continuation = continuation;
        self.packet.started = true;
        true
    }

    /// Takes payload bytes; true when the frame is complete (and, if it was its packet's last, judged).
    fn read_payload(&mut self, bytes: &[u8], at: &mut usize) -> Result<bool, Malformed> {
        let rest = &bytes[*at..];
        let now = &rest[..rest.len().min(self.packet.left)];
        *at += now.len();
        if self.packet.first_byte.is_none()
            && let Some(&byte) = now.first()
        {
            self.packet.first_byte = Some(byte);
            self.packet.captured = self.is_wanted(byte);
        }
        let whole_frame = now.len() == self.packet.left;
        self.packet.left -= now.len();
        let at_end = whole_frame && !self.packet.continued;
        if self.packet.captured && !(at_end && self.capture.is_empty()) {
            let room = CAPTURE.saturating_sub(self.capture.len());
            self.capture.extend(now.iter().take(room));
        }
        if !whole_frame {
            return Ok(false);
        }
        self.packet.started = false;
        if at_end {
            self.end_packet(now)?;
        }
        Ok(true)
    }
}
