//! ProxySQL's configuration file: libconfig's text format, read into settings with line numbers and written from them. Pure.
//!
//! It knows the grammar and no setting's meaning. Numbers may be decimal or hexadecimal, with a sign and an `L`; strings
//! that follow each other are one; `;` and `,` may end a setting; comments are `#`, `//` and `/* */`. A backslash that
//! begins no escape of libconfig's manual stays one, as in `match_pattern="^\s*SELECT"`.

mod read;
mod write;

#[cfg(test)]
mod tests;

pub use read::parse;
pub use write::Writer;

/// Groups and lists inside each other, at most.
pub const MAX_DEPTH: usize = 32;

/// `name = value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    pub name: String,
    /// Where the name stands; the first line is 1. 0 in settings that were not read.
    pub line: usize,
    pub value: Node,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    Integer(i64),
    Float(f64),
    Flag(bool),
    Text(String),
    /// `{ … }`
    Group(Vec<Setting>),
    /// `( … )` or `[ … ]`
    List(Vec<Item>),
}

/// A value in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// As in [`Setting`].
    pub line: usize,
    pub value: Node,
}

/// Where a text stops making sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text}")]
pub struct CnfError {
    pub line: usize,
    pub text: String,
}

impl Node {
    /// A scalar as `global_variables` holds it; `None` for groups and lists.
    pub fn as_text(&self) -> Option<String> {
        match self {
            Node::Integer(number) => Some(number.to_string()),
            Node::Float(number) => Some(number.to_string()),
            Node::Flag(flag) => Some(flag.to_string()),
            Node::Text(text) => Some(text.clone()),
            Node::Group(_) | Node::List(_) => None,
        }
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Integer(_) => "a number",
            Node::Float(_) => "a number with a fraction",
            Node::Flag(_) => "a flag",
            Node::Text(_) => "a string",
            Node::Group(_) => "a group",
            Node::List(_) => "a list",
        }
    }
}
