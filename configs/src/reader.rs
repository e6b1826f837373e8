//! Walks a TOML document key by key, keeping lines, and collects every problem instead of stopping at the first.
//!
//! A [`Section`] learns which keys are possible from the questions it is asked; what nobody asked for is an unknown
//! key. So each key is named once, where it is read.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::problem::{Problem, suggestion};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub value: T,
    pub line: usize,
}

/// The longest name or value that is compared with the names that are possible.
const LONGEST_NAME: usize = 64;

/// A file's name and lines, and what was found wrong so far.
pub(crate) struct Source<'a> {
    name: &'a str,
    /// Offset of every newline.
    newlines: Vec<usize>,
    problems: RefCell<Vec<Problem>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(name: &'a str, text: &str) -> Source<'a> {
        let newlines = text.match_indices('\n').map(|(offset, _)| offset).collect();
        Source { name, newlines, problems: RefCell::default() }
    }

    pub(crate) fn line(&self, offset: usize) -> usize {
        1 + self.newlines.partition_point(|newline| *newline < offset)
    }

    pub(crate) fn problem(&self, line: Option<usize>, key: impl Into<String>, text: impl Into<String>) {
        let problem = Problem { file: self.name.into(), line, key: key.into(), text: text.into() };
        self.problems.borrow_mut().push(problem);
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// One table of the document, or an absent one (every key then has its default).
pub(crate) struct Section<'a> {
    source: &'a Source<'a>,
    path: String,
    /// Where the table begins.
    pub line: Option<usize>,
    table: Option<&'a DeTable<'a>>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub(crate) fn root(source: &'a Source<'a>, table: &'a DeTable<'a>) -> Section<'a> {
        Section { source, path: String::new(), line: None, table: Some(table), asked: RefCell::default() }
    }

    /// The dotted path of a key of this section.
    pub(crate) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    pub(crate) fn problem(&self, line: Option<usize>, key: &str, text: impl Into<String>) {
        self.source.problem(line.or(self.line), self.key(&printable(key)), text);
    }

    fn ask(&self, key: &'static str) -> Option<(&'a DeValue<'a>, usize)> {
        self.asked.borrow_mut().push(key);
        let value = self.table?.get(key)?;
        Some((value.get_ref(), self.source.line(value.span().start)))
    }

    /// Says what was expected and what is there; the value itself may be a secret.
    fn wrong_type(&self, key: &str, line: usize, expected: &str, found: &DeValue<'_>) {
        self.problem(Some(line), key, format!("expected {expected}, found {}", found.type_str()));
    }

    pub(crate) fn integer(
        &self,
        key: &'static str,
        range: RangeInclusive<i64>,
        unit: &str,
    ) -> Option<Located<i64>> {
        let (value, line) = self.ask(key)?;
        let expected =
            || format!("a whole number from {} to {}{}{unit}", range.start(), range.end(), gap(unit));
        let DeValue::Integer(written) = value else {
            self.wrong_type(key, line, &expected(), value);
            return None;
        };
        match whole(written) {
            Some(value) if range.contains(&value) => Some(Located { value, line }),
            _ => {
                self.problem(Some(line), key, format!("{written} is out of range; expected {}", expected()));
                None
            }
        }
    }

    pub(crate) fn text(&self, key: &'static str) -> Option<Located<&'a str>> {
        let (value, line) = self.ask(key)?;
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(key, line, "a string", value);
        }
        Some(Located { value: text?, line })
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &'static str) -> Option<Located<bool>> {
        let (value, line) = self.ask(key)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.wrong_type(key, line, "true or false", value);
        }
        Some(Located { value: flag?, line })
    }

    /// Text of a form of its own; `expected` describes that form.
    pub(crate) fn parsed<T: FromStr>(&self, key: &'static str, expected: &str) -> Option<Located<T>> {
        let text = self.text(key)?;
        self.convert(key, &text, expected)
    }

    pub(crate) fn convert<T: FromStr>(
        &self,
        key: &str,
        text: &Located<&str>,
        expected: &str,
    ) -> Option<Located<T>> {
        match text.value.parse() {
            Ok(value) => Some(Located { value, line: text.line }),
            Err(_) => {
                self.problem(Some(text.line), key, format!("{:?} is not {expected}", text.value));
                None
            }
        }
    }

    /// One of these words.
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<Located<T>> {
        let text = self.text(key)?;
        match words.iter().find(|(word, _)| *word == text.value) {
            Some((_, value)) => Some(Located { value: *value, line: text.line }),
            None => {
                let list: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                let text_is = format!("{:?} is none of {}", text.value, list.join(", "));
                self.problem(Some(text.line), key, text_is);
                None
            }
        }
    }

    /// A list of strings; one string stands for a list of one.
    pub(crate) fn texts(&self, key: &'static str) -> Option<Vec<Located<&'a str>>> {
        let (value, line) = self.ask(key)?;
        if let Some(text) = value.as_str() {
            return Some(vec![Located { value: text, line }]);
        }
        let Some(elements) = value.as_array() else {
            self.wrong_type(key, line, "a list of strings", value);
            return None;
        };
        let mut texts = Vec::new();
        for element in elements {
            let line = self.source.line(element.span().start);
            match element.get_ref().as_str() {
                Some(text) => texts.push(Located { value: text, line }),
                None => self.wrong_type(key, line, "a string", element.get_ref()),
            }
        }
        Some(texts)
    }

    /// The table below this key, or an empty one.
    pub(crate) fn section(&self, key: &'static str) -> Section<'a> {
        let found = self.ask(key);
        let table = found.and_then(|(value, line)| {
            let table = value.as_table();
            if table.is_none() {
                self.wrong_type(key, line, "a table", value);
            }
            Some((table?, line))
        });
        self.below(self.key(key), table)
    }

    /// The array of tables below this key; their paths count from 1.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Section<'a>> {
        let Some((value, line)) = self.ask(key) else {
            return Vec::new();
        };
        let Some(elements) = value.as_array() else {
            self.problem(Some(line), key, format!("expected a list of tables, each written as [[{key}]]"));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            let line = self.source.line(element.span().start);
            match element.get_ref().as_table() {
                Some(table) => {
                    let path = format!("{}[{}]", self.key(key), index + 1);
                    sections.push(self.below(path, Some((table, line))));
                }
                None => self.wrong_type(key, line, "a table", element.get_ref()),
            }
        }
        sections
    }

    fn below(&self, path: String, table: Option<(&'a DeTable<'a>, usize)>) -> Section<'a> {
        Section {
            source: self.source,
            path,
            line: table.map(|(_, line)| line),
            table: table.map(|(table, _)| table),
            asked: RefCell::default(),
        }
    }

    /// Every key and value, for tables whose keys are data (host names, variables, columns).
    pub(crate) fn entries(&self) -> Vec<(&'a str, Located<&'a DeValue<'a>>)> {
        let all = self.table.into_iter().flatten();
        all.map(|(key, value)| (key.get_ref().as_ref(), self.locate(key, value))).collect()
    }

    fn locate<K>(&self, key: &Spanned<K>, value: &'a Spanned<DeValue<'a>>) -> Located<&'a DeValue<'a>> {
        Located { value: value.get_ref(), line: self.source.line(key.span().start) }
    }

    pub(crate) fn is_absent(&self) -> bool {
        self.table.is_none()
    }

    /// Names the keys that nobody asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, value) in self.entries() {
            if !asked.contains(&key) {
                self.unknown(key, value.line, "key", asked.iter().copied());
            }
        }
    }

    /// A name that does not exist, with the nearest one that does.
    pub(crate) fn unknown<'n>(
        &self,
        name: &str,
        line: usize,
        kind: &str,
        possible: impl IntoIterator<Item = &'n str>,
    ) {
        let near = if name.len() <= LONGEST_NAME { suggestion(name, possible) } else { String::new() };
        self.problem(Some(line), name, format!("unknown {kind}{near}"));
    }
}

fn gap(unit: &str) -> &'static str {
    if unit.is_empty() { "" } else { " " }
}

/// A quoted key may hold anything; a problem stays one line of bounded length.
fn printable(name: &str) -> String {
    let short: String = name.chars().take(LONGEST_NAME).collect();
    short.escape_debug().to_string()
}

/// The value of an integer as TOML writes it; `None` if it does not fit 64 bits.
pub(crate) fn whole(written: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(written.as_str(), written.radix()).ok()
}

/// The names in a list, for a message.
pub(crate) fn listed<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}
