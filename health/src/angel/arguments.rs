//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

pub(crate) const USAGE: &str = "standfast-angel --config FILE [--host NAME]";

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) config: PathBuf,
    pub(crate) host: Option<String>,
}

/// `None`: help or the version was asked for, and printed.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Option<Arguments>, String> {
    let mut arguments = arguments.into_iter();
    let (mut config, mut host) = (None, None);
    while let Some(argument) = arguments.next() {
        let name = argument.to_string_lossy().into_owned();
        let mut value = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        match name.as_str() {
            "--config" => config = Some(PathBuf::from(value()?)),
            "--host" => {
                host = Some(value()?.into_string().map_err(|_| "the host's name is not UTF-8".to_owned())?)
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(None);
            }
            "--version" | "-V" => {
                println!("standfast-angel {}", env!("CARGO_PKG_VERSION"));
                return Ok(None);
            }
            _ => return Err(format!("unknown argument {name}")),
        }
    }
    let config = config.ok_or("--config is missing")?;
    Ok(Some(Arguments { config, host }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Option<Arguments>, String> {
        parse(words.iter().map(OsString::from))
    }

    #[test]
    fn the_command_line() {
        let expected = Arguments { config: "f.toml".into(), host: Some("test1".to_owned()) };
        assert_eq!(parse_words(&["--config", "f.toml", "--host", "test1"]), Ok(Some(expected)));
        assert_eq!(parse_words(&["--host", "test1"]), Err("--config is missing".to_owned()));
        assert_eq!(parse_words(&["--config"]), Err("--config needs a value".to_owned()));
        assert_eq!(parse_words(&["--colour"]), Err("unknown argument --colour".to_owned()));
    }
}
