//! Who may log in to the admin interface: `admin-admin_credentials`, `admin-stats_credentials`, and the first password.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

use super::store::Rights;
use crate::runtime::Settings;

/// Letters and digits that nobody mistakes for another.
const ALPHABET: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz23456789A";
const LENGTH: usize = 24;

/// A login of the admin interface.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub password: String,
    pub rights: Rights,
}

/// The login of this name; `admin_credentials` wins over `stats_credentials`. An entry without a password is no login.
pub fn find_login(settings: &Settings, user: &str) -> Option<Login> {
    let read_only = settings.flag("admin-read_only");
    let stored = |variable| password_of(settings.text(variable), user);
    if let Some(password) = stored("admin-admin_credentials") {
        return Some(Login { password, rights: Rights { stats_only: false, read_only } });
    }
    let password = stored("admin-stats_credentials")?;
    Some(Login { password, rights: Rights { stats_only: true, read_only: true } })
}

/// `user:password;user:password`.
pub fn password_of(credentials: &str, user: &str) -> Option<String> {
    let entries = credentials.split(';').filter_map(|entry| entry.trim().split_once(':'));
    entries.filter(|(name, password)| *name == user && !password.is_empty()).map(|(_, p)| p.to_owned()).next()
}

/// The generated password: read from `file`, or made and written there, readable by its owner only.
pub fn generated_password(file: &Path) -> io::Result<String> {
    match fs::read_to_string(file) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => fs::remove_file(file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let password = random_password()?;
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    writeln!(out, "{password}")?;
    Ok(password)
}

fn random_password() -> io::Result<String> {
    let mut bytes = [0; LENGTH];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness"))?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}
