//! Packets as bytes: what a client writes, what a server writes, and a reader that never runs over the end.

pub(crate) const CONNECT_WITH_DB: u32 = 0x0000_0008;
pub(crate) const PROTOCOL_41: u32 = 0x0000_0200;
pub(crate) const SSL: u32 = 0x0000_0800;
pub(crate) const TRANSACTIONS: u32 = 0x0000_2000;
pub(crate) const SECURE_CONNECTION: u32 = 0x0000_8000;
pub(crate) const MULTI_RESULTS: u32 = 0x0002_0000;
pub(crate) const PLUGIN_AUTH: u32 = 0x0008_0000;
pub(crate) const LONG_PASSWORD: u32 = 0x0000_0001;

/// First byte of an ERR packet.
pub(crate) const ERR: u8 = 0xff;

pub(crate) const IN_TRANSACTION: u16 = 0x0001;
pub(crate) const AUTOCOMMIT: u16 = 0x0002;

/// The largest payload the lab reads; the protocol's own limit for one packet.
pub(crate) const MAX_PAYLOAD: usize = 0x00ff_ffff;

/// A cursor over bytes from the other side. Every read says `None` at the end instead of panicking.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.bytes(1).map(|b| b[0])
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.bytes(2).map(|b| u16::from_le_bytes([b[0], b[1]]))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.bytes(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Up to and without the next zero byte.
    pub(crate) fn zero_terminated(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|b| *b == 0)?;
        let text = self.bytes(end)?;
        self.u8()?;
        Some(text)
    }

    pub(crate) fn lenenc_int(&mut self) -> Option<u64> {
        let count = match self.u8()? {
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xff | 0xfb => return None,
            small => return Some(u64::from(small)),
        };
        let mut wide = [0; 8];
        wide[..count].copy_from_slice(self.bytes(count)?);
        Some(u64::from_le_bytes(wide))
    }

    pub(crate) fn lenenc_bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::try_from(self.lenenc_int()?).ok()?;
        self.bytes(count)
    }

    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }
}

/// What a server says first (protocol::HandshakeV10).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Greeting {
    pub version: String,
    pub capabilities: u32,
    pub nonce: Vec<u8>,
    pub plugin: String,
}

impl Greeting {
    /// Of a server that knows one way to log in: by the native password.
    pub(crate) fn native(version: &str, nonce: &[u8; 20]) -> Self {
        Self {
            version: version.into(),
            capabilities: LONG_PASSWORD
                | CONNECT_WITH_DB
                | PROTOCOL_41
                | TRANSACTIONS
                | SECURE_CONNECTION
                | MULTI_RESULTS
                | PLUGIN_AUTH,
            nonce: nonce.to_vec(),
            plugin: super::auth::NATIVE.into(),
        }
    }

    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let mut r = Reader::new(payload);
        if r.u8()? != 10 {
            return None;
        }
        let version = text(r.zero_terminated()?);
        r.u32()?;
        let mut nonce = r.bytes(8)?.to_vec();
        r.u8()?;
        let low = r.u16()?;
        r.bytes(3)?;
        let capabilities = u32::from(low) | u32::from(r.u16()?) << 16;
        let nonce_len = usize::from(r.u8()?).clamp(21, 64);
        r.bytes(10)?;
        let tail = r.bytes(nonce_len - 8)?;
        nonce.extend_from_slice(tail.strip_suffix(&[0]).unwrap_or(tail));
        let plugin = r.zero_terminated().map_or_else(|| super::auth::NATIVE.into(), text);
        Some(Self { version, capabilities, nonce, plugin })
    }

    pub(crate) fn encode(&self, connection_id: u32) -> Vec<u8> {
        let mut out = vec![10];
        out.extend_from_slice(self.version.as_bytes());
        out.push(0);
        out.extend_from_slice(&connection_id.to_le_bytes());
        out.extend_from_slice(&self.nonce[..8]);
        out.push(0);
        out.extend_from_slice(&self.capabilities.to_le_bytes()[..2]);
        out.push(45);
        out.extend_from_slice(&AUTOCOMMIT.to_le_bytes());
        out.extend_from_slice(&self.capabilities.to_le_bytes()[2..]);
        out.push(21);
        out.extend_from_slice(&[0; 10]);
        out.extend_from_slice(&self.nonce[8..]);
        out.push(0);
        out.extend_from_slice(self.plugin.as_bytes());
        out.push(0);
        out
    }
}

/// What a client answers (protocol::HandshakeResponse41).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Login {
    pub capabilities: u32,
    pub user: String,
    pub answer: Vec<u8>,
    pub database: Option<String>,
    pub plugin: String,
}

impl Login {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let mut r = Reader::new(payload);
        let capabilities = r.u32()?;
        r.bytes(4 + 1 + 23)?;
        let user = text(r.zero_terminated()?);
        let answer = r.lenenc_bytes()?.to_vec();
        let database = match capabilities & CONNECT_WITH_DB {
            0 => None,
            _ => r.zero_terminated().map(text).filter(|name| !name.is_empty()),
        };
        let plugin = match capabilities & PLUGIN_AUTH {
            0 => super::auth::NATIVE.into(),
            _ => r.zero_terminated().map(text).unwrap_or_default(),
        };
        Some(Self { capabilities, user, answer, database, plugin })
    }

    /// What a client says before TLS (protocol::SSLRequest): the head of its login.
    pub(crate) fn ssl_request(&self) -> Vec<u8> {
        let mut out = self.encode();
        out.truncate(32);
        out
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.capabilities.to_le_bytes().to_vec();
        out.extend_from_slice(&(1u32 << 24).to_le_bytes());
        out.push(45);
        out.extend_from_slice(&[0; 23]);
        out.extend_from_slice(self.user.as_bytes());
        out.push(0);
        put_lenenc_bytes(&mut out, &self.answer);
        if let Some(database) = &self.database {
            out.extend_from_slice(database.as_bytes());
            out.push(0);
        }
        out.extend_from_slice(self.plugin.as_bytes());
        out.push(0);
        out
    }
}

pub(crate) fn ok(affected: u64, insert_id: u64, status: u16) -> Vec<u8> {
    let mut out = vec![0];
    put_lenenc_int(&mut out, affected);
    put_lenenc_int(&mut out, insert_id);
    out.extend_from_slice(&status.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

pub(crate) fn eof(status: u16) -> Vec<u8> {
    let mut out = vec![0xfe, 0, 0];
    out.extend_from_slice(&status.to_le_bytes());
    out
}

pub(crate) fn err(code: u16, state: &str, message: &str) -> Vec<u8> {
    let mut out = vec![0xff];
    out.extend_from_slice(&code.to_le_bytes());
    out.push(b'#');
    out.extend_from_slice(state.as_bytes());
    out.extend_from_slice(message.as_bytes());
    out
}

/// A column definition of a text result; `kind` is a protocol type such as 0xfd (VAR_STRING) or 0x08 (LONGLONG).
pub(crate) fn column(name: &str, kind: u8) -> Vec<u8> {
    let mut out = Vec::new();
    for part in ["def", "", "", "", name, name] {
        put_lenenc_bytes(&mut out, part.as_bytes());
    }
    out.push(0x0c);
    let (charset, width): (u16, u32) = if kind == 0xfd { (45, 1024) } else { (63, 20) };
    out.extend_from_slice(&charset.to_le_bytes());
    out.extend_from_slice(&width.to_le_bytes());
    out.extend_from_slice(&[kind, 0, 0, 0, 0, 0]);
    out
}

pub(crate) fn row(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        match value {
            Some(bytes) => put_lenenc_bytes(&mut out, bytes),
            None => out.push(0xfb),
        }
    }
    out
}

/// The cells of one row of a text result.
pub(crate) fn parse_row(payload: &[u8]) -> Option<Vec<Option<String>>> {
    let mut r = Reader::new(payload);
    let mut cells = Vec::new();
    while !r.is_empty() {
        if r.peek() == Some(0xfb) {
            r.u8()?;
            cells.push(None);
        } else {
            cells.push(Some(text(r.lenenc_bytes()?)));
        }
    }
    Some(cells)
}

/// Code and message of an ERR packet.
pub(crate) fn parse_err(payload: &[u8]) -> (u16, String) {
    let mut r = Reader::new(payload.get(1..).unwrap_or_default());
    let code = r.u16().unwrap_or_default();
    let rest = r.rest();
    let message = if rest.first() == Some(&b'#') { rest.get(6..).unwrap_or_default() } else { rest };
    (code, text(message))
}

pub(crate) fn put_lenenc_int(out: &mut Vec<u8>, value: u64) {
    let wide = value.to_le_bytes();
    match value {
        0..=250 => out.push(wide[0]),
        251..=0xffff => {
            out.push(0xfc);
            out.extend_from_slice(&wide[..2]);
        }
        0x1_0000..=0xff_ffff => {
            out.push(0xfd);
            out.extend_from_slice(&wide[..3]);
        }
        _ => {
            out.push(0xfe);
            out.extend_from_slice(&wide);
        }
    }
}

pub(crate) fn put_lenenc_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_lenenc_int(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The four bytes before a payload.
pub(crate) fn header(len: usize, sequence: u8) -> [u8; 4] {
    let wide = (len as u32).to_le_bytes();
    [wide[0], wide[1], wide[2], sequence]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_and_login_survive_a_round_trip() {
        let greeting = Greeting {
            version: "8.0.0-lab".into(),
            capabilities: 0x000a_a208,
            nonce: (1..=20).collect(),
            plugin: "mysql_native_password".into(),
        };
        assert_eq!(Greeting::parse(&greeting.encode(9)), Some(greeting));
        let login = Login {
            capabilities: PROTOCOL_41 | PLUGIN_AUTH | SECURE_CONNECTION | CONNECT_WITH_DB,
            user: "load_RW".into(),
            answer: vec![5; 20],
            database: Some("test".into()),
            plugin: "mysql_native_password".into(),
        };
        assert_eq!(Login::parse(&login.encode()), Some(login));
    }

    #[test]
    fn a_cut_greeting_is_refused() {
        let greeting =
            Greeting { version: "x".into(), capabilities: 0, nonce: vec![1; 20], plugin: "p".into() }
                .encode(1);
        for cut in 0..30 {
            assert_eq!(Greeting::parse(&greeting[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn rows_keep_null_apart_from_empty() {
        let bytes = row(&[None, Some(Vec::new()), Some(b"a".to_vec())]);
        assert_eq!(bytes, [0xfb, 0, 1, b'a']);
        assert_eq!(parse_row(&bytes), Some(vec![None, Some(String::new()), Some("a".into())]));
    }

    #[test]
    fn lengths_use_the_shortest_form() {
        for (value, bytes) in [(250u64, 1), (251, 3), (65_536, 4), (16_777_216, 9)] {
            let mut out = Vec::new();
            put_lenenc_int(&mut out, value);
            assert_eq!(out.len(), bytes);
            assert_eq!(Reader::new(&out).lenenc_int(), Some(value));
        }
    }
}
