//! Whole text result sets: written for clients of the admin interface, read back from backends by the monitors.

use super::{ColumnDefinition, EofPacket, ErrPacket, OkPacket, parse_text_row, put_text_row};
use crate::capabilities::Capabilities;
use crate::frame;
use crate::lenenc::{Malformed, NULL, Reader};
use crate::status::Status;

/// Writes a text result set as frames, row by row.
#[derive(Debug)]
pub struct ResultSetWriter<'a> {
    out: &'a mut Vec<u8>,
    sequence: &'a mut u8,
    capabilities: Capabilities,
    row: Vec<u8>,
}

impl<'a> ResultSetWriter<'a> {
    /// Appends the column definitions to `out`. `sequence` is the number of the next frame, as in [`frame::write`];
    /// `capabilities` are those agreed with the client. `columns` must not be empty: a statement without columns is
    /// answered with an OK.
    pub fn begin(
        out: &'a mut Vec<u8>,
        sequence: &'a mut u8,
        capabilities: Capabilities,
        columns: &[ColumnDefinition],
    ) -> ResultSetWriter<'a> {
        let mut count = Vec::new();
        crate::lenenc::put_int(&mut count, columns.len() as u64);
        frame::write(out, sequence, &count);
        for column in columns {
            frame::write(out, sequence, &column.encode());
        }
        if !capabilities.contains(Capabilities::DEPRECATE_EOF) {
            frame::write(out, sequence, &EofPacket { warnings: 0, status: Status::AUTOCOMMIT }.encode());
        }
        ResultSetWriter { out, sequence, capabilities, row: Vec::new() }
    }

    /// Appends a row of as many values as there are columns.
    pub fn row(&mut self, values: &[Option<&[u8]>]) {
        self.row.clear();
        put_text_row(&mut self.row, values);
        frame::write(self.out, self.sequence, &self.row);
    }

    pub fn finish(self, status: Status, warnings: u16) {
        let end = match self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            true => OkPacket { status, warnings, ..OkPacket::default() }.encode_end(self.capabilities),
            false => EofPacket { status, warnings }.encode(),
        };
        frame::write(self.out, self.sequence, &end);
    }
}

/// A small text result set as frames from sequence number 1 on: the answer to a COM_QUERY.
pub fn text_resultset(
    columns: &[ColumnDefinition],
    rows: &[Vec<Option<String>>],
    status: Status,
    capabilities: Capabilities,
) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), 1);
    let mut writer = ResultSetWriter::begin(&mut out, &mut sequence, capabilities, columns);
    for row in rows {
        let values: Vec<_> = row.iter().map(|value| value.as_deref().map(str::as_bytes)).collect();
        writer.row(&values);
    }
    writer.finish(status, 0);
    out
}

/// The answer to a COM_QUERY, held whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Ok(OkPacket),
    Err(ErrPacket),
    Rows { columns: Vec<ColumnDefinition>, rows: Vec<Vec<Option<Vec<u8>>>> },
}

/// Collects the answer to a COM_QUERY of one result, payload by payload. For small answers: it holds all of it.
#[derive(Debug)]
pub struct AnswerCollector {
    capabilities: Capabilities,
    /// Bytes that may still come.
    room: usize,
    columns_left: Option<u64>,
    eof_due: bool,
    columns: Vec<ColumnDefinition>,
    rows: Vec<Vec<Option<Vec<u8>>>>,
}

impl AnswerCollector {
    /// `limit` bounds the payloads' sum, in bytes.
    pub fn new(capabilities: Capabilities, limit: usize) -> AnswerCollector {
        AnswerCollector {
            capabilities,
            room: limit,
            columns_left: None,
            eof_due: !capabilities.contains(Capabilities::DEPRECATE_EOF),
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Takes the next payload; gives the answer at its end.
    ///
    /// # Errors
    /// What came is no answer, asks for a file, or is longer than the limit. The connection is of no more use.
    pub fn on(&mut self, payload: &[u8]) -> Result<Option<Answer>, Malformed> {
        self.room = self.room.checked_sub(payload.len()).ok_or(Malformed::TooMany)?;
        let first = *payload.first().ok_or(Malformed::Truncated)?;
        if first == ErrPacket::HEADER {
            return Ok(Some(Answer::Err(ErrPacket::parse(payload)?)));
        }
        match self.columns_left {
            None => self.on_first(first, payload),
            Some(0) if self.eof_due => {
                EofPacket::parse(payload)?;
                self.eof_due = false;
                Ok(None)
            }
            Some(0) => self.on_row(first, payload),
            Some(left) => {
                self.columns.push(ColumnDefinition::parse(payload)?);
                self.columns_left = Some(left - 1);
                Ok(None)
            }
        }
    }

    fn on_first(&mut self, first: u8, payload: &[u8]) -> Result<Option<Answer>, Malformed> {
        match first {
            OkPacket::HEADER => Ok(Some(Answer::Ok(OkPacket::parse(payload, self.capabilities)?))),
            NULL => Err(Malformed::UnexpectedByte(NULL)),
            _ => {
                self.columns_left = Some(Reader::new(payload).try_lenenc_int()?);
                Ok(None)
            }
        }
    }

    fn on_row(&mut self, first: u8, payload: &[u8]) -> Result<Option<Answer>, Malformed> {
        let limit = match self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            true => frame::MAX_PAYLOAD,
            false => EofPacket::MAX_LENGTH,
        };
        if first == EofPacket::HEADER && payload.len() < limit {
            let columns = std::mem::take(&mut self.columns);
            return Ok(Some(Answer::Rows { columns, rows: std::mem::take(&mut self.rows) }));
        }
        let row = parse_text_row(payload, self.columns.len())?;
        self.rows.push(row.into_iter().map(|value| value.map(<[u8]>::to_vec)).collect());
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::{Expect, ResponseTracker};

    fn columns() -> [ColumnDefinition; 2] {
        [ColumnDefinition::text("name"), ColumnDefinition::integer("n")]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let rows = vec![vec![Some("a".to_owned()), None], vec![Some(String::new()), Some("7".to_owned())]];
        for capabilities in [Capabilities::empty(), Capabilities::DEPRECATE_EOF | Capabilities::SESSION_TRACK]
        {
            let bytes = text_resultset(&columns(), &rows, Status::AUTOCOMMIT, capabilities);
            let scan = ResponseTracker::new(Expect::Results, capabilities).scan(&bytes).unwrap();
            assert_eq!((scan.consumed, scan.done.map(|done| done.rows)), (bytes.len(), Some(2)));

            let mut collector = AnswerCollector::new(capabilities, 1024);
            let (mut rest, mut answer) = (&bytes[..], None);
            while let Ok(frame::Located::Complete { framed, .. }) = frame::locate(rest, 1024) {
                answer = collector.on(&frame::payload(&rest[..framed])).unwrap();
                rest = &rest[framed..];
            }
            let expected: Vec<Vec<_>> = rows
                .iter()
                .map(|row| row.iter().map(|v| v.clone().map(String::into_bytes)).collect())
                .collect();
            assert_eq!(answer, Some(Answer::Rows { columns: columns().to_vec(), rows: expected }));
        }
    }

    #[test]
    fn an_answer_over_the_limit_or_without_sense_is_refused() {
        let none = Capabilities::empty();
        assert_eq!(AnswerCollector::new(none, 3).on(&[1, 2, 3, 4]), Err(Malformed::TooMany));
        assert_eq!(AnswerCollector::new(none, 9).on(&[]), Err(Malformed::Truncated));
        assert_eq!(AnswerCollector::new(none, 9).on(b"\xfbfile"), Err(Malformed::UnexpectedByte(0xfb)));
        let error = ErrPacket::new(1045, b"28000", "no");
        assert_eq!(AnswerCollector::new(none, 99).on(&error.encode()), Ok(Some(Answer::Err(error))));
    }
}
