//! Collation ids of the handshake, in words that `SET NAMES` takes. Pure.

use super::settings::Charset;

const COLLATIONS: &str = include_str!("collations.txt");

/// The `SET` clause that gives a connection this character set; `None` when there is none to say.
pub fn set_clause(charset: &Charset) -> Option<String> {
    match charset {
        Charset::Unknown => None,
        Charset::Names(words) => Some(words.to_string()),
        // utf8mb4_0900_ai_ci is what MySQL 8.0 and later mean by utf8mb4, and what MariaDB does not know.
        Charset::Id(255) => Some("NAMES utf8mb4".to_owned()),
        Charset::Id(id) => {
            let (charset, collation) = names(*id)?;
            Some(format!("NAMES {charset} COLLATE {collation}"))
        }
    }
}

/// The id if it is known, else that of utf8mb4_general_ci (as `mysql-handle_unknown_charset=1`).
pub fn known_or_default(id: u16) -> u16 {
    if id == 255 || names(id).is_some() { id } else { 45 }
}

/// Id, character set, collation.
pub fn all() -> impl Iterator<Item = (u16, &'static str, &'static str)> {
    let listed = COLLATIONS.lines().filter_map(|line| {
        let mut words = line.split(' ');
        Some((words.next()?.parse().ok()?, words.next()?, words.next()?))
    });
    listed.chain([(255, "utf8mb4", "utf8mb4_0900_ai_ci")])
}

/// The collation that a character set has when none is named.
pub fn default_collation(charset: &str) -> &'static str {
    if charset == "latin1" {
        return "latin1_swedish_ci";
    }
    let of_charset = || all().filter(|(_, of, _)| *of == charset).map(|(_, _, collation)| collation);
    let general = of_charset().find(|collation| collation.ends_with("_general_ci"));
    general.or_else(|| of_charset().find(|collation| !collation.ends_with("_bin"))).unwrap_or_default()
}

fn names(id: u16) -> Option<(&'static str, &'static str)> {
    COLLATIONS.lines().find_map(|line| {
        let mut words = line.split(' ');
        (words.next()?.parse() == Ok(id)).then_some((words.next()?, words.next()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_set_has_a_default() {
        assert_eq!(default_collation("utf8mb4"), "utf8mb4_general_ci");
        assert_eq!(default_collation("gbk"), "gbk_chinese_ci");
        assert_eq!(default_collation("binary"), "binary");
        assert!(all().all(|(_, charset, _)| !default_collation(charset).is_empty()));
    }

    #[test]
    fn ids_become_names() {
        assert_eq!(set_clause(&Charset::Id(8)).unwrap(), "NAMES latin1 COLLATE latin1_swedish_ci");
        assert_eq!(set_clause(&Charset::Id(45)).unwrap(), "NAMES utf8mb4 COLLATE utf8mb4_general_ci");
        assert_eq!(set_clause(&Charset::Id(255)).unwrap(), "NAMES utf8mb4");
        assert_eq!(set_clause(&Charset::Id(250)), None);
        assert_eq!(known_or_default(250), 45);
        assert_eq!(known_or_default(63), 63);
    }
}
