//! Files of an import: what kind a source is, results made beside their places, and the one moment when they get there.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

/// More than any configuration text needs.
const LARGEST_TEXT: u64 = 64 << 20;
/// What every SQLite database begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// A source, by its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Keepalived(String),
    Proxysql,
}

/// Looks into a source.
pub(super) fn look(path: &Path) -> Result<Kind, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    (&mut file).take(SQLITE.len() as u64).read_to_end(&mut bytes).map_err(failed)?;
    if bytes == SQLITE {
        return Ok(Kind::Proxysql);
    }
    file.take(LARGEST_TEXT).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{}: is neither text nor a database", path.display()))?;
    let begins = |word: &str| text.lines().any(|line| line.trim_start().starts_with(word));
    if begins("vrrp_instance") {
        Ok(Kind::Keepalived(text))
    } else if ["datadir", "admin_variables", "mysql_"].iter().any(|word| begins(word)) {
        Ok(Kind::Proxysql)
    } else {
        Err(format!("{}: is no proxysql.cnf, proxysql.db or keepalived.conf", path.display()))
    }
}

/// A directory for results; it goes with everything in it.
#[derive(Debug)]
pub(super) struct Staging(PathBuf);

impl Staging {
    /// In the directory where the results go (a move is then one step), or for a rehearsal anywhere.
    pub(super) fn new(directory: Option<&Path>) -> Result<Staging, String> {
        let parent = directory.filter(|it| it.is_dir()).map_or_else(std::env::temp_dir, Path::to_owned);
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        let path = parent.join(format!("standfast-import-{}-{nanos}", process::id()));
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Staging(path)),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What is left in it is of no use, and there may be passwords in it.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A result, and where it goes.
#[derive(Debug)]
pub(super) struct Placed {
    pub made: PathBuf,
    pub place: PathBuf,
    /// Only its owner may read it (the database); else its group as well (the configuration).
    pub private: bool,
}

/// Writes a text beside its place (or into a rehearsal's directory).
pub(super) fn beside(place: &Path, text: &str, rehearsal: Option<&Staging>) -> Result<PathBuf, String> {
    let made = match rehearsal {
        Some(staging) => staging.path("standfast.toml"),
        None => with_suffix(place, &format!(".import-{}", process::id())),
    };
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(&made)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map(|()| made.clone()).map_err(|error| {
        // Half a file is of no use.
        let _ = fs::remove_file(&made);
        format!("{}: {error}", made.display())
    })
}

/// Removes what was made.
pub(super) fn discard(placed: &[Placed]) {
    for file in placed {
        // Its directory goes as well.
        let _ = fs::remove_file(&file.made);
    }
}

/// Moves all results to their places, or none of them. Gives the names under which older files were kept.
pub(super) fn put_in_place(placed: &[Placed]) -> Result<Vec<PathBuf>, String> {
    let mut done: Vec<(PathBuf, PathBuf)> = Vec::new();
    let mut kept = Vec::new();
    let stamp = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    for file in placed {
        let moved = own(file).and_then(|()| {
            // A journal that a crash left belongs to the database that it is named after.
            for suffix in ["", "-journal", "-wal", "-shm"] {
                let there = with_suffix(&file.place, suffix);
                if there.exists() {
                    let away = with_suffix(&file.place, &format!(".before-import-{stamp}{suffix}"));
                    step(&there, &away, &mut done)?;
                    if suffix.is_empty() {
                        kept.push(away);
                    }
                }
            }
            step(&file.made, &file.place, &mut done)
        });
        if let Err(error) = moved {
            for (from, to) in done.iter().rev() {
                // Back as it was; what cannot be moved back is where the message says.
                let _ = fs::rename(to, from);
            }
            discard(placed);
            return Err(format!("{}: {error}", file.place.display()));
        }
    }
    Ok(kept)
}

fn step(from: &Path, to: &Path, done: &mut Vec<(PathBuf, PathBuf)>) -> io::Result<()> {
    fs::rename(from, to)?;
    done.push((from.to_owned(), to.to_owned()));
    Ok(())
}

/// The daemons read them: a result belongs to whom its directory belongs, or at least to its group.
fn own(file: &Placed) -> io::Result<()> {
    let Some(directory) = file.place.parent().filter(|it| !it.as_os_str().is_empty()) else { return Ok(()) };
    let (own, its) = (fs::metadata(&file.made)?, fs::metadata(directory)?);
    if (own.uid(), own.gid()) == (its.uid(), its.gid()) {
        return Ok(());
    }
    let owner = if file.private { Some(its.uid()) } else { None };
    match chown(&file.made, owner, Some(its.gid())) {
        // Without the right to give it away the operator keeps it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
