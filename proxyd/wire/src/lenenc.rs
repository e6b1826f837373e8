//! Length-encoded integers and strings, and a reader that cannot run past its bytes.
//!
//! Every parser of this crate reads through [`Reader`]: nothing indexes into what a peer sent.
//! Source: MySQL, "Protocol::LengthEncodedInteger" and "Protocol::LengthEncodedString".

/// Why bytes are not the packet they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the packet ends too early")]
    Truncated,
    #[error("a string in the packet has no end")]
    Unterminated,
    #[error("a length in the packet is not a length")]
    BadLength,
    #[error("the packet has more of something than is allowed")]
    TooMany,
    #[error("the packet has bytes after its end")]
    TrailingBytes,
    #[error("the packet starts with the unexpected byte {0:#04x}")]
    UnexpectedByte(u8),
}

/// A cursor over the payload of one packet.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, left in place.
    pub fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub fn try_bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn try_array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub fn try_u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.try_array()?))
    }

    pub fn try_u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.try_array()?))
    }

    pub fn try_u24(&mut self) -> Result<u32, Malformed> {
        let [a, b, c] = self.try_array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    pub fn try_u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.try_array()?))
    }

    pub fn try_u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.try_array()?))
    }

    /// A length-encoded integer; 0xFB (NULL) and 0xFF (ERR) are no integers.
    pub fn try_lenenc_int(&mut self) -> Result<u64, Malformed> {
        match self.try_u8()? {
            small @ 0..=0xfa => Ok(small.into()),
            0xfc => Ok(self.try_u16()?.into()),
            0xfd => Ok(self.try_u24()?.into()),
            0xfe => self.try_u64(),
            0xfb | 0xff => Err(Malformed::BadLength),
        }
    }

    pub fn try_lenenc_bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.try_lenenc_int()?).map_err(|_| Malformed::BadLength)?;
        self.try_bytes(length)
    }

    /// A value of a text row: a length-encoded string, or NULL.
    pub fn try_nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        if self.peek() == Some(NULL) {
            self.try_u8()?;
            return Ok(None);
        }
        self.try_lenenc_bytes().map(Some)
    }

    /// Bytes up to a NUL, which is consumed and not returned.
    pub fn try_null_terminated(&mut self) -> Result<&'a [u8], Malformed> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or(Malformed::Unterminated)?;
        let text = self.try_bytes(end)?;
        self.try_u8()?;
        Ok(text)
    }

    /// Bytes up to a NUL or to the end: some clients leave the last NUL of a packet out.
    pub fn null_terminated_or_rest(&mut self) -> &'a [u8] {
        self.try_null_terminated().unwrap_or_else(|_| self.take_rest())
    }

    pub fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// The first byte of a NULL in a text row.
pub const NULL: u8 = 0xfb;

pub fn put_int(out: &mut Vec<u8>, value: u64) {
    let bytes = value.to_le_bytes();
    match value {
        0..=0xfa => out.push(bytes[0]),
        0xfb..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&bytes[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend_from_slice(&bytes[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&bytes);
        }
    }
}

pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_int(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends bytes and a NUL. A NUL inside would end the string early for its reader, so the text stops before it.
pub fn put_null_terminated(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(text.iter().take_while(|&&byte| byte != 0));
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_have_the_documented_widths() {
        let table: [(u64, &[u8]); 8] = [
            (0, &[0]),
            (250, &[0xfa]),
            (251, &[0xfc, 0xfb, 0x00]),
            (65_535, &[0xfc, 0xff, 0xff]),
            (65_536, &[0xfd, 0x00, 0x00, 0x01]),
            (16_777_215, &[0xfd, 0xff, 0xff, 0xff]),
            (16_777_216, &[0xfe, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ];
        for (value, bytes) in table {
            let mut out = Vec::new();
            put_int(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(bytes).try_lenenc_int(), Ok(value));
        }
    }

    #[test]
    fn a_length_beyond_the_packet_is_refused() {
        assert_eq!(Reader::new(&[5, b'a']).try_lenenc_bytes(), Err(Malformed::Truncated));
        assert_eq!(Reader::new(&[0xfe, 1, 2]).try_lenenc_int(), Err(Malformed::Truncated));
        assert_eq!(Reader::new(&[0xff]).try_lenenc_int(), Err(Malformed::BadLength));
        let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Reader::new(&huge).try_lenenc_bytes(), Err(Malformed::Truncated));
    }

    #[test]
    fn strings_end_where_they_say() {
        let mut reader = Reader::new(b"ab\0cd");
        assert_eq!(reader.try_null_terminated(), Ok(&b"ab"[..]));
        assert_eq!(reader.clone().try_null_terminated(), Err(Malformed::Unterminated));
        assert_eq!(reader.null_terminated_or_rest(), b"cd");
        assert_eq!(Reader::new(&[0xfb]).try_nullable_bytes(), Ok(None));
    }
}
