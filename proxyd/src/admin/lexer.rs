//! Just enough lexing for admin statements: one text into statements, one statement into tokens. Pure.

/// A lexical unit of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Letters, digits, `_`, `$`, and inside a word `-`, as in `mysql-threads`.
    Word(String),
    /// `'…'` or `"…"`, unescaped.
    Text(String),
    /// `` `…` ``.
    Name(String),
    /// `@@`, with the words after it as tokens of their own.
    Variable,
    Symbol(char),
}

impl Token {
    /// True for this keyword, in any case.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

/// A token's text without its quotes.
pub fn text_of(token: &Token) -> String {
    match token {
        Token::Word(text) | Token::Text(text) | Token::Name(text) => text.clone(),
        Token::Variable => "@@".into(),
        Token::Symbol(symbol) => symbol.to_string(),
    }
}

/// Splits at `;` outside of quotes, with comments taken out. Empty statements are dropped.
pub fn split(text: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut current = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '\'' | '"' | '`' => quoted_length(rest, next),
            '#' => line_length(rest),
            '-' if rest.starts_with("--") => line_length(rest),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            other => other.len_utf8(),
        };
        let (unit, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        match next {
            ';' => push_statement(&mut statements, &mut current),
            '#' | '-' | '/' if length > 1 => current.push(' '),
            _ => current.push_str(unit),
        }
        rest = after;
    }
    push_statement(&mut statements, &mut current);
    statements
}

/// The tokens of one statement without comments.
pub fn tokens(statement: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = statement;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '\'' | '"' | '`' => quoted_length(rest, next),
            _ if rest.starts_with("@@") => 2,
            _ if is_word(next) => rest.find(|c: char| !is_word(c) && c != '-').unwrap_or(rest.len()),
            other => other.len_utf8(),
        };
        let (unit, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        rest = after;
        match next {
            '`' => tokens.push(Token::Name(unquote(unit, '`'))),
            '\'' | '"' => tokens.push(Token::Text(unquote(unit, next))),
            _ if unit == "@@" => tokens.push(Token::Variable),
            _ if is_word(next) => tokens.push(Token::Word(unit.to_owned())),
            space if space.is_whitespace() => {}
            symbol => tokens.push(Token::Symbol(symbol)),
        }
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

fn push_statement(statements: &mut Vec<String>, current: &mut String) {
    let statement = current.trim();
    if !statement.is_empty() {
        statements.push(statement.to_owned());
    }
    current.clear();
}

fn line_length(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |end| end + 1)
}

/// The length of the quoted text that `text` begins with; a doubled quote does not end it. Without an end: all of it.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            match chars.peek() {
                Some((_, again)) if *again == quote => {
                    chars.next();
                }
                _ => return at + 1,
            }
        }
    }
    text.len()
}

fn unquote(text: &str, quote: char) -> String {
    let inner = text.strip_prefix(quote).unwrap_or(text);
    let inner = inner.strip_suffix(quote).unwrap_or(inner);
    let doubled: String = [quote, quote].iter().collect();
    inner.replace(&doubled, &quote.to_string())
}
