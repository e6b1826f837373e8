//! `global_variables` after validation: every known variable with a value that its domain accepts.

use std::collections::BTreeMap;

use super::catalogue::{CATALOGUE, Domain, Entry};
use crate::networks::Networks;

/// Full name (`mysql-…`, `admin-…`) to normalised value, for all of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<&'static str, String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { values: CATALOGUE.iter().map(|entry| (entry.name, entry.default.to_owned())).collect() }
    }
}

impl Settings {
    /// These settings with the variables of one prefix replaced; the first bad one refuses all.
    pub fn with<'a>(
        &self,
        prefix: &str,
        rows: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Settings, String> {
        let mut next = self.clone();
        for entry in CATALOGUE.iter().filter(|entry| entry.name.starts_with(prefix)) {
            next.values.insert(entry.name, entry.default.to_owned());
        }
        for (name, value) in rows.filter(|(name, _)| name.starts_with(prefix)) {
            let (entry, value) = normalise(name, value)?;
            next.values.insert(entry.name, value);
        }
        Ok(next)
    }

    /// Sets one value that needs no validation: the daemon's own word about itself.
    pub fn set(&mut self, name: &str, value: &str) {
        if let Some(entry) = find(name) {
            self.values.insert(entry.name, value.to_owned());
        }
    }

    pub fn is_known(name: &str) -> bool {
        find(name).is_some()
    }

    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// The value of a number; every number's domain is checked before it gets here.
    pub fn number(&self, name: &str) -> u64 {
        self.text(name).parse().unwrap_or(0)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.text(name) == "true"
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.values.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// The variable of this name and the value as it is stored, or why not.
pub fn normalise(name: &str, value: &str) -> Result<(&'static Entry, String), String> {
    let entry = find(name).ok_or_else(|| format!("unknown global variable '{name}'"))?;
    let refuse = |wanted: String| Err(format!("{name}: '{value}' is refused: {wanted}"));
    let trimmed = value.trim();
    let stored = match entry.domain {
        Domain::Number(low, high) => match trimmed.parse::<u64>() {
            Ok(number) if (low..=high).contains(&number) => number.to_string(),
            _ => return refuse(format!("it takes a number from {low} to {high}")),
        },
        Domain::Flag => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => "true".to_owned(),
            "false" | "0" | "off" | "no" => "false".to_owned(),
            _ => return refuse("it takes true or false".into()),
        },
        Domain::OneOf(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(trimmed)) {
            Some(word) => (*word).to_owned(),
            None => return refuse(format!("it takes one of {}", words.join(", "))),
        },
        Domain::Addresses => {
            let is_address = |part: &str| part.trim().parse::<std::net::IpAddr>().is_ok();
            if !trimmed.split(';').all(is_address) {
                return refuse("it takes IP addresses, separated by ';'".into());
            }
            trimmed.to_owned()
        }
        Domain::Networks => match Networks::parse(trimmed) {
            Ok(_) => trimmed.to_owned(),
            Err(_) => return refuse("it takes networks (192.0.2.0/24), separated by ',', or *".into()),
        },
        Domain::Text => value.to_owned(),
    };
    Ok((entry, stored))
}

fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
}
