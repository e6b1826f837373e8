//! Text rows: each value a length-encoded string, or NULL.

use crate::lenenc::{self, Malformed, NULL, Reader};

/// Appends the payload of a row.
pub fn put_text_row(out: &mut Vec<u8>, values: &[Option<&[u8]>]) {
    for value in values {
        match value {
            None => out.push(NULL),
            Some(bytes) => lenenc::put_bytes(out, bytes),
        }
    }
}

/// The values of a row that has exactly `columns` of them.
pub fn parse_text_row(payload: &[u8], columns: usize) -> Result<Vec<Option<&[u8]>>, Malformed> {
    // Each value takes a byte at least.
    if columns > payload.len() {
        return Err(Malformed::Truncated);
    }
    let mut reader = Reader::new(payload);
    let values = (0..columns).map(|_| reader.try_nullable_bytes()).collect::<Result<_, _>>()?;
    if reader.is_empty() { Ok(values) } else { Err(Malformed::TrailingBytes) }
}
