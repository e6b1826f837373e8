//! MySQL text as tokens, just fine enough to translate statements. Pure.

/// One token with the text that SQLite should see in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// Keyword, identifier (quoted or not) or number, as written.
    Word(String),
    /// A string literal, without its quotes and escapes.
    Text(String),
    /// `@name`
    UserVariable(String),
    /// `@@name`, `@@session.name`, `@@global.name`: the name alone, in lower case.
    SystemVariable(String),
    Symbol(char),
    Space,
}

impl Token {
    pub(crate) fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(w) if w.eq_ignore_ascii_case(word))
    }

    pub(crate) fn is_symbol(&self, symbol: char) -> bool {
        *self == Token::Symbol(symbol)
    }
}

/// Splits a statement. Comments count as space; a trailing `;` is dropped.
pub(crate) fn split(sql: &str) -> Vec<Token> {
    let chars: Vec<char> = sql.trim().trim_end_matches(';').chars().collect();
    let mut scanner = Scanner { chars: &chars, at: 0 };
    let mut tokens = Vec::new();
    while let Some(token) = scanner.next() {
        if token != Token::Space || tokens.last().is_some_and(|last| *last != Token::Space) {
            tokens.push(token);
        }
    }
    while tokens.last() == Some(&Token::Space) {
        tokens.pop();
    }
    tokens
}

struct Scanner<'a> {
    chars: &'a [char],
    at: usize,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let taken: String = rest.iter().copied().take_while(|c| wanted(*c)).collect();
        self.at += taken.chars().count();
        taken
    }

    fn next(&mut self) -> Option<Token> {
        let c = self.peek(0)?;
        Some(match (c, self.peek(1)) {
            _ if c.is_whitespace() => {
                self.take_while(char::is_whitespace);
                Token::Space
            }
            ('#', _) => self.line_comment(),
            ('-', Some('-')) if self.peek(2).is_none_or(char::is_whitespace) => self.line_comment(),
            ('/', Some('*')) => self.block_comment(),
            ('\'' | '"', _) => Token::Text(self.quoted(c)),
            ('`', _) => {
                let name = self.quoted('`');
                Token::Word(format!("`{}`", name.replace('`', "``")))
            }
            ('@', Some('@')) => {
                self.at += 2;
                let name = self.take_while(|c| is_word(c) || c == '.').to_lowercase();
                Token::SystemVariable(name.rsplit('.').next().unwrap_or_default().to_owned())
            }
            ('@', _) => {
                self.at += 1;
                Token::UserVariable(self.take_while(is_word).to_lowercase())
            }
            _ if is_word(c) => Token::Word(self.number_or_word()),
            _ => {
                self.at += 1;
                Token::Symbol(c)
            }
        })
    }

    fn number_or_word(&mut self) -> String {
        let starts_as_number = self.peek(0).is_some_and(|c| c.is_ascii_digit());
        self.take_while(|c| is_word(c) || (starts_as_number && c == '.'))
    }

    fn line_comment(&mut self) -> Token {
        self.take_while(|c| c != '\n');
        Token::Space
    }

    fn block_comment(&mut self) -> Token {
        self.at += 2;
        while self.peek(0).is_some() && (self.peek(0), self.peek(1)) != (Some('*'), Some('/')) {
            self.at += 1;
        }
        self.at += 2;
        Token::Space
    }

    /// From an opening quote to behind the closing one; doubled quotes and backslashes escape.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        self.at += 1;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '\\' if quote != '`' => {
                    text.extend(self.peek(0).map(unescape));
                    self.at += 1;
                }
                _ if c == quote && self.peek(0) == Some(quote) => {
                    text.push(quote);
                    self.at += 1;
                }
                _ if c == quote => break,
                _ => text.push(c),
            }
        }
        text
    }
}

fn unescape(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        other => other,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}
