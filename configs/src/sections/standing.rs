//! `prefer`, `priorities` or `priority`: which host a VIP likes best.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::hosts::{HostEntry, known};
use crate::reader::{Located, Section, whole};

/// The hosts' base priorities on one VIP, as far as the file tells them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Standing {
    /// By host.
    Everyone(BTreeMap<String, Located<u8>>),
    /// Only that of the file's host; `rank` is its place in the order of preference if the file says it.
    Own { priority: Located<u8>, rank: Option<u8> },
}

impl Standing {
    /// The priorities, without where they stand.
    pub(crate) fn numbers(&self) -> Vec<(&str, u8)> {
        match self {
            Standing::Everyone(all) => all.iter().map(|(host, it)| (host.as_str(), it.value)).collect(),
            Standing::Own { priority, .. } => vec![("", priority.value)],
        }
    }
}

/// RFC 9568 §5.2.4. The highest is the address owner's: nobody preempts it, and nothing is added to it.
const PRIORITIES: std::ops::RangeInclusive<i64> = 1..=255;
const FIRST: usize = 200;
const SPACING: usize = 50;

pub(super) fn read(section: &Section<'_>, hosts: &[HostEntry]) -> Standing {
    // `prefer`: host names, the most preferred first; hosts left out follow in the order of [[hosts]].
    let prefer = section.texts("prefer");
    // `priorities`: base priority by host, for all hosts.
    let priorities = section.section("priorities");
    // `priority`: base priority of the file's own host, in files that are for one host.
    let priority = section.integer("priority", PRIORITIES, "").map(byte);
    // `rank`: with `priority`, this host's place in the order of preference (0 is first): how long a backup lets
    // better placed ones go ahead. Without it, the host's place in [[hosts]].
    let rank = section.integer("rank", 0..=63, "").map(byte);

    let given = [prefer.is_some(), !priorities.is_absent(), priority.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        section.problem(None, "prefer", "contradiction: give one of `prefer`, `priorities` and `priority`");
    }
    if let (Some(rank), None) = (&rank, &priority) {
        section.problem(Some(rank.line), "rank", "goes with `priority`; otherwise it follows from the order");
    }
    if let Some(priority) = priority {
        return Standing::Own { priority, rank: rank.map(|it| it.value) };
    }
    if priorities.is_absent() {
        return Standing::Everyone(by_preference(section, &prefer.unwrap_or_default(), hosts));
    }
    Standing::Everyone(by_number(&priorities, hosts))
}

fn byte(number: Located<i64>) -> Located<u8> {
    Located { value: u8::try_from(number.value).unwrap_or(u8::MAX), line: number.line }
}

/// 200, 150, 100, 50 for up to four hosts, closer together for more: a lost advert's skew tells neighbours apart.
fn by_preference(
    section: &Section<'_>,
    prefer: &[Located<&str>],
    hosts: &[HostEntry],
) -> BTreeMap<String, Located<u8>> {
    let mut order: Vec<Located<&str>> = Vec::new();
    for name in prefer {
        if order.iter().any(|earlier| earlier.value == name.value) {
            section.problem(Some(name.line), "prefer", format!("host {:?} is named twice", name.value));
        } else if known(section, "prefer", name, hosts) {
            order.push(name.clone());
        }
    }
    let line = section.line.unwrap_or_default();
    for host in hosts {
        if !order.iter().any(|named| named.value == host.name.value) {
            order.push(Located { value: &host.name.value, line });
        }
    }
    let spacing = SPACING.min((FIRST - 1) / order.len().saturating_sub(1).max(1));
    let priorities = (0..).map(|place: usize| FIRST.saturating_sub(place * spacing).max(1));
    order
        .into_iter()
        .zip(priorities)
        .map(|(name, priority)| {
            let value = u8::try_from(priority).unwrap_or(1);
            (name.value.to_owned(), Located { value, line: name.line })
        })
        .collect()
}

fn by_number(section: &Section<'_>, hosts: &[HostEntry]) -> BTreeMap<String, Located<u8>> {
    let mut priorities: BTreeMap<String, Located<u8>> = BTreeMap::new();
    for (name, Located { value, line }) in section.entries() {
        if !known(section, name, &Located { value: name, line }, hosts) {
            continue;
        }
        let number = match value {
            DeValue::Integer(written) => whole(written).filter(|number| PRIORITIES.contains(number)),
            _ => None,
        };
        let Some(value) = number.and_then(|number| u8::try_from(number).ok()) else {
            section.problem(Some(line), name, "out of range; expected a whole number from 1 to 255");
            continue;
        };
        if let Some((other, _)) = priorities.iter().find(|(_, priority)| priority.value == value) {
            let text =
                format!("priority {value} is already that of {other}; two equal ones elect by address");
            section.problem(Some(line), name, text);
        }
        priorities.insert(name.into(), Located { value, line });
    }
    for host in hosts {
        let name = &host.name.value;
        if !section.entries().iter().any(|(named, _)| named == name) {
            section.problem(None, name, "missing; every host needs a priority on every VIP");
        }
    }
    priorities
}
