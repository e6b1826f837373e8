//! COM_STMT_EXECUTE of a client with QUERY_ATTRIBUTES: it counts what it sends, names each value, and may send more
//! values than the statement has parameters. Where its parts stand, and how to say the same without attributes.
//!
//! Source: MySQL, "COM_STMT_EXECUTE" and `PARAMETER_COUNT_AVAILABLE`.

use crate::command::{Command, skip_value};
use crate::lenenc::{Malformed, Reader};

/// The command and the statement's id: the flags follow.
const FLAGS_AT: usize = 1 + 4;
/// The command, the statement's id, the flags and the iteration count.
const FIXED: usize = FLAGS_AT + 1 + 4;
/// A count follows, whether the statement has parameters or not.
const PARAMETER_COUNT_AVAILABLE: u8 = 0x08;

/// Where the parts of an execution are in its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attributed {
    /// How many of the values are the statement's; the others are attributes.
    parameters: usize,
    nulls_at: usize,
    flag_at: usize,
    values_at: usize,
    /// Two bytes for each of the statement's parameters, if the client sent types.
    types: Option<Vec<u8>>,
    /// Without parameters and attributes nothing follows the count.
    is_empty: bool,
}

impl Attributed {
    /// Looks through the payload (its first frame is enough) up to the values. `None`: it has no count, and no parameters.
    ///
    /// # Errors
    /// A payload that ends before its values, or has fewer than the statement needs, or attributes without types.
    pub fn parse(payload: &[u8], parameters: u16) -> Result<Option<Attributed>, Malformed> {
        let mut reader = Reader::new(payload);
        match reader.try_u8()? {
            byte if byte == Command::StmtExecute as u8 => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        let fixed = reader.try_bytes(FIXED - 1)?;
        let counted = fixed.get(FLAGS_AT - 1).is_some_and(|flags| flags & PARAMETER_COUNT_AVAILABLE != 0);
        if parameters == 0 && !counted {
            return Ok(None);
        }
        let parameters = usize::from(parameters);
        let count = usize::try_from(reader.try_lenenc_int()?).map_err(|_| Malformed::TooMany)?;
        if count < parameters {
            return Err(Malformed::BadLength);
        }
        let at = |reader: &Reader<'_>| payload.len() - reader.rest().len();
        let nulls_at = at(&reader);
        if count == 0 {
            let (flag_at, values_at) = (nulls_at, nulls_at);
            return Ok(Some(Attributed {
                parameters,
                nulls_at,
                flag_at,
                values_at,
                types: None,
                is_empty: true,
            }));
        }
        reader.try_bytes(count.div_ceil(8))?;
        let flag_at = at(&reader);
        let types = match reader.try_u8()? {
            0 if count == parameters => None,
            1 => Some(own_types(&mut reader, count, parameters)?),
            _ => return Err(Malformed::BadLength),
        };
        let values_at = at(&reader);
        Ok(Some(Attributed { parameters, nulls_at, flag_at, values_at, types, is_empty: false }))
    }

    /// The types of the statement's own parameters, two bytes each, if they were sent.
    pub fn types(&self) -> Option<&[u8]> {
        self.types.as_deref().filter(|types| !types.is_empty())
    }

    /// Whether the types are those of an earlier execution.
    pub fn relies(&self) -> bool {
        self.types.is_none() && !self.is_empty
    }

    /// The same execution with the types, of parameters without names, where it relied on earlier ones.
    pub fn with_types(&self, payload: &[u8], types: &[u8]) -> Vec<u8> {
        let before = payload.get(..self.flag_at).unwrap_or_default();
        let values = payload.get(self.values_at..).unwrap_or_default();
        let named: Vec<u8> = types.chunks(2).flat_map(|kind| [kind, &[0]].concat()).collect();
        [before, &[1], &named, values].concat()
    }

    /// The same execution for a server that knows no attributes, which are dropped. `types` are those of the parameters,
    /// `is_long` says which of them were sent ahead.
    pub fn plain(&self, payload: &[u8], types: &[u8], is_long: impl Fn(usize) -> bool) -> Vec<u8> {
        let mut out = payload.get(..FIXED).unwrap_or_default().to_vec();
        if let Some(flags) = out.get_mut(FLAGS_AT) {
            *flags &= !PARAMETER_COUNT_AVAILABLE;
        }
        if self.parameters == 0 {
            return out;
        }
        let nulls = payload.get(self.nulls_at..self.flag_at).unwrap_or_default();
        out.extend_from_slice(nulls.get(..self.parameters.div_ceil(8)).unwrap_or_default());
        out.push(1);
        out.extend_from_slice(types);
        let mut reader = Reader::new(payload.get(self.values_at..).unwrap_or_default());
        let values = reader.rest();
        for (index, kind) in types.chunks(2).enumerate().take(self.parameters) {
            let null = nulls.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
            let kind = kind.first().copied().unwrap_or_default();
            // A value that is not whole is the server's to refuse.
            if !null && !is_long(index) && skip_value(&mut reader, kind).is_err() {
                break;
            }
        }
        out.extend_from_slice(&values[..values.len() - reader.rest().len()]);
        out
    }
}

/// Steps over all types and names; those of the statement's own parameters.
fn own_types(reader: &mut Reader<'_>, count: usize, parameters: usize) -> Result<Vec<u8>, Malformed> {
    // Each takes at least a type and a name's length.
    if count > reader.rest().len() / 3 {
        return Err(Malformed::TooMany);
    }
    let mut own = Vec::with_capacity(2 * parameters);
    for index in 0..count {
        let kind = reader.try_bytes(2)?;
        if index < parameters {
            own.extend_from_slice(kind);
        }
        reader.try_lenenc_bytes()?;
    }
    Ok(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A parameter (TINY 5) and an attribute k (string "v").
    const BOTH: &[u8] = b"\x17\x09\0\0\0\x08\x01\0\0\0\x02\0\x01\x01\0\0\xfe\0\x01k\x05\x01v";
    const PLAIN: &[u8] = b"\x17\x09\0\0\0\0\x01\0\0\0\0\x01\x01\0\x05";

    fn parse(payload: &[u8], parameters: u16) -> Attributed {
        Attributed::parse(payload, parameters).unwrap().unwrap()
    }

    #[test]
    fn attributes_are_dropped() {
        let both = parse(BOTH, 1);
        assert_eq!((both.types(), both.relies()), (Some(&[1, 0][..]), false));
        assert_eq!(both.plain(BOTH, &[1, 0], |_| false), PLAIN);
        assert_eq!(both.plain(BOTH, &[1, 0], |index| index == 0), PLAIN[..PLAIN.len() - 1]);
        let only = parse(BOTH, 0);
        assert_eq!((only.types(), only.relies()), (None, false));
        assert_eq!(only.plain(BOTH, &[], |_| false), PLAIN[..FIXED]);
    }

    #[test]
    fn types_are_added() {
        let relies = b"\x17\x09\0\0\0\x08\x01\0\0\0\x01\0\0\x05";
        let parsed = parse(relies, 1);
        assert!(parsed.relies() && parsed.types().is_none());
        assert_eq!(parsed.with_types(relies, &[1, 0]), b"\x17\x09\0\0\0\x08\x01\0\0\0\x01\0\x01\x01\0\0\x05");
        assert_eq!(parsed.plain(relies, &[1, 0], |_| false), PLAIN);
    }

    #[test]
    fn without_a_count_nothing_is_counted() {
        assert_eq!(Attributed::parse(b"\x17\x09\0\0\0\0\x01\0\0\0", 0), Ok(None));
        let none = b"\x17\x09\0\0\0\x08\x01\0\0\0\0";
        assert!(!parse(none, 0).relies());
        assert_eq!(parse(none, 0).plain(none, &[], |_| false), PLAIN[..FIXED]);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        assert_eq!(Attributed::parse(BOTH, 3), Err(Malformed::BadLength));
        for length in 0..20 {
            assert!(Attributed::parse(&BOTH[..length], 1).is_err(), "{length} bytes");
        }
        let many = b"\x17\x09\0\0\0\x08\x01\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff\xff";
        assert!(Attributed::parse(many, 1).is_err());
        assert_eq!(Attributed::parse(&[3], 0), Err(Malformed::UnexpectedByte(3)));
    }
}
