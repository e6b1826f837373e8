//! `mysql_query_rules_fast_routing`: user, schema and flag lead to a hostgroup; a million rows, each a few bytes more
//! than its names.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// The rows, by their key.
#[derive(Debug, Default)]
pub struct FastRouting {
    hasher: DefaultHashBuilder,
    /// Places in `rows`.
    table: HashTable<u32>,
    rows: Vec<Row>,
    /// User and schema of every row, one after the other.
    names: String,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    /// Where the user's name begins; the schema's follows it.
    at: u32,
    user: u16,
    schema: u16,
    flag_in: u32,
    hostgroup: u32,
}

#[derive(PartialEq, Eq, Hash)]
struct Key<'a> {
    user: &'a str,
    schema: &'a str,
    flag_in: u32,
}

impl FastRouting {
    /// Adds a row; the key is new. Names beyond 64 KiB, or 4 GiB of them all together, are refused.
    pub fn add(&mut self, user: &str, schema: &str, flag_in: u32, hostgroup: u32) -> Result<(), String> {
        let (Ok(at), Ok(place), Ok(user_length), Ok(schema_length)) = (
            u32::try_from(self.names.len() + user.len() + schema.len()).map(|_| self.names.len() as u32),
            u32::try_from(self.rows.len()),
            u16::try_from(user.len()),
            u16::try_from(schema.len()),
        ) else {
            return Err("the names are too long".into());
        };
        self.names.push_str(user);
        self.names.push_str(schema);
        self.rows.push(Row { at, user: user_length, schema: schema_length, flag_in, hostgroup });
        let hash = self.hasher.hash_one(Key { user, schema, flag_in });
        let FastRouting { hasher, table, rows, names } = self;
        table.insert_unique(hash, place, |&place| hasher.hash_one(key(rows, names, place)));
        Ok(())
    }

    /// The hostgroup of this user's row, or else of the row for any user (an empty name).
    pub fn find(&self, user: &str, schema: &str, flag_in: u32) -> Option<u32> {
        let row = |user| {
            let wanted = Key { user, schema, flag_in };
            let hash = self.hasher.hash_one(&wanted);
            let place = self.table.find(hash, |&place| key(&self.rows, &self.names, place) == wanted)?;
            self.rows.get(*place as usize).map(|row| row.hostgroup)
        };
        if self.rows.is_empty() { None } else { row(user).or_else(|| row("")) }
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What the rows take in memory.
    pub fn bytes(&self) -> usize {
        self.table.allocation_size() + self.rows.capacity() * size_of::<Row>() + self.names.capacity()
    }

    /// Gives back what growing took in advance.
    pub fn shrink(&mut self) {
        self.rows.shrink_to_fit();
        self.names.shrink_to_fit();
    }
}

fn key<'a>(rows: &[Row], names: &'a str, place: u32) -> Key<'a> {
    let row = rows.get(place as usize).copied();
    let row = row.unwrap_or(Row { at: 0, user: 0, schema: 0, flag_in: 0, hostgroup: 0 });
    let from = row.at as usize;
    let middle = from + usize::from(row.user);
    let user = names.get(from..middle).unwrap_or_default();
    let schema = names.get(middle..middle + usize::from(row.schema)).unwrap_or_default();
    Key { user, schema, flag_in: row.flag_in }
}

#[cfg(test)]
mod tests {
    use super::FastRouting;

    #[test]
    fn a_row_is_found_by_its_whole_key_and_the_empty_user_is_everybody() {
        let mut rows = FastRouting::default();
        assert_eq!(rows.find("app", "shop", 0), None);
        rows.add("app", "shop", 0, 1).unwrap();
        rows.add("app", "shop", 7, 2).unwrap();
        rows.add("", "shop", 0, 3).unwrap();
        rows.add("ap", "pshop", 0, 4).unwrap();
        assert_eq!(rows.find("app", "shop", 0), Some(1));
        assert_eq!(rows.find("app", "shop", 7), Some(2));
        assert_eq!(rows.find("other", "shop", 0), Some(3));
        assert_eq!(rows.find("ap", "pshop", 0), Some(4));
        assert_eq!(rows.find("other", "shop", 7), None);
        assert_eq!(rows.find("app", "", 0), None);
        assert!(rows.add(&"x".repeat(70_000), "", 0, 1).is_err());
        assert_eq!(rows.len(), 4);
    }

    #[test]
    fn many_rows() {
        let mut rows = FastRouting::default();
        (0..20_000).for_each(|n| rows.add(&format!("user{n}"), "shop", 0, n).unwrap());
        rows.shrink();
        assert!((0..20_000).all(|n| rows.find(&format!("user{n}"), "shop", 0) == Some(n)));
        assert!(rows.bytes() / rows.len() < 64, "{}", rows.bytes());
    }
}
