//! The arithmetic of the password plugins: who the client is, without the password crossing the wire.

pub mod ed25519;
pub mod native;
pub mod sha2;
mod sha256_crypt;

/// A plugin that both roles of this crate know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plugin {
    NativePassword,
    CachingSha2,
}

impl Plugin {
    pub fn name(self) -> &'static str {
        match self {
            Plugin::NativePassword => "mysql_native_password",
            Plugin::CachingSha2 => "caching_sha2_password",
        }
    }

    pub fn from_name(name: &str) -> Option<Plugin> {
        [Plugin::NativePassword, Plugin::CachingSha2].into_iter().find(|plugin| plugin.name() == name)
    }
}

/// With what one can log in at a backend.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Password(String),
    /// SHA1(password), as a client's token gives it away to a server with `*HEX`; good for mysql_native_password only.
    NativeStage1(native::Stage1),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Compares without telling by its time where the first difference is.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (x, y)| differences | (x ^ y)) == 0
}

/// `a` XOR `b`, byte by byte.
fn xor<const N: usize>(a: [u8; N], b: [u8; N]) -> [u8; N] {
    let mut out = a;
    out.iter_mut().zip(b).for_each(|(x, y)| *x ^= y);
    out
}
