//! MySQL statements as SQLite understands them. Pure: text in, [`Statement`] out.

use super::table;
use super::token::{self, Token};

/// What one MySQL statement asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Statement {
    Nothing,
    Begin,
    Commit,
    Rollback,
    Use(String),
    /// Assignments from left to right.
    Set(Vec<Assignment>),
    /// Rows come back; `into` names the user variables that take them instead of the client.
    Query {
        sql: String,
        into: Vec<String>,
        touches_tables: bool,
    },
    /// No rows come back.
    Execute {
        sql: String,
    },
    /// CREATE, DROP, TRUNCATE, ALTER: commits what was open.
    Define {
        sql: String,
    },
    ShowVariables {
        like: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Assignment {
    /// `@name = expression`
    User { name: String, expression: String },
    /// A system variable of this session or of the server.
    System { name: String, global: bool, expression: String },
}

/// Functions that stand in for `@x` and `@@x`; see [`column_name`].
pub(crate) const USER_VARIABLE: &str = "lab_user_variable";
pub(crate) const SYSTEM_VARIABLE: &str = "lab_system_variable";

/// Reads one statement.
pub(crate) fn parse(sql: &str) -> Statement {
    let tokens = token::split(sql);
    let words: Vec<String> = tokens
        .iter()
        .filter_map(|t| match t {
            Token::Word(w) => Some(w.to_ascii_uppercase()),
            _ => None,
        })
        .take(3)
        .collect();
    let word = |i: usize| words.get(i).map_or("", String::as_str);
    match (word(0), word(1)) {
        ("", _) if tokens.is_empty() => Statement::Nothing,
        ("BEGIN", _) | ("START", "TRANSACTION") => Statement::Begin,
        ("COMMIT", _) => Statement::Commit,
        ("ROLLBACK", _) => Statement::Rollback,
        ("USE", _) => Statement::Use(unquote(&tokens)),
        ("SET", _) => set(&tokens[1..]),
        ("SHOW", _) => show(&tokens, &words),
        ("SELECT" | "WITH" | "VALUES" | "EXPLAIN" | "DO", _) | ("", _) => query(&tokens),
        ("CREATE", "TABLE") => Statement::Define { sql: table::create(&tokens) },
        ("CREATE", "DATABASE" | "SCHEMA") | ("FLUSH" | "LOCK" | "UNLOCK" | "GRANT" | "KILL", _) => {
            Statement::Nothing
        }
        ("CREATE" | "DROP" | "ALTER", _) => Statement::Define { sql: render(&tokens) },
        ("TRUNCATE", _) => {
            let name: Vec<Token> =
                tokens.iter().filter(|t| !t.is_word("TRUNCATE") && !t.is_word("TABLE")).cloned().collect();
            Statement::Define { sql: format!("DELETE FROM {}", render(&name)) }
        }
        ("INSERT", "IGNORE") => Statement::Execute {
            sql: render(&tokens).replacen("IGNORE", "OR IGNORE", 1).replacen("ignore", "OR IGNORE", 1),
        },
        _ => Statement::Execute { sql: render(&tokens) },
    }
}

fn unquote(tokens: &[Token]) -> String {
    let name = tokens.iter().skip(1).find_map(|t| match t {
        Token::Word(w) | Token::Text(w) => Some(w.trim_matches('`').to_owned()),
        _ => None,
    });
    name.unwrap_or_default()
}

fn query(tokens: &[Token]) -> Statement {
    let (tokens, into) = take_into(tokens);
    let tokens = strip_locking(&tokens);
    let catalog = tokens.iter().any(|t| t.is_word("information_schema"));
    let touches_tables = !catalog && tokens.iter().any(|t| t.is_word("FROM"));
    Statement::Query { sql: render(&tokens), into, touches_tables }
}

/// Takes `INTO @a, @b` out of a SELECT.
fn take_into(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let mut kept = Vec::new();
    let mut into = Vec::new();
    let mut inside = false;
    for token in tokens {
        match token {
            Token::Word(w) if w.eq_ignore_ascii_case("INTO") => inside = true,
            Token::UserVariable(name) if inside => into.push(name.clone()),
            Token::Symbol(',') | Token::Space if inside => {}
            other => {
                if inside {
                    kept.push(Token::Space);
                }
                inside = false;
                kept.push(other.clone());
            }
        }
    }
    (kept, into)
}

/// Drops `FOR UPDATE` and `LOCK IN SHARE MODE`: SQLite locks whole files anyway.
fn strip_locking(tokens: &[Token]) -> Vec<Token> {
    let follows = |at: usize, word: &str| tokens.get(at + 2).is_some_and(|t| t.is_word(word));
    let end = (0..tokens.len()).find(|&i| {
        (tokens[i].is_word("FOR") && follows(i, "UPDATE")) || (tokens[i].is_word("LOCK") && follows(i, "IN"))
    });
    tokens[..end.unwrap_or(tokens.len())].to_vec()
}

fn set(tokens: &[Token]) -> Statement {
    let leading = tokens.iter().find(|t| **t != Token::Space);
    let ignored = ["NAMES", "CHARACTER", "CHARSET", "TRANSACTION", "PASSWORD", "STATEMENT"];
    if leading.is_some_and(|t| ignored.iter().any(|w| t.is_word(w))) {
        return Statement::Nothing;
    }
    Statement::Set(split_top_level(tokens).iter().filter_map(|part| assignment(part)).collect())
}

fn assignment(tokens: &[Token]) -> Option<Assignment> {
    let equals = tokens.iter().position(|t| t.is_symbol('='))?;
    let (left, right) = (&tokens[..equals], &tokens[equals + 1..]);
    let expression = render(right).trim().to_owned();
    let global = left.iter().any(|t| t.is_word("GLOBAL"));
    left.iter().rev().find_map(|token| match token {
        Token::UserVariable(name) => {
            Some(Assignment::User { name: name.clone(), expression: expression.clone() })
        }
        Token::SystemVariable(name) | Token::Word(name) => {
            let name = name.trim_matches('`').to_lowercase();
            Some(Assignment::System { name, global, expression: expression.clone() })
        }
        _ => None,
    })
}

/// Splits at commas outside parentheses.
pub(crate) fn split_top_level(tokens: &[Token]) -> Vec<Vec<Token>> {
    let mut parts = vec![Vec::new()];
    let mut depth = 0usize;
    for token in tokens {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth = depth.saturating_sub(1),
            Token::Symbol(',') if depth == 0 => {
                parts.push(Vec::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(token.clone());
        }
    }
    parts
}

fn show(tokens: &[Token], words: &[String]) -> Statement {
    let like =
        tokens.iter().find_map(|t| if let Token::Text(text) = t { Some(text.to_lowercase()) } else { None });
    let has = |word: &str| words.iter().any(|w| w == word);
    let sql = if has("VARIABLES") {
        return Statement::ShowVariables { like: like.unwrap_or_else(|| "%".into()) };
    } else if has("DATABASES") || has("SCHEMAS") {
        "SELECT name AS `Database` FROM pragma_database_list WHERE name IN ('test', 'information_schema')"
    } else if has("TABLES") {
        "SELECT name AS Tables_in_test FROM test.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    } else if has("PROCESSLIST") {
        "SELECT id AS Id, user AS User, host AS Host, db, command AS Command, time AS Time, '' AS State, info AS Info FROM information_schema.processlist"
    } else if has("WARNINGS") || has("ERRORS") {
        "SELECT '' AS Level, 0 AS Code, '' AS Message WHERE 0"
    } else {
        "SELECT '' AS Variable_name, '' AS Value WHERE 0"
    };
    Statement::Query { sql: sql.into(), into: Vec::new(), touches_tables: false }
}

/// Tokens as SQLite text.
pub(crate) fn render(tokens: &[Token]) -> String {
    let mut out = String::new();
    for token in tokens {
        match token {
            Token::Word(word) => out.push_str(word),
            Token::Text(text) => out.push_str(&quote(text)),
            Token::UserVariable(name) => out.push_str(&format!("{USER_VARIABLE}({})", quote(name))),
            Token::SystemVariable(name) => out.push_str(&format!("{SYSTEM_VARIABLE}({})", quote(name))),
            Token::Symbol(symbol) => out.push(*symbol),
            Token::Space => out.push(' '),
        }
    }
    out
}

/// The name that MySQL would give a column: variables by their own names again.
pub(crate) fn column_name(sqlite: &str) -> String {
    let mut name = sqlite.to_owned();
    for (function, sigil) in [(USER_VARIABLE, "@"), (SYSTEM_VARIABLE, "@@")] {
        while let Some(start) = name.find(&format!("{function}('")) {
            let inner = start + function.len() + 2;
            let Some(len) = name[inner..].find("')") else { break };
            let variable = name[inner..inner + len].to_owned();
            name.replace_range(start..inner + len + 2, &format!("{sigil}{variable}"));
        }
    }
    name
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
