//! `/etc/standfast/binlog-reader.toml`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proxyd_gtid::reader::Style;
use proxyd_wire::auth::Secret;
use serde::Deserialize;

pub(crate) const DEFAULT_PATH: &str = "/etc/standfast/binlog-reader.toml";
/// Has the password where no file is wanted.
const PASSWORD_VARIABLE: &str = "STANDFAST_BINLOG_READER_PASSWORD";

/// The file as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// `host:port`, or the path of a Unix socket.
    server: String,
    user: String,
    password_file: Option<PathBuf>,
    listen: Vec<String>,
    server_id: Option<u32>,
    #[serde(default = "a_second")]
    heartbeat_ms: u64,
    #[serde(default = "many")]
    max_clients: usize,
    #[serde(default)]
    ranges: bool,
    #[serde(default)]
    tags: bool,
}

fn a_second() -> u64 {
    1000
}

fn many() -> usize {
    1000
}

/// Where the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp(String),
    Unix(PathBuf),
}

#[derive(Debug)]
pub(crate) struct Config {
    pub server: Place,
    pub user: String,
    pub password: Secret,
    pub listen: Vec<String>,
    /// `None`: drawn by lot.
    pub server_id: Option<u32>,
    /// How often the server shows that it is alive while it has nothing to tell.
    pub heartbeat: Duration,
    pub max_clients: usize,
    ranges: bool,
    tags: bool,
}

impl Config {
    /// Reads the file, and the password from where it says.
    ///
    /// # Errors
    /// What is wrong, with the file's name, for a person.
    pub(crate) fn load(path: &Path) -> Result<Config, String> {
        let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let text = fs::read_to_string(path).map_err(|error| problem(&error))?;
        let file: File = toml::from_str(&text).map_err(|error| problem(&error))?;
        let password = match &file.password_file {
            Some(file) => read_password(file)?,
            None => std::env::var(PASSWORD_VARIABLE)
                .map_err(|_| problem(&format!("neither password_file nor {PASSWORD_VARIABLE} is set")))?,
        };
        Config::of(file, password).map_err(|error| problem(&error))
    }

    fn of(file: File, password: String) -> Result<Config, String> {
        if file.listen.is_empty() {
            return Err("listen: no address".into());
        }
        if !(100..=60_000).contains(&file.heartbeat_ms) {
            return Err("heartbeat_ms: 100 to 60000".into());
        }
        let server = match file.server.starts_with('/') {
            true => Place::Unix(file.server.into()),
            false if file.server.contains(':') => Place::Tcp(file.server),
            false => return Err("server: host:port, or the path of a Unix socket".into()),
        };
        Ok(Config {
            server,
            user: file.user,
            password: Secret::Password(password),
            listen: file.listen,
            server_id: file.server_id,
            heartbeat: Duration::from_millis(file.heartbeat_ms),
            max_clients: file.max_clients,
            ranges: file.ranges,
            tags: file.tags,
        })
    }

    pub(crate) fn style(&self) -> Style {
        Style { ranges: self.ranges, tags: self.tags }
    }
}

/// The first line of a file that only its owner and group may read.
fn read_password(path: &Path) -> Result<String, String> {
    let problem = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mode = fs::metadata(path).map_err(|error| problem(&error))?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(problem(&"everybody may read it: chmod o= it"));
    }
    let text = fs::read_to_string(path).map_err(|error| problem(&error))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        Config::of(toml::from_str(text).map_err(|error| error.to_string())?, "secret".into())
    }

    #[test]
    fn the_least_there_must_be() {
        let config =
            load("server = '/run/mysqld/mysqld.sock'\nuser = 'r'\nlisten = ['0.0.0.0:6020']").unwrap();
        assert_eq!(config.server, Place::Unix("/run/mysqld/mysqld.sock".into()));
        assert_eq!((config.heartbeat, config.style()), (Duration::from_secs(1), Style::default()));
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn the_shipped_example_is_one() {
        load(include_str!("../../packaging/binlog-reader.toml")).unwrap();
    }

    #[test]
    fn refusals() {
        for text in [
            "user = 'r'\nlisten = ['a:1']",
            "server = 'db1'\nuser = 'r'\nlisten = ['a:1']",
            "server = 'db1:3306'\nuser = 'r'\nlisten = []",
            "server = 'db1:3306'\nuser = 'r'\nlisten = ['a:1']\nheartbeat_ms = 0",
            "server = 'db1:3306'\nuser = 'r'\nlisten = ['a:1']\npassword = 'in the file'",
        ] {
            assert!(load(text).is_err(), "{text}");
        }
    }
}
