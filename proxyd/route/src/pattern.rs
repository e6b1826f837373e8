//! Regular expressions of rules: PCRE's language, matched in linear time wherever the expression allows it.

/// Programs beyond this many bytes are refused at load.
const SIZE_LIMIT: usize = 10 << 20;
/// Steps that an expression with look-around or back-references may take on one query before it counts as no match.
const BACKTRACK_LIMIT: usize = 200_000;

/// A compiled `match_digest` or `match_pattern`.
#[derive(Debug)]
pub(super) struct Pattern {
    engine: Engine,
    global: bool,
    bytewise: bool,
}

#[derive(Debug)]
enum Engine {
    Linear(regex::bytes::Regex),
    /// For look-around and back-references, which the linear engine does not have.
    Backtracking(Box<fancy_regex::Regex>),
}

/// `re_modifiers`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Modifiers {
    pub(super) caseless: bool,
    pub(super) global: bool,
}

impl Modifiers {
    pub(super) fn parse(text: &str) -> Result<Modifiers, String> {
        let mut modifiers = Modifiers::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word.to_ascii_uppercase().as_str() {
                "CASELESS" => modifiers.caseless = true,
                "GLOBAL" => modifiers.global = true,
                _ => return Err(format!("re_modifiers: {word:?} is neither CASELESS nor GLOBAL")),
            }
        }
        Ok(modifiers)
    }
}

impl Pattern {
    pub(super) fn compile(expression: &str, modifiers: Modifiers) -> Result<Pattern, String> {
        // PCRE without its UTF option works on bytes; expressions that need Unicode (a class with `é`) get it.
        let linear = |unicode| {
            regex::bytes::RegexBuilder::new(expression)
                .case_insensitive(modifiers.caseless)
                .unicode(unicode)
                .size_limit(SIZE_LIMIT)
                .build()
        };
        let mut bytewise = false;
        let engine = if needs_backtracking(expression) {
            let fancy = fancy_regex::RegexBuilder::new(expression)
                .case_insensitive(modifiers.caseless)
                .bytes_mode(fancy_regex::BytesMode::Ascii)
                .backtrack_limit(BACKTRACK_LIMIT)
                .delegate_size_limit(SIZE_LIMIT)
                .build();
            Engine::Backtracking(Box::new(fancy.map_err(|error| one_line(&error.to_string()))?))
        } else {
            let bytes = linear(false);
            bytewise = bytes.is_ok();
            let regex = bytes.or_else(|_| linear(true));
            Engine::Linear(regex.map_err(|error| one_line(&error.to_string()))?)
        };
        Ok(Pattern { engine, global: modifiers.global, bytewise })
    }

    /// Matched byte by byte, by the linear engine: only ASCII letters have two cases.
    pub(super) fn is_bytewise(&self) -> bool {
        self.bytewise
    }

    /// Whether it matches somewhere; `None` if it gave up.
    pub(super) fn is_match(&self, text: &[u8]) -> Option<bool> {
        match &self.engine {
            Engine::Linear(regex) => Some(regex.is_match(text)),
            Engine::Backtracking(regex) => regex.is_match(text).ok(),
        }
    }

    /// The text with the match (with GLOBAL, all of them) replaced; `\1` in the template is the first group.
    pub(super) fn replace(&self, text: &[u8], template: &str) -> Vec<u8> {
        match &self.engine {
            Engine::Linear(regex) => {
                let matches = regex.captures_iter(text).map(|captures| {
                    let group = |index| captures.get(index).map(|group| group.range());
                    (0..captures.len()).map(group).collect()
                });
                splice(text, template, matches.take(self.limit()))
            }
            Engine::Backtracking(regex) => {
                let matches = regex.captures_iter(text).map_while(Result::ok).map(|captures| {
                    let group = |index| captures.get(index).map(|group| group.range());
                    (0..captures.len()).map(group).collect()
                });
                splice(text, template, matches.take(self.limit()))
            }
        }
    }

    fn limit(&self) -> usize {
        if self.global { usize::MAX } else { 1 }
    }
}

/// Whether it says something that only a backtracking engine understands: look-around, atomic groups, conditions,
/// back-references, `\K`, `\G`, `\Z`, `\h`, `\R`.
fn needs_backtracking(expression: &str) -> bool {
    const GROUPS: [&str; 6] = ["(?=", "(?!", "(?<=", "(?<!", "(?>", "(?("];
    let mut bytes = expression.bytes();
    let mut escape = false;
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            let next = bytes.next().unwrap_or(0);
            escape |= matches!(next, b'1'..=b'9' | b'K' | b'G' | b'Z' | b'h' | b'R' | b'k');
        }
    }
    escape || GROUPS.iter().any(|group| expression.contains(group))
}

/// Where the groups of one match lie; the first is the whole match.
type Groups = Vec<Option<std::ops::Range<usize>>>;

fn splice(text: &[u8], template: &str, matches: impl Iterator<Item = Groups>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + template.len());
    let mut from = 0;
    for groups in matches {
        let Some(Some(whole)) = groups.first().cloned() else { break };
        out.extend_from_slice(text.get(from..whole.start).unwrap_or_default());
        expand(text, template, &groups, &mut out);
        from = whole.end;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    out
}

/// `\0` … `\9` are groups, `\\` is a backslash, all else stands for itself.
fn expand(text: &[u8], template: &str, groups: &Groups, out: &mut Vec<u8>) {
    let mut bytes = template.bytes().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.peek() {
            Some(digit) if byte == b'\\' && digit.is_ascii_digit() => {
                let group = groups.get(usize::from(digit - b'0')).cloned().flatten();
                out.extend_from_slice(group.and_then(|range| text.get(range)).unwrap_or_default());
                bytes.next();
            }
            Some(b'\\') if byte == b'\\' => {
                out.push(b'\\');
                bytes.next();
            }
            _ => out.push(byte),
        }
    }
}

/// The parser's message draws the expression over several lines; its last line says what is wrong.
fn one_line(message: &str) -> String {
    message.lines().last().unwrap_or(message).trim_start_matches("error:").trim().to_owned()
}
