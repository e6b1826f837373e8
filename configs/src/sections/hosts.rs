//! `[[hosts]]` and `host`: who takes part, and whose file this is.

use std::net::IpAddr;

use super::NOWHERE;
use crate::problem::suggestion;
use crate::reader::{Located, Section};

/// One `[[hosts]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HostEntry {
    pub name: Located<String>,
    pub address: Located<IpAddr>,
}

/// Priorities have room for this many ranks.
const MOST_HOSTS: usize = 64;

pub(super) fn read(root: &Section<'_>) -> Vec<HostEntry> {
    let sections = root.sections("hosts");
    if sections.is_empty() {
        root.problem(None, "hosts", "missing; list every host as [[hosts]] with its name and address");
    }
    if sections.len() > MOST_HOSTS {
        root.problem(None, "hosts", format!("{} hosts; at most {MOST_HOSTS}", sections.len()));
    }
    let mut hosts: Vec<HostEntry> = Vec::new();
    for section in sections.into_iter().take(MOST_HOSTS) {
        let line = section.line.unwrap_or_default();
        // `name`: as in `--host`, `prefer` and `priorities`.
        let name = section.text("name").map(|it| Located { value: it.value.to_owned(), line: it.line });
        if name.as_ref().is_some_and(|name| name.value.is_empty()) {
            section.problem(None, "name", "is empty");
        }
        // `address`: by which the host knows itself, and to which the others send their adverts.
        let address = section.parsed("address", "an IPv4 or IPv6 address");
        if name.is_none() {
            missing(&section, "name");
        }
        if address.is_none() {
            missing(&section, "address");
        }
        let host = HostEntry {
            name: name.unwrap_or(Located { value: String::new(), line }),
            address: address.unwrap_or(Located { value: NOWHERE, line }),
        };
        for other in &hosts {
            not_twice(&section, &host, other);
        }
        section.finish();
        hosts.push(host);
    }
    hosts
}

/// A key that must be there; nothing is said if it is there and wrong.
pub(super) fn missing(section: &Section<'_>, key: &str) {
    if !section.entries().iter().any(|(name, _)| *name == key) {
        section.problem(None, key, "missing");
    }
}

fn not_twice(section: &Section<'_>, host: &HostEntry, other: &HostEntry) {
    if host.name.value == other.name.value && !host.name.value.is_empty() {
        let text = format!("host {} is already on line {}", host.name.value, other.name.line);
        section.problem(Some(host.name.line), "name", text);
    }
    if host.address.value == other.address.value && host.address.value != NOWHERE {
        let text = format!("{} is already the address of host {}", host.address.value, other.name.value);
        section.problem(Some(host.address.line), "address", text);
    }
}

pub(super) fn owner(root: &Section<'_>, hosts: &[HostEntry]) -> Option<Located<String>> {
    let owner = root.text("host")?;
    known(root, "host", &owner, hosts);
    Some(Located { value: owner.value.to_owned(), line: owner.line })
}

/// Whether this is the name of a host; says so if not.
pub(super) fn known(section: &Section<'_>, key: &str, name: &Located<&str>, hosts: &[HostEntry]) -> bool {
    let names = || hosts.iter().map(|host| host.name.value.as_str());
    let known = names().any(|host| host == name.value);
    if !known {
        let near = suggestion(name.value, names());
        section.problem(Some(name.line), key, format!("no host is named {:?}{near}", name.value));
    }
    known
}
