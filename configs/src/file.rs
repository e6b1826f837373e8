//! One `standfast.toml`: read, checked in itself, not yet resolved for a host.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use crate::appliance::Paths;
use crate::problem::{Problem, Problems};
use crate::reader::{Section, Source};
use crate::sections::Settings;

/// A file that is right in itself.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub(crate) name: String,
    pub(crate) settings: Settings,
}

/// More than any appliance needs, and little enough to read whatever is at the path.
const LARGEST_FILE: u64 = 4 << 20;

impl File {
    /// Reads and parses the file at `path`, at most 4 MiB.
    pub fn load(path: impl AsRef<Path>) -> Result<File, Problems> {
        let path = path.as_ref();
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => File::parse(&name, &text),
            Err(error) => Err(Problems::one(Problem {
                file: name,
                line: None,
                key: String::new(),
                text: format!("cannot read the file: {error}"),
            })),
        }
    }

    /// Parses `text`; `name` is what problems call the file.
    pub fn parse(name: &str, text: &str) -> Result<File, Problems> {
        let source = Source::new(name, text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map(|span| source.line(span.start));
            source.problem(line, "", format!("TOML: {}", error.message().replace('\n', ", ")));
        }
        // What recovery makes of a broken file is not judged: it would be reported as faults that are none.
        let settings = errors.is_empty().then(|| Settings::read(Section::root(&source, document.get_ref())));
        Problems::none_of(source.into_problems())?;
        Ok(File { name: name.into(), settings: settings.unwrap_or_default() })
    }

    /// The name under which problems know this file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hosts' names, in the order of the file.
    pub fn hosts(&self) -> impl Iterator<Item = &str> {
        self.settings.hosts.iter().map(|host| host.name.value.as_str())
    }

    /// Where the daemons' sockets and data are: the same for every host.
    pub fn paths(&self) -> &Paths {
        &self.settings.paths
    }

    /// For how long work in flight may hold up a stop, a drain or a move.
    pub fn drain(&self) -> Duration {
        self.settings.angel.drain
    }

    /// Whose file this is, if it says so.
    pub fn host(&self) -> Option<&str> {
        self.settings.host.as_ref().map(|host| host.value.as_str())
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(std::io::Error::other("it is larger than 4 MiB"));
    }
    Ok(text)
}
