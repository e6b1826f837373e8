//! The firewall whitelist: which statements a user may run, by their digests.
//!
//! A user's row for his address decides, else his row for any address (an empty one). As in ProxySQL a user without a
//! row may run nothing: whoever switches the firewall on lists every user first.

use std::collections::HashMap;

/// `mysql_firewall_whitelist_users.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Off,
    Detecting,
    Protecting,
}

impl Mode {
    /// From the column's word.
    pub fn from_column(word: &str) -> Option<Mode> {
        match word {
            "OFF" => Some(Mode::Off),
            "DETECTING" => Some(Mode::Detecting),
            "PROTECTING" => Some(Mode::Protecting),
            _ => None,
        }
    }
}

/// What is to be done with a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// It is not on the list; let it through and say so.
    Detected,
    Blocked,
}

/// A statement as the firewall sees it.
#[derive(Debug, Clone, Copy)]
pub struct Suspect<'a> {
    pub username: &'a str,
    pub client_address: &'a str,
    pub schemaname: &'a str,
    /// After the query rules.
    pub flag: u32,
    pub digest: Option<u64>,
}

/// A row of `mysql_firewall_whitelist_rules`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub username: Box<str>,
    pub client_address: Box<str>,
    pub schemaname: Box<str>,
    pub flag_in: u32,
    pub digest: u64,
}

/// Both tables.
#[derive(Debug, Default)]
pub struct Firewall {
    /// Addresses and modes of each user.
    users: HashMap<Box<str>, Vec<(Box<str>, Mode)>>,
    by_digest: HashMap<u64, Vec<Permission>>,
}

impl Firewall {
    pub fn add_user(&mut self, username: &str, client_address: &str, mode: Mode) {
        self.users.entry(username.into()).or_default().push((client_address.into(), mode));
    }

    pub fn allow(&mut self, permission: Permission) {
        self.by_digest.entry(permission.digest).or_default().push(permission);
    }

    pub fn judge(&self, suspect: &Suspect<'_>) -> Verdict {
        let rows = self.users.get(suspect.username).map_or(&[][..], Vec::as_slice);
        let row = |address: &str| rows.iter().find(|(row, _)| **row == *address);
        let row = row(suspect.client_address).or_else(|| row(""));
        let (address, mode) = row.map_or(("", Mode::Protecting), |(address, mode)| (&**address, *mode));
        match mode {
            Mode::Off => Verdict::Allowed,
            _ if self.is_allowed(suspect, address) => Verdict::Allowed,
            Mode::Detecting => Verdict::Detected,
            Mode::Protecting => Verdict::Blocked,
        }
    }

    fn is_allowed(&self, suspect: &Suspect<'_>, address: &str) -> bool {
        let rows = suspect.digest.and_then(|digest| self.by_digest.get(&digest));
        rows.is_some_and(|rows| {
            rows.iter().any(|row| {
                *row.username == *suspect.username
                    && *row.client_address == *address
                    && *row.schemaname == *suspect.schemaname
                    && row.flag_in == suspect.flag
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_the_address_decides_then_the_row_of_any() {
        let mut firewall = Firewall::default();
        firewall.add_user("app", "", Mode::Protecting);
        firewall.add_user("app", "10.0.0.9", Mode::Off);
        firewall.add_user("batch", "", Mode::Detecting);
        firewall.allow(Permission {
            username: "app".into(),
            client_address: "".into(),
            schemaname: "shop".into(),
            flag_in: 0,
            digest: 7,
        });
        let judge = |username, client_address, schemaname, flag, digest| {
            firewall.judge(&Suspect { username, client_address, schemaname, flag, digest })
        };
        assert_eq!(judge("app", "10.0.0.1", "shop", 0, Some(7)), Verdict::Allowed);
        assert_eq!(judge("app", "10.0.0.1", "shop", 0, Some(8)), Verdict::Blocked);
        assert_eq!(judge("app", "10.0.0.1", "shop", 1, Some(7)), Verdict::Blocked);
        assert_eq!(judge("app", "10.0.0.1", "other", 0, Some(7)), Verdict::Blocked);
        assert_eq!(judge("app", "10.0.0.1", "shop", 0, None), Verdict::Blocked);
        assert_eq!(judge("app", "10.0.0.9", "other", 0, Some(8)), Verdict::Allowed);
        assert_eq!(judge("batch", "10.0.0.1", "shop", 0, Some(7)), Verdict::Detected);
        assert_eq!(judge("nobody", "10.0.0.1", "shop", 0, Some(7)), Verdict::Blocked);
    }
}
