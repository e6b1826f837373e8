//! The command line: `standfast-vrrpd --config FILE [--host NAME] [--check | --cleanup]`.

use std::ffi::OsString;
use std::path::PathBuf;

use configs::Appliance;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Run,
    Cleanup,
    /// Only say whether the configuration is accepted.
    Check,
    /// Internal: what `--cleanup` leaves behind.
    Guard,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) config: PathBuf,
    pub(crate) host: Option<String>,
    pub(crate) mode: Mode,
}

pub(crate) const USAGE: &str = "usage: standfast-vrrpd [--config FILE] [--host NAME] [--check | --cleanup]";
const CONFIG: &str = "/etc/standfast/standfast.toml";

impl Arguments {
    /// `None`: help or the version was asked for, and printed.
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Option<Arguments>, String> {
        let mut arguments = Arguments { config: PathBuf::from(CONFIG), host: None, mode: Mode::Run };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{} needs a value", word.display()));
            match word.to_str() {
                Some("--config") => arguments.config = PathBuf::from(value()?),
                Some("--host") => {
                    let name = value()?.into_string().map_err(|_| "a host's name is UTF-8".to_owned())?;
                    arguments.host = Some(name);
                }
                Some("--cleanup") => arguments.mode = Mode::Cleanup,
                Some("--check") => arguments.mode = Mode::Check,
                Some("--guard") => arguments.mode = Mode::Guard,
                Some("--help" | "-h") => {
                    println!("{USAGE}");
                    return Ok(None);
                }
                Some("--version" | "-V") => {
                    println!("standfast-vrrpd {}", env!("CARGO_PKG_VERSION"));
                    return Ok(None);
                }
                _ => return Err(format!("unknown argument {}", word.display())),
            }
        }
        Ok(Some(arguments))
    }

    /// The same arguments for another process, in another mode.
    pub(crate) fn again(&self, mode: &str) -> Vec<OsString> {
        std::iter::once(OsString::from(mode)).chain(self.words()).collect()
    }

    /// The configuration as this host sees it, or everything that is wrong with it.
    pub(crate) fn load(&self) -> Result<Appliance, String> {
        configs::load(&self.config, self.host.as_deref()).map_err(|problems| problems.to_string())
    }

    /// The same arguments for the same mode as usual.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = vec!["--config".into(), self.config.clone().into()];
        if let Some(host) = &self.host {
            words.extend(["--host".into(), OsString::from(host)]);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Option<Arguments>, String> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn arguments_and_mistakes() {
        let all = parse(&["--config", "/a", "--host", "test1", "--cleanup"]).unwrap().unwrap();
        assert_eq!((all.host.as_deref(), all.mode), (Some("test1"), Mode::Cleanup));
        let guard = Arguments::parse(all.again("--guard")).unwrap().unwrap();
        assert_eq!(guard, Arguments { mode: Mode::Guard, ..all });
        assert_eq!(parse(&[]).unwrap().unwrap().config, PathBuf::from(CONFIG));
        assert_eq!(parse(&["-h"]), Ok(None));
        assert_eq!(parse(&["--check", "--version"]), Ok(None));
        assert!(parse(&["--config"]).is_err());
        assert!(parse(&["--hots", "x"]).is_err());
    }
}
