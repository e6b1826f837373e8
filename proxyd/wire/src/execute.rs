//! COM_STMT_EXECUTE: where the parameter types stand, and how to add those that a client did not repeat.
//!
//! A client sends the types of its parameters with the first execution and may leave them out later: the server
//! remembers them with the statement. Behind a proxy the next execution may reach another connection, or a statement
//! that somebody else executed meanwhile, so the types have to travel again.
//! Source: MySQL, "COM_STMT_EXECUTE".

use crate::command::Command;
use crate::lenenc::{Malformed, Reader};

/// The command, the statement's id, the flags and the iteration count.
const FIXED: usize = 1 + 4 + 1 + 4;
/// Where the id is in the payload.
pub const STATEMENT_AT: usize = 1;

/// What an execution says of its parameters' types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Types<'a> {
    /// The statement has no parameters.
    None,
    /// Two bytes for each parameter.
    Sent(&'a [u8]),
    /// Those of an earlier execution; the flag that says so is at this place of the payload.
    Relied { flag_at: usize },
}

/// Looks for the types in the payload of a COM_STMT_EXECUTE (its first frame is enough) of a statement with so many
/// parameters, from a client without QUERY_ATTRIBUTES.
///
/// # Errors
/// A payload that ends before its types do.
pub fn types(payload: &[u8], parameters: u16) -> Result<Types<'_>, Malformed> {
    let mut reader = Reader::new(payload);
    match reader.try_u8()? {
        byte if byte == Command::StmtExecute as u8 => {}
        other => return Err(Malformed::UnexpectedByte(other)),
    }
    reader.try_bytes(FIXED - 1)?;
    if parameters == 0 {
        return Ok(Types::None);
    }
    let nulls = usize::from(parameters).div_ceil(8);
    reader.try_bytes(nulls)?;
    match reader.try_u8()? {
        0 => Ok(Types::Relied { flag_at: FIXED + nulls }),
        1 => Ok(Types::Sent(reader.try_bytes(2 * usize::from(parameters))?)),
        _ => Err(Malformed::BadLength),
    }
}

/// Where the types stand that [`types`] has found.
pub fn types_at(parameters: u16) -> std::ops::Range<usize> {
    let from = FIXED + usize::from(parameters).div_ceil(8) + 1;
    from..from + 2 * usize::from(parameters)
}

/// The same execution with the types in it. `flag_at` is what [`types`] said, for this payload.
pub fn with_types(payload: &[u8], flag_at: usize, types: &[u8]) -> Vec<u8> {
    let (before, rest) = payload.split_at(flag_at.min(payload.len()));
    let values = rest.get(1..).unwrap_or_default();
    [before, &[1], types, values].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two parameters, the second one NULL.
    const WITH: [u8; 24] =
        [0x17, 9, 0, 0, 0, 0, 1, 0, 0, 0, 0b10, 1, 0x08, 0x00, 0x06, 0x00, 7, 0, 0, 0, 0, 0, 0, 0];

    #[test]
    fn types_are_found_where_they_are() {
        assert_eq!(types(&WITH, 2), Ok(Types::Sent(&[8, 0, 6, 0])));
        assert_eq!(WITH[types_at(2)], [8, 0, 6, 0]);
        let without = [&WITH[..11], &[0], &WITH[16..]].concat();
        assert_eq!(types(&without, 2), Ok(Types::Relied { flag_at: 11 }));
        assert_eq!(types(&WITH[..10], 0), Ok(Types::None));
        assert_eq!(types(&WITH[..14], 2), Err(Malformed::Truncated));
        assert_eq!(types(&WITH, 9), Err(Malformed::BadLength));
        assert_eq!(types(&[0x03], 0), Err(Malformed::UnexpectedByte(3)));
    }

    #[test]
    fn types_are_added_before_the_values() {
        let without = [&WITH[..11], &[0], &WITH[16..]].concat();
        assert_eq!(with_types(&without, 11, &[8, 0, 6, 0]), WITH);
        assert_eq!(with_types(&[1, 2], 11, &[3, 4]), [1, 2, 1, 3, 4]);
    }
}
