//! Netlink's framing, for the few requests that no library of ours makes. Pure.

/// `struct nlmsghdr`.
pub const HEADER: usize = 16;
/// `struct nlattr`.
const ATTRIBUTE: usize = 4;
pub(crate) const NESTED: u16 = 0x8000;
/// `NLA_TYPE_MASK`: without the two bits that tell what sort of value it is.
const KIND: u16 = 0x3fff;
const NLMSG_ERROR: u16 = 2;

/// One message: the header (the kernel fills in the port), and what it carries.
#[must_use]
pub fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// An attribute: length, kind and value, padded to four bytes.
pub fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE + value.len()).unwrap_or(u16::MAX);
    to.extend_from_slice(&length.to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

/// A message from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    pub kind: u16,
    pub sequence: u32,
    pub payload: &'a [u8],
}

impl Message<'_> {
    /// What an acknowledgement says: 0, or the number of an error. `None` if it is none.
    #[must_use]
    pub fn error(&self) -> Option<i32> {
        let code = i32::from_ne_bytes(*self.payload.first_chunk::<4>()?);
        if self.kind == NLMSG_ERROR { code.checked_neg() } else { None }
    }
}

/// A datagram's messages, up to the first that is none.
pub fn messages(datagram: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let [l0, l1, l2, l3, k0, k1, _, _, s0, s1, s2, s3, ..] = *rest.first_chunk::<HEADER>()?;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).ok()?;
        let payload = rest.get(HEADER..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        let (kind, sequence) = (u16::from_ne_bytes([k0, k1]), u32::from_ne_bytes([s0, s1, s2, s3]));
        Some(Message { kind, sequence, payload })
    })
}

/// The attributes in `bytes`, each by its kind, up to the first that is none.
pub fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let [l0, l1, k0, k1] = *rest.first_chunk::<ATTRIBUTE>()?;
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(ATTRIBUTE..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((u16::from_ne_bytes([k0, k1]) & KIND, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_is_not() {
        let two =
            [message(7, 1, 3, &[1, 2, 3, 4]), message(NLMSG_ERROR, 0, 4, &(-17_i32).to_ne_bytes())].concat();
        let read: Vec<_> = messages(&two).map(|it| (it.kind, it.sequence, it.error())).collect();
        assert_eq!(read, [(7, 3, None), (NLMSG_ERROR, 4, Some(17))]);
        for end in 0..two.len() {
            assert!(messages(&two[..end]).count() < 2);
        }
        assert_eq!(messages(&[0; 40]).count(), 0, "a length of nothing is no message");
        let mut bytes = Vec::new();
        attribute(&mut bytes, 5, b"abc");
        assert_eq!(bytes, [7_u16.to_ne_bytes(), 5_u16.to_ne_bytes(), *b"ab", *b"c\0"].concat());
        attribute(&mut bytes, 6 | NESTED, b"");
        assert_eq!(attributes(&bytes).collect::<Vec<_>>(), [(5, b"abc".as_slice()), (6, b"")]);
        for end in 0..bytes.len() {
            assert!(attributes(&bytes[..end]).count() < 2);
        }
        assert_eq!(attributes(&[0; 40]).count(), 0, "a length of nothing is no attribute");
    }
}
