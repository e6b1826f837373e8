//! What a proxy remembers over a restart that no configuration says: who writes where there is to be a single writer, and for whom
//! it had connections. A small file in the data directory; one that is missing or damaged is no memory, and no failure.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::{Value, json};

use crate::backend::Traits;
use crate::runtime::Address;
use crate::snapshot::HostgroupId;
use crate::warmth::Profile;

const FILE: &str = "remembered.json";
/// A longer file is not ours.
const LONGEST: u64 = 1 << 20;
/// The profiles with the most connections are enough.
const PROFILES: usize = 64;

/// The content of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub single_writers: Vec<(HostgroupId, Address)>,
    /// With the connections that there were; the most first.
    pub profiles: Vec<(Profile, u32)>,
}

impl Memory {
    /// What the proxy before this one left.
    pub fn read(data_dir: &Path) -> Memory {
        let path = data_dir.join(FILE);
        let text = match std::fs::metadata(&path) {
            Ok(file) if file.len() <= LONGEST => std::fs::read_to_string(&path).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Memory::default(),
            _ => None,
        };
        text.and_then(|text| Memory::parse(&text)).unwrap_or_else(|| {
            tracing::warn!(file = %path.display(), "not readable: the proxy starts without a memory");
            Memory::default()
        })
    }

    fn parse(text: &str) -> Option<Memory> {
        let file: Value = serde_json::from_str(text).ok()?;
        let list = |key: &str| file.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Some(Memory {
            single_writers: list("single_writers").iter().filter_map(writer).collect(),
            profiles: list("connections").iter().take(PROFILES).filter_map(profile).collect(),
        })
    }

    fn text(&self) -> String {
        let writers = self.single_writers.iter().map(|(hostgroup, address)| {
            json!({ "hostgroup": hostgroup, "hostname": address.hostname, "port": address.port })
        });
        let connections = self.profiles.iter().map(|(profile, count)| {
            let Profile { hostgroup, user, schema, traits, collation } = profile;
            json!({
                "hostgroup": hostgroup, "user": user, "schema": schema, "collation": collation,
                "traits": words(traits), "count": count,
            })
        });
        let (writers, connections): (Vec<_>, Vec<_>) = (writers.collect(), connections.collect());
        format!("{:#}\n", json!({ "single_writers": writers, "connections": connections }))
    }

    /// Takes in for whom there are connections now. Of a hostgroup with none there is nothing to learn: it is at rest, and what it
    /// once had is the best guess for the next time.
    pub fn learn(&mut self, mut profiles: Vec<(Profile, u32)>) {
        let busy: BTreeSet<HostgroupId> = profiles.iter().map(|(profile, _)| profile.hostgroup).collect();
        profiles.extend(self.profiles.drain(..).filter(|(profile, _)| !busy.contains(&profile.hostgroup)));
        profiles.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
        profiles.truncate(PROFILES);
        self.profiles = profiles;
    }
}

fn writer(row: &Value) -> Option<(HostgroupId, Address)> {
    let address = Address {
        hostname: row.get("hostname")?.as_str()?.into(),
        port: u16::try_from(row.get("port")?.as_u64()?).ok()?,
    };
    Some((small(row, "hostgroup")?, address))
}

fn profile(row: &Value) -> Option<(Profile, u32)> {
    let text = |key| row.get(key).and_then(Value::as_str);
    let words: Vec<&str> = row.get("traits")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let has = |word| words.contains(&word);
    let profile = Profile {
        hostgroup: small(row, "hostgroup")?,
        user: text("user")?.into(),
        schema: text("schema")?.into(),
        traits: Traits {
            found_rows: has("found_rows"),
            ignore_space: has("ignore_space"),
            multi_statements: has("multi_statements"),
            local_files: has("local_files"),
            attributes: has("attributes"),
            origin: None,
        },
        collation: u16::try_from(small(row, "collation")?).ok()?,
    };
    Some((profile, small(row, "count")?))
}

fn words(traits: &Traits) -> Vec<&'static str> {
    let Traits { found_rows, ignore_space, multi_statements, local_files, attributes, origin: _ } = *traits;
    let words = [
        (found_rows, "found_rows"),
        (ignore_space, "ignore_space"),
        (multi_statements, "multi_statements"),
        (local_files, "local_files"),
        (attributes, "attributes"),
    ];
    words.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect()
}

fn small(row: &Value, key: &str) -> Option<u32> {
    u32::try_from(row.get(key)?.as_u64()?).ok()
}

/// Where the memory is kept. Writes happen beside the control thread, one at a time.
#[derive(Debug)]
pub struct Notebook {
    path: PathBuf,
    written: Memory,
    busy: Rc<Cell<bool>>,
}

impl Notebook {
    /// `read`: what is in the file.
    pub fn new(data_dir: &Path, read: Memory) -> Notebook {
        Notebook { path: data_dir.join(FILE), written: read, busy: Rc::default() }
    }

    /// Writes it unless that is what is there, or a write is under way: call it again soon. Must run on a `LocalSet`.
    pub fn keep(&mut self, memory: &Memory) {
        if self.written == *memory || self.busy.replace(true) {
            return;
        }
        self.written.clone_from(memory);
        let (path, text, busy) = (self.path.clone(), memory.text(), self.busy.clone());
        tokio::task::spawn_local(async move {
            let outcome = tokio::task::spawn_blocking(move || replace(&path, &text)).await;
            if let Ok(Err(error)) = outcome {
                tracing::warn!(%error, "what a restart should remember could not be written");
            }
            busy.set(false);
        });
    }
}

/// The whole file or the old one, whenever the process dies.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_damage_is_no_memory() {
        let traits = Traits { found_rows: true, attributes: true, ..Traits::default() };
        let profile = |user: &str| Profile {
            hostgroup: 10,
            user: user.into(),
            schema: "shop".into(),
            traits,
            collation: 255,
        };
        let writer = Address { hostname: "/run/db.sock".into(), port: 0 };
        let mut memory = Memory { single_writers: vec![(10, writer)], profiles: Vec::new() };
        memory.learn(vec![(profile("b\"'"), 1), (profile("a"), 7)]);
        assert_eq!(memory.profiles[0].1, 7);
        let before = memory.clone();
        memory.learn(Vec::new());
        assert_eq!(memory, before);
        assert_eq!(Memory::parse(&memory.text()), Some(memory));
        assert_eq!(
            Memory::parse("{\"single_writers\": [{\"hostgroup\": -1}], \"connections\": 7}"),
            Some(Memory::default())
        );
        assert_eq!(Memory::parse("{"), None);
    }
}
