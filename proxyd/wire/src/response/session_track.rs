//! Session state changes: what an OK says was changed by the command before it.
//!
//! Source: MySQL, "OK_Packet", "Session State Information".

use crate::lenenc::{self, Malformed, Reader};

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    SystemVariable {
        name: &'a [u8],
        value: &'a [u8],
    },
    /// The default schema; MySQL 9 sends an empty name for calls of sys functions, which changes nothing.
    Schema(&'a [u8]),
    /// Something was changed that has no tracker of its own.
    StateChange(bool),
    /// GTIDs as text.
    Gtids(&'a [u8]),
    /// The statements that would start a transaction like the current one.
    TransactionCharacteristics(&'a [u8]),
    /// Eight characters; `_` where nothing is: transaction type, reads, writes, and so on.
    TransactionState(&'a [u8]),
    /// A tracker of a newer server.
    Other {
        kind: u8,
        data: &'a [u8],
    },
}

/// Goes over the changes in [`super::OkPacket::session_track`] or [`super::Outcome::session_track`]; ends after the first
/// error.
pub fn changes(block: &[u8]) -> impl Iterator<Item = Result<Change<'_>, Malformed>> {
    let mut reader = Reader::new(block);
    std::iter::from_fn(move || {
        if reader.is_empty() {
            return None;
        }
        let change = parse(&mut reader);
        if change.is_err() {
            reader.take_rest();
        }
        Some(change)
    })
}

fn parse<'a>(reader: &mut Reader<'a>) -> Result<Change<'a>, Malformed> {
    let kind = reader.try_u8()?;
    let data = reader.try_lenenc_bytes()?;
    let mut inner = Reader::new(data);
    Ok(match kind {
        0 => Change::SystemVariable { name: inner.try_lenenc_bytes()?, value: inner.try_lenenc_bytes()? },
        1 => Change::Schema(inner.try_lenenc_bytes()?),
        2 => Change::StateChange(data == b"1"), // the one kind without a length inside
        3 => {
            inner.try_u8()?; // the encoding: always text
            Change::Gtids(inner.try_lenenc_bytes()?)
        }
        4 => Change::TransactionCharacteristics(inner.try_lenenc_bytes()?),
        5 => Change::TransactionState(inner.try_lenenc_bytes()?),
        _ => Change::Other { kind, data },
    })
}

impl Change<'_> {
    /// Appends the change as it stands in a block.
    pub fn put(&self, block: &mut Vec<u8>) {
        let mut data = Vec::new();
        let kind = match *self {
            Change::SystemVariable { name, value } => {
                lenenc::put_bytes(&mut data, name);
                lenenc::put_bytes(&mut data, value);
                0
            }
            Change::Schema(name) => {
                lenenc::put_bytes(&mut data, name);
                1
            }
            Change::StateChange(changed) => {
                data.push(if changed { b'1' } else { b'0' });
                2
            }
            Change::Gtids(text) => {
                data.push(0);
                lenenc::put_bytes(&mut data, text);
                3
            }
            Change::TransactionCharacteristics(text) => {
                lenenc::put_bytes(&mut data, text);
                4
            }
            Change::TransactionState(text) => {
                lenenc::put_bytes(&mut data, text);
                5
            }
            Change::Other { kind, data: theirs } => {
                data.extend_from_slice(theirs);
                kind
            }
        };
        block.push(kind);
        lenenc::put_bytes(block, &data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_golden_in_both_directions() {
        let table: [(Change<'_>, &[u8]); 7] = [
            (Change::SystemVariable { name: b"autocommit", value: b"OFF" }, b"\x00\x0f\x0aautocommit\x03OFF"),
            (Change::Schema(b"shop"), b"\x01\x05\x04shop"),
            (Change::StateChange(true), b"\x02\x011"),
            (Change::Gtids(b"u:3"), b"\x03\x05\x00\x03u:3"),
            (Change::TransactionCharacteristics(b""), b"\x04\x01\x00"),
            (Change::TransactionState(b"T_______"), b"\x05\x09\x08T_______"),
            (Change::Other { kind: 9, data: b"x" }, b"\x09\x01x"),
        ];
        let mut whole = Vec::new();
        for (change, bytes) in table {
            let mut block = Vec::new();
            change.put(&mut block);
            assert_eq!(block, bytes);
            whole.extend_from_slice(bytes);
        }
        let parsed: Vec<_> = changes(&whole).collect();
        assert_eq!(parsed, table.map(|(change, _)| Ok(change)));
    }

    #[test]
    fn a_broken_block_is_an_error_once() {
        let all: Vec<_> = changes(b"\x01\x05\x04shop\x01\x05\x09sh").collect();
        assert_eq!(all, [Ok(Change::Schema(b"shop")), Err(Malformed::Truncated)]);
    }
}
