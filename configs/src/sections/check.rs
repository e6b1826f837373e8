//! `[[check]]`: programs of the operator's own that say whether a host may serve, or how well.

use std::path::PathBuf;
use std::time::Duration;

use super::hosts::missing;
use crate::appliance::Check;
use crate::reader::{Located, Section};

const MOST: usize = 64;
/// Nobody's shell, nobody's files.
const USER: &str = "nobody";

pub(super) fn read(root: &Section<'_>) -> Vec<Located<Check>> {
    let sections = root.sections("check");
    if sections.len() > MOST {
        root.problem(None, "check", format!("{} checks; at most {MOST}", sections.len()));
    }
    let mut checks: Vec<Located<Check>> = Vec::new();
    for section in sections.into_iter().take(MOST) {
        if let Some(check) = one(&section) {
            if let Some(earlier) = checks.iter().find(|it| it.value.name == check.value.name) {
                let text = format!("{:?} is already the check on line {}", check.value.name, earlier.line);
                section.problem(None, "name", text);
            }
            checks.push(check);
        }
        section.finish();
    }
    checks
}

fn one(section: &Section<'_>) -> Option<Located<Check>> {
    // `name`: by which `checks` of [vrrp] and [[vip]] ask for it.
    let name = section.text("name").map(|it| it.value.to_owned());
    // `command`: the program, by its whole path, and its arguments. Exit status 0 is good, all else and a time-out is not.
    let command: Option<Vec<String>> =
        section.texts("command").map(|words| words.into_iter().map(|it| it.value.to_owned()).collect());
    // `interval_ms`: from one start to the next; 1000.
    let interval = millis(section, "interval_ms", 100, 3_600_000, 1000);
    // `timeout_ms`: it is killed after that, which counts as a failure; the interval by default.
    let timeout = section.integer("timeout_ms", 10..=3_600_000, "ms");
    // `fall`, `rise`: so many failures in a row make it bad, so many successes good again; 2 and 2.
    let [fall, rise] = ["fall", "rise"].map(|key| count(section, key));
    // `weight`: added to the priority while it is good (or, if negative, while it is bad). Without it a bad check is FAULT.
    let weight = section.integer("weight", -253..=253, "");
    // `user`: who runs it, if vrrpd may change users; "nobody".
    let user = section.text("user").map_or_else(|| USER.to_owned(), |it| it.value.to_owned());
    let (Some(name), Some(command)) = (&name, command) else {
        for (key, absent) in [("name", name.is_none()), ("command", section.texts("command").is_none())] {
            if absent {
                missing(section, key);
            }
        }
        return None;
    };
    if !command.first().is_some_and(|program| PathBuf::from(program).is_absolute()) {
        section.problem(None, "command", "begins with no whole path, \"/…\"");
    }
    let timeout = timeout.and_then(|it| u64::try_from(it.value).ok()).map_or(interval, Duration::from_millis);
    let weight = weight.and_then(|it| i16::try_from(it.value).ok()).filter(|it| *it != 0);
    let check = Check { name: name.clone(), command, interval, timeout, fall, rise, weight, user };
    Some(Located { value: check, line: section.line.unwrap_or_default() })
}

fn millis(section: &Section<'_>, key: &'static str, low: i64, high: i64, default: u64) -> Duration {
    let value = section.integer(key, low..=high, "ms").and_then(|it| u64::try_from(it.value).ok());
    Duration::from_millis(value.unwrap_or(default))
}

fn count(section: &Section<'_>, key: &'static str) -> u32 {
    section.integer(key, 1..=1000, "").and_then(|it| u32::try_from(it.value).ok()).unwrap_or(2)
}
