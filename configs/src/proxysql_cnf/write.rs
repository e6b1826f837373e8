//! Settings to text.

use std::fmt::Write as _;

use super::{Node, Setting};

/// Builds a file in memory; big tables are written row by row.
#[derive(Debug, Default)]
pub struct Writer {
    out: String,
}

impl Writer {
    /// The text so far.
    pub fn finish(self) -> String {
        self.out
    }

    pub fn text(&self) -> &str {
        &self.out
    }

    /// One setting at the top level.
    pub fn setting(&mut self, name: &str, value: &Node) {
        self.named(0, name, value);
        self.out.push('\n');
    }

    /// A list of groups, as a table is one; each call of the callback's argument is a row.
    pub fn rows<E>(
        &mut self,
        name: &str,
        fill: impl FnOnce(&mut dyn FnMut(&[Setting])) -> Result<(), E>,
    ) -> Result<(), E> {
        let _ = write!(self.out, "{name}=\n(\n");
        let mut first = true;
        fill(&mut |row| {
            self.out.push_str(if first { "\t{\n" } else { ",\n\t{\n" });
            first = false;
            for setting in row {
                self.named(2, &setting.name, &setting.value);
            }
            self.out.push_str("\t}");
        })?;
        self.out.push_str(if first { ")\n\n" } else { "\n)\n\n" });
        Ok(())
    }

    fn named(&mut self, indent: usize, name: &str, value: &Node) {
        self.indent(indent);
        self.out.push_str(name);
        self.out.push('=');
        if matches!(value, Node::Group(_) | Node::List(_)) {
            self.out.push('\n');
            self.indent(indent);
        }
        self.value(indent, value);
        self.out.push('\n');
    }

    fn value(&mut self, indent: usize, value: &Node) {
        // Writing to a String cannot fail.
        let _ = match value {
            Node::Integer(number) => match i32::try_from(*number) {
                Ok(number) => write!(self.out, "{number}"),
                Err(_) => write!(self.out, "{number}L"),
            },
            // Always with a fraction: it stays a float.
            Node::Float(number) => write!(self.out, "{number:?}"),
            Node::Flag(flag) => write!(self.out, "{flag}"),
            Node::Text(text) => {
                self.quoted(text);
                Ok(())
            }
            Node::Group(settings) => {
                self.out.push_str("{\n");
                for setting in settings {
                    self.named(indent + 1, &setting.name, &setting.value);
                }
                self.indent(indent);
                self.out.push('}');
                Ok(())
            }
            Node::List(items) => {
                self.out.push_str("(\n");
                for (index, item) in items.iter().enumerate() {
                    self.out.push_str(if index == 0 { "" } else { ",\n" });
                    self.indent(indent + 1);
                    self.value(indent + 1, &item.value);
                }
                self.out.push_str(if items.is_empty() { "" } else { "\n" });
                self.indent(indent);
                self.out.push(')');
                Ok(())
            }
        };
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n('\t', depth));
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                control if control.is_ascii_control() => {
                    let _ = write!(self.out, "\\x{:02x}", u32::from(control));
                }
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }
}
