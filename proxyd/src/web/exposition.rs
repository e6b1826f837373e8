//! Prometheus' text format, version 0.0.4: families with HELP and TYPE, samples with labels. Pure.

use std::fmt::{Display, Write as _};

/// What a server says its answer is.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a family behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The text in the making. All samples of a family follow its head, so write one family after the other.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        debug_assert!(is_name(name), "{name}");
        // Writing to a String cannot fail.
        let _ = write!(self.text, "# HELP {name} ");
        escape(&mut self.text, help, false);
        let _ = writeln!(self.text, "\n# TYPE {name} {}", kind.word());
        Family { text: &mut self.text, name: name.to_owned() }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    pub fn finish(self) -> String {
        self.text
    }
}

/// A family whose samples are being written.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    name: String,
}

impl Family<'_> {
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.suffixed("", labels, value);
    }

    /// A sample of `name` and a suffix: `_bucket`, `_sum` and `_count` of a histogram.
    pub fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(self.text, text, true);
            self.text.push('"');
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        let _ = writeln!(self.text, "{value}");
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            _ => out.push(letter),
        }
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`, without the colon that is for recording rules.
pub fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(letter) && name.bytes().all(|byte| letter(byte) || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_labels_and_escapes() {
        let mut text = Exposition::default();
        text.single("up_seconds_total", Kind::Counter, "Since\nthe start", 7);
        let mut family = text.family("conns", Kind::Gauge, "a \\ \"b\"");
        family.sample(&[("endpoint", "a\"b\\c\nd"), ("hostgroup", "1")], 0.5);
        assert_eq!(
            text.finish(),
            "# HELP up_seconds_total Since\\nthe start\n# TYPE up_seconds_total counter\nup_seconds_total 7\n\
             # HELP conns a \\\\ \"b\"\n# TYPE conns gauge\nconns{endpoint=\"a\\\"b\\\\c\\nd\",hostgroup=\"1\"} 0.5\n"
        );
    }

    #[test]
    fn names() {
        assert!(is_name("proxysql_com_x9") && is_name("_x"));
        assert!(!is_name("") && !is_name("9x") && !is_name("a-b") && !is_name("ä"));
    }
}
