//! The events of a binary log that name a transaction.
//!
//! Source: MySQL, "Binlog Event" and, for transactions with a tag (8.3 and later), its serialization library: fields with
//! ids, and integers whose first byte tells by its trailing ones how many bytes follow.

use proxyd_gtid::ParseError;
use proxyd_gtid::mysql::{Gtid, Tag, Uuid};
use proxyd_wire::{ErrPacket, Malformed, Reader};

/// Type of an event without a tag.
const GTID: u8 = 33;
/// Type of an event with one.
const GTID_TAGGED: u8 = 42;

/// What a packet of a dump says, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    /// A transaction begins in the log.
    Gtid(Gtid),
    /// Something else happened, or a heartbeat.
    Other,
    /// The server ends the dump in good order.
    End,
    Refused(ErrPacket),
}

/// Why a packet cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum EventError {
    #[error("malformed event: {0}")]
    Malformed(#[from] Malformed),
    #[error("malformed transaction in an event: {0}")]
    Gtid(#[from] ParseError),
    #[error("unexpected field {0} in a transaction's event")]
    Field(u64),
}

/// Reads the beginning of a packet.
pub(crate) fn parse(head: &[u8]) -> Result<Packet, EventError> {
    let mut reader = Reader::new(head);
    match reader.try_u8()? {
        0 => {}
        ErrPacket::HEADER => return Ok(Packet::Refused(ErrPacket::parse(head)?)),
        0xfe => return Ok(Packet::End),
        other => return Err(Malformed::UnexpectedByte(other).into()),
    }
    let _timestamp = reader.try_u32()?;
    let kind = reader.try_u8()?;
    let _server_id_size_position_flags = reader.try_bytes(14)?;
    match kind {
        GTID => untagged(&mut reader).map(Packet::Gtid),
        GTID_TAGGED => tagged(&mut reader).map(Packet::Gtid),
        _ => Ok(Packet::Other),
    }
}

fn untagged(reader: &mut Reader<'_>) -> Result<Gtid, EventError> {
    let _flags = reader.try_u8()?;
    let source = Uuid::from_bytes(reader.try_array()?);
    Ok(Gtid { source, tag: Tag::default(), number: reader.try_u64()? })
}

/// The fields come in the order of their ids; all that we want are among the first four.
fn tagged(reader: &mut Reader<'_>) -> Result<Gtid, EventError> {
    let _version = number(reader)?;
    let _size = number(reader)?;
    let _last_that_may_not_be_ignored = number(reader)?;
    expect(reader, 0)?;
    let _flags = number(reader)?;
    expect(reader, 1)?;
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        *byte = u8::try_from(number(reader)?).map_err(|_| Malformed::BadLength)?;
    }
    expect(reader, 2)?;
    // A signed number: its lowest bit is the sign.
    let gno = number(reader)? >> 1;
    expect(reader, 3)?;
    let length = usize::try_from(number(reader)?).map_err(|_| Malformed::BadLength)?;
    let text = std::str::from_utf8(reader.try_bytes(length)?).map_err(|_| ParseError::Tag)?;
    let tag = if text.is_empty() { Tag::default() } else { Tag::new(text)? };
    Ok(Gtid { source: Uuid::from_bytes(uuid), tag, number: gno })
}

fn expect(reader: &mut Reader<'_>, id: u64) -> Result<(), EventError> {
    match number(reader)? {
        got if got == id => Ok(()),
        got => Err(EventError::Field(got)),
    }
}

/// An unsigned integer of the serialization library: as many bytes more as the first has trailing ones, little-endian, and
/// the value above those ones and the zero that ends them.
fn number(reader: &mut Reader<'_>) -> Result<u64, Malformed> {
    let first = reader.peek().ok_or(Malformed::Truncated)?;
    let more = first.trailing_ones() as usize;
    if more == 8 {
        reader.try_u8()?;
        return reader.try_u64();
    }
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(reader.try_bytes(more + 1)?) {
        *to = *from;
    }
    Ok(u64::from_le_bytes(bytes) >> (more + 1))
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
