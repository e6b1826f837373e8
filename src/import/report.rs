//! What an import took, what it changed, and what it could not take, each with its place in the source.
//!
//! It names columns and keys, never a password.

use std::fmt;

use serde_json::Value;

use crate::status::screen::clean;

/// What became of something in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Taken,
    /// Taken, but not literally.
    Changed,
    /// Not taken, and why.
    Left,
}

/// One thing of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    fate: Fate,
    /// `keepalived.conf:12`, `proxysql.db: mysql_users: app`
    place: String,
    text: String,
}

/// In the order of the source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    lines: Vec<Line>,
}

impl Report {
    pub(super) fn add(&mut self, fate: Fate, place: impl Into<String>, text: impl Into<String>) {
        self.lines.push(Line { fate, place: place.into(), text: text.into() });
    }

    pub(super) fn append(&mut self, mut other: Report) {
        self.lines.append(&mut other.lines);
    }

    /// Takes in what `standfast-proxyd --import` says: a list of `{"fate", "place", "text"}`.
    pub(super) fn add_json(&mut self, file: &str, entries: &[Value]) {
        for entry in entries {
            let text = |key| entry.get(key).and_then(Value::as_str).map(clean).unwrap_or_default();
            let fate = match text("fate").as_str() {
                "taken" => Fate::Taken,
                "changed" => Fate::Changed,
                _ => Fate::Left,
            };
            let place = match text("place") {
                line if line.parse::<usize>().is_ok() => format!("{file}:{line}"),
                place if place.is_empty() => file.to_owned(),
                place => format!("{file}: {place}"),
            };
            self.add(fate, place, text("text"));
        }
    }

    pub(super) fn count(&self, fate: Fate) -> usize {
        self.lines.iter().filter(|line| line.fate == fate).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups =
            [(Fate::Taken, "Taken"), (Fate::Changed, "Taken, but changed"), (Fate::Left, "Not taken")];
        for (fate, title) in groups {
            if self.count(fate) == 0 {
                continue;
            }
            writeln!(f, "{title}:")?;
            for line in self.lines.iter().filter(|line| line.fate == fate) {
                writeln!(f, "  {}: {}", line.place, line.text)?;
            }
        }
        Ok(())
    }
}
