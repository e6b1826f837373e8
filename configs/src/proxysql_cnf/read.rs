//! Text to settings.

use std::collections::BTreeSet;

use super::{CnfError, Item, MAX_DEPTH, Node, Setting};

/// Reads a whole file; the first thing that is wrong ends it.
pub fn parse(text: &str) -> Result<Vec<Setting>, CnfError> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let settings = reader.settings(0)?;
    match reader.peek()? {
        None => Ok(settings),
        Some(found) => reader.wrong(format!("a setting cannot begin with '{found}'")),
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl Reader<'_> {
    /// Settings up to something that is no name.
    fn settings(&mut self, depth: usize) -> Result<Vec<Setting>, CnfError> {
        let mut settings = Vec::new();
        let mut names = BTreeSet::new();
        while let Some(begin) = self.peek()? {
            if begin == '@' {
                return self.wrong("@include is not followed: put the file's text here instead".into());
            }
            if !begin.is_ascii_alphabetic() && begin != '*' && begin != '_' {
                break;
            }
            let line = self.line;
            let name = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '*'));
            if !names.insert(name.clone()) {
                return self.wrong(format!("'{name}' is set a second time"));
            }
            match self.peek()? {
                Some('=' | ':') => self.skip(1),
                _ => return self.wrong(format!("'=' is missing after '{name}'")),
            }
            let value = self.value(depth)?;
            settings.push(Setting { name, line, value });
            if matches!(self.peek()?, Some(';' | ',')) {
                self.skip(1);
            }
        }
        Ok(settings)
    }

    fn value(&mut self, depth: usize) -> Result<Node, CnfError> {
        if depth >= MAX_DEPTH {
            return self.wrong(format!("more than {MAX_DEPTH} groups and lists inside each other"));
        }
        match self.peek()? {
            Some('{') => {
                let begun = self.line;
                self.skip(1);
                let settings = self.settings(depth + 1)?;
                self.close('}', begun)?;
                Ok(Node::Group(settings))
            }
            Some('(') => self.list(')', depth),
            Some('[') => self.list(']', depth),
            Some('"') => self.strings(),
            Some(_) => self.scalar(),
            None => self.wrong("the file ends where a value should stand".into()),
        }
    }

    fn list(&mut self, end: char, depth: usize) -> Result<Node, CnfError> {
        let begun = self.line;
        self.skip(1);
        let mut items = Vec::new();
        while !matches!(self.peek()?, Some(')' | ']') | None) {
            let line = self.line;
            items.push(Item { line, value: self.value(depth + 1)? });
            match self.peek()? {
                Some(',') => self.skip(1),
                _ => break,
            }
        }
        self.close(end, begun)?;
        Ok(Node::List(items))
    }

    fn close(&mut self, end: char, begun: usize) -> Result<(), CnfError> {
        match self.peek()? {
            Some(found) if found == end => {
                self.skip(1);
                Ok(())
            }
            Some(found) => {
                self.wrong(format!("'{end}' is missing before '{found}' (opened on line {begun})"))
            }
            None => self.wrong(format!("'{end}' is missing at the end of the file (opened on line {begun})")),
        }
    }

    /// One string, or several that follow each other.
    fn strings(&mut self) -> Result<Node, CnfError> {
        let mut text = Vec::new();
        while self.peek()? == Some('"') {
            self.string(&mut text)?;
        }
        match String::from_utf8(text) {
            Ok(text) => Ok(Node::Text(text)),
            Err(_) => self.wrong("the string's \\x escapes are not UTF-8".into()),
        }
    }

    fn string(&mut self, out: &mut Vec<u8>) -> Result<(), CnfError> {
        let begun = self.line;
        self.skip(1);
        loop {
            let stop = self.rest.find(['"', '\\']).unwrap_or(self.rest.len());
            out.extend_from_slice(self.rest.get(..stop).unwrap_or_default().as_bytes());
            self.skip(stop);
            let Some(rest) = self.rest.strip_prefix('\\') else {
                if self.rest.is_empty() {
                    return Err(CnfError { line: begun, text: "a string does not end".into() });
                }
                self.skip(1);
                return Ok(());
            };
            let (byte, length) = escape(rest).unwrap_or((b'\\', 0));
            out.push(byte);
            self.skip(1 + length);
        }
    }

    fn scalar(&mut self) -> Result<Node, CnfError> {
        let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
        if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false") {
            return Ok(Node::Flag(word.eq_ignore_ascii_case("true")));
        }
        let digits = word.trim_end_matches(['L', 'l']);
        if let Some(number) = integer(digits) {
            return Ok(Node::Integer(number));
        }
        if word.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte))
            && let Ok(number) = word.parse::<f64>()
            && number.is_finite()
        {
            return Ok(Node::Float(number));
        }
        match word.is_empty() {
            true => {
                let found = self.rest.chars().next().unwrap_or(' ');
                self.wrong(format!("a value cannot begin with '{found}'"))
            }
            false => self
                .wrong(format!("'{word}' is neither a number nor true nor false; strings stand in quotes")),
        }
    }

    fn word(&mut self, belongs: fn(char) -> bool) -> String {
        let length = self.rest.find(|c| !belongs(c)).unwrap_or(self.rest.len());
        let word = self.rest.get(..length).unwrap_or_default().to_owned();
        self.skip(length);
        word
    }

    /// The next character that is neither white space nor a comment.
    fn peek(&mut self) -> Result<Option<char>, CnfError> {
        loop {
            let blank = self.rest.find(|c: char| !c.is_whitespace()).unwrap_or(self.rest.len());
            self.skip(blank);
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                match self.rest.find("*/") {
                    Some(end) => self.skip(end + 2),
                    None => return self.wrong("a comment does not end".into()),
                }
            } else {
                return Ok(self.rest.chars().next());
            }
        }
    }

    /// Goes on by so many bytes, which end between characters.
    fn skip(&mut self, bytes: usize) {
        let (passed, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.rest = rest;
    }

    fn wrong<T>(&self, text: String) -> Result<T, CnfError> {
        Err(CnfError { line: self.line, text })
    }
}

/// The byte that the text behind a backslash stands for, and its length.
fn escape(rest: &str) -> Option<(u8, usize)> {
    let byte = match rest.as_bytes().first()? {
        b'"' => b'"',
        b'\\' => b'\\',
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'x' => return Some((u8::from_str_radix(rest.get(1..3)?, 16).ok()?, 3)),
        _ => return None,
    };
    Some((byte, 1))
}

fn integer(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    match digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        Some(hex) if !negative => i64::from_str_radix(hex, 16).ok(),
        Some(_) => None,
        None => format!("{}{digits}", if negative { "-" } else { "" }).parse().ok(),
    }
}
