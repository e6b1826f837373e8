//! The syntax of keepalived.conf: lines of words, some with a block in braces. Pure.

/// One line, and the block behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Statement {
    /// Counted from 1.
    pub line: usize,
    /// The keyword and its values, without quotes. Empty for a block that nobody named.
    pub words: Vec<String>,
    pub block: Option<Vec<Statement>>,
}

impl Statement {
    pub(super) fn keyword(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The first value.
    pub(super) fn value(&self) -> &str {
        self.words.get(1).map_or("", String::as_str)
    }

    pub(super) fn inside(&self) -> &[Statement] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// A file whose braces do not match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken {
    pub line: usize,
    pub text: &'static str,
}

/// Deeper than any block of keepalived's goes.
const DEEPEST: usize = 16;

/// Reads a whole file.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, Broken> {
    let mut blocks: Vec<Vec<Statement>> = vec![Vec::new()];
    for (line, text) in (1..).zip(text.lines()) {
        let mut words = Vec::new();
        for word in split(text) {
            match word {
                Word::Open if blocks.len() > DEEPEST => {
                    return Err(Broken { line, text: "blocks are nested too deeply" });
                }
                Word::Open => {
                    let list = innermost(&mut blocks);
                    // A brace on a line of its own belongs to the line before.
                    let continues = words.is_empty() && list.last().is_some_and(|last| last.block.is_none());
                    if !continues {
                        list.push(Statement { line, words: std::mem::take(&mut words), block: None });
                    }
                    blocks.push(Vec::new());
                }
                Word::Close => {
                    push(innermost(&mut blocks), line, &mut words);
                    let block = blocks.pop().filter(|_| !blocks.is_empty());
                    let Some(block) = block else {
                        return Err(Broken { line, text: "a } without its {" });
                    };
                    if let Some(owner) = innermost(&mut blocks).last_mut() {
                        owner.block = Some(block);
                    }
                }
                Word::Text(word) => words.push(word),
            }
        }
        push(innermost(&mut blocks), line, &mut words);
    }
    let whole = blocks.len() == 1;
    let open = blocks.iter().rev().nth(1).and_then(|list| list.last()).map_or(0, |owner| owner.line);
    match blocks.pop() {
        Some(statements) if whole => Ok(statements),
        _ => Err(Broken { line: open, text: "the { of this line is never closed" }),
    }
}

fn innermost(blocks: &mut Vec<Vec<Statement>>) -> &mut Vec<Statement> {
    if blocks.is_empty() {
        blocks.push(Vec::new());
    }
    let last = blocks.len() - 1;
    &mut blocks[last]
}

fn push(list: &mut Vec<Statement>, line: usize, words: &mut Vec<String>) {
    if !words.is_empty() {
        list.push(Statement { line, words: std::mem::take(words), block: None });
    }
}

enum Word {
    Text(String),
    Open,
    Close,
}

/// The words of one line: quotes keep blanks together, `#` and `!` begin a comment.
fn split(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '#' | '!' => break,
            '{' | '}' => {
                words.push(if first == '{' { Word::Open } else { Word::Close });
                1
            }
            '"' | '\'' => {
                let inner = rest.get(1..).unwrap_or_default();
                let length = inner.find(first).unwrap_or(inner.len());
                words.push(Word::Text(inner.get(..length).unwrap_or_default().to_owned()));
                (length + 2).min(rest.len())
            }
            _ => {
                let stop = |c: char| c.is_whitespace() || matches!(c, '{' | '}');
                let length = rest.find(stop).unwrap_or(rest.len());
                words.push(Word::Text(rest.get(..length).unwrap_or_default().to_owned()));
                length
            }
        };
        rest = rest.get(end..).unwrap_or_default().trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(list: &[Statement]) -> String {
        let one = |statement: &Statement| {
            let block = statement.block.as_ref().map(|block| format!("{{{}}}", shape(block)));
            format!("{}:{}{}", statement.line, statement.words.join("|"), block.unwrap_or_default())
        };
        list.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_words_and_blocks() {
        let rows = [
            ("a b # c\n! d\ne", "1:a|b 3:e"),
            ("a {\n b \"c d\"\n}\n", "1:a{2:b|c d}"),
            ("a x\n{\n b\n}\nc", "1:a|x{3:b} 5:c"),
            ("a { b c }", "1:a{1:b|c}"),
            ("a{b}", "1:a{1:b}"),
            ("a { }\n{ b }", "1:a{} 2:{2:b}"),
            ("a 'x y' \"un", "1:a|x y|un"),
            ("pass a#b", "1:pass|a#b"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text).map(|list| shape(&list)).as_deref(), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn braces_that_do_not_match() {
        assert_eq!(parse("a {\n b {\n}\n").unwrap_err().line, 1);
        assert_eq!(parse("a\n}\n").unwrap_err(), Broken { line: 2, text: "a } without its {" });
        assert!(parse(&"a {".repeat(1000)).is_err());
        assert!(parse("{{{{").is_err());
    }
}
