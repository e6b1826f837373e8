//! keepalived's scripts, processes and files that instances track: those that watch the proxy are replaced by its own
//! liveness, the others become `[[check]]`s. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::quoted;
use super::syntax::Statement;

/// A `[[check]]` to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    pub name: String,
    command: Vec<String>,
    interval_ms: u32,
    timeout_ms: Option<u32>,
    fall: u32,
    rise: u32,
    weight: i32,
    user: Option<String>,
}

/// What an instance may track by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tracked {
    /// Sees to the proxy; what it adds while it succeeds.
    Proxy(i32),
    Check(Check),
    /// Cannot be taken, for this reason.
    No(&'static str),
}

pub(super) type Scripts = BTreeMap<String, Tracked>;

/// keepalived's limits of a weight.
const HEAVIEST: i32 = 253;
/// Weight 0: any number but 0 is a fault; a file that is not there counts as 0.
const NUMBER_IS_ZERO: &str = "[ ! -e \"$1\" ] || [ \"$(cat \"$1\")\" -eq 0 ]";

/// A `vrrp_script`, `vrrp_track_process` or `vrrp_track_file`, by its keyword.
pub(super) fn read(statement: &Statement) -> Tracked {
    match statement.keyword() {
        "vrrp_script" => script(statement),
        "vrrp_track_process" | "track_process" => process(statement),
        _ => file(statement),
    }
}

fn script(statement: &Statement) -> Tracked {
    let weight = weight(statement);
    let Some(line) = inner(statement, "script") else { return Tracked::No("it has no script") };
    // In quotes it is one word, without them several.
    let words: Vec<String> =
        line.words.iter().skip(1).flat_map(|word| word.split_whitespace()).map(str::to_owned).collect();
    if watches_the_proxy(&words) {
        return Tracked::Proxy(weight);
    }
    let command = match words.first() {
        Some(program) if program.starts_with('/') && !has_shell_words(&words) => words,
        Some(_) => ["/bin/sh", "-c", &words.join(" ")].map(str::to_owned).to_vec(),
        None => return Tracked::No("it has no script"),
    };
    let number = |key: &str| inner(statement, key)?.value().parse::<f64>().ok();
    let ms = |seconds: f64, least: f64| (seconds * 1000.0).clamp(least, 3_600_000.0) as u32;
    let count = |key: &str| number(key).map_or(1, |it| it.clamp(1.0, 1000.0) as u32);
    Tracked::Check(Check {
        name: statement.value().to_owned(),
        command,
        interval_ms: number("interval").map_or(1000, |it| ms(it, 100.0)),
        timeout_ms: number("timeout").map(|it| ms(it, 10.0)),
        fall: count("fall"),
        rise: count("rise"),
        weight,
        user: inner(statement, "user").map(|it| it.value().to_owned()),
    })
}

fn process(statement: &Statement) -> Tracked {
    let Some(line) = inner(statement, "process") else { return Tracked::No("it has no process") };
    let words: Vec<String> = line.words.iter().skip(1).cloned().collect();
    if watches_the_proxy(&words) {
        return Tracked::Proxy(weight(statement));
    }
    let Some(name) = words.first().filter(|_| words.len() == 1) else {
        return Tracked::No(
            "a process with parameters: write a [[check]] that finds it, see standfast.toml(5)",
        );
    };
    let command = ["/usr/bin/pgrep", "-x", name].map(str::to_owned).to_vec();
    Tracked::Check(plain(statement, command))
}

fn file(statement: &Statement) -> Tracked {
    if weight(statement) != 0 {
        return Tracked::No(
            "its number is multiplied by a weight, which no [[check]] does; weight 0 could be taken",
        );
    }
    let Some(path) = inner(statement, "file").map(|it| it.value().to_owned()) else {
        return Tracked::No("it has no file");
    };
    let command = vec!["/bin/sh".into(), "-c".into(), NUMBER_IS_ZERO.into(), "track_file".into(), path];
    Tracked::Check(plain(statement, command))
}

/// One look a second, and the first answer counts.
fn plain(statement: &Statement, command: Vec<String>) -> Check {
    Check {
        name: statement.value().to_owned(),
        command,
        interval_ms: 1000,
        timeout_ms: None,
        fall: 1,
        rise: 1,
        weight: weight(statement),
        user: None,
    }
}

fn inner<'a>(statement: &'a Statement, key: &str) -> Option<&'a Statement> {
    statement.inside().iter().find(|inner| inner.keyword() == key)
}

fn weight(statement: &Statement) -> i32 {
    let written = inner(statement, "weight").and_then(|it| it.value().parse::<i32>().ok());
    written.unwrap_or(0).clamp(-HEAVIEST, HEAVIEST)
}

fn watches_the_proxy(words: &[String]) -> bool {
    let command = words.join(" ").to_ascii_lowercase();
    ["proxysql", "6032", "6033"].iter().any(|it| command.contains(it))
}

fn has_shell_words(words: &[String]) -> bool {
    words.iter().any(|word| word.contains(['|', '&', ';', '<', '>', '$', '`', '*', '\'', '"', '(', ')']))
}

/// The program, if the words begin with a whole path.
pub(super) fn command(words: &[String]) -> Option<Vec<String>> {
    let words: Vec<String> =
        words.iter().flat_map(|word| word.split_whitespace()).map(str::to_owned).collect();
    words.first().is_some_and(|program| program.starts_with('/')).then_some(words)
}

impl Check {
    /// The same under the weight that an instance gives it, by a name of its own.
    pub(super) fn weighing(&self, weight: Option<i32>) -> Check {
        match weight.map(|it| it.clamp(-HEAVIEST, HEAVIEST)).filter(|it| *it != self.weight) {
            Some(weight) => Check { name: format!("{} weight {weight}", self.name), weight, ..self.clone() },
            None => self.clone(),
        }
    }

    /// As TOML.
    pub(super) fn write(&self, out: &mut String) {
        let words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(out, "\n[[check]]\nname = {}\ncommand = [{}]", quoted(&self.name), words.join(", "));
        let _ =
            writeln!(out, "interval_ms = {}\nfall = {}\nrise = {}", self.interval_ms, self.fall, self.rise);
        if let Some(timeout) = self.timeout_ms {
            let _ = writeln!(out, "timeout_ms = {timeout}");
        }
        if self.weight != 0 {
            let _ = writeln!(out, "weight = {}", self.weight);
        }
        if let Some(user) = &self.user {
            let _ = writeln!(out, "user = {}", quoted(user));
        }
    }
}
