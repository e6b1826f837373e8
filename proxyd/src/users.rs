//! The users at runtime, by name: a million of them, each in one allocation beside its strings. Sessions share them.
//!
//! A proxy that has just started may not have read them all: until then a user who is wanted is asked of a [`UserSource`].

use std::fmt::Debug;
use std::hash::BuildHasher;
use std::ops::Deref;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::snapshot::{Credential, User};

/// What the table itself takes for each user: a pointer and a control byte, at the load that a table has on average.
const SLOT: usize = 14;

#[derive(Debug, Clone, Default)]
pub struct Users {
    hasher: DefaultHashBuilder,
    table: HashTable<Arc<NamedUser>>,
    /// Who is not in the table may be there.
    source: Option<Arc<dyn UserSource>>,
}

/// Where users are read one by one, for as long as they are not all in memory.
pub trait UserSource: Debug + Send + Sync {
    /// In microseconds: the caller serves others on the same thread.
    fn find(&self, name: &str) -> Result<Option<User>, Unreadable>;
}

/// Whether there is such a user cannot be told now. Soon all users are in memory, and then it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// A user as it was loaded; whoever has logged in as it holds on to that.
#[derive(Debug, Clone)]
pub struct NamedUser {
    pub name: Box<str>,
    user: User,
}

impl Deref for NamedUser {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

impl Users {
    /// None in memory yet; each is asked of `source`.
    pub fn from_source(source: Arc<dyn UserSource>) -> Users {
        Users { source: Some(source), ..Users::default() }
    }

    /// All of them are in memory.
    pub fn is_whole(&self) -> bool {
        self.source.is_none()
    }

    /// Adds or replaces a user; true when there was one of this name.
    pub fn insert(&mut self, name: Box<str>, user: User) -> bool {
        let hash = self.hasher.hash_one(&*name);
        let Users { hasher, table, .. } = self;
        match table.find_mut(hash, |entry| entry.name == name) {
            Some(entry) => {
                *entry = Arc::new(NamedUser { name, user });
                true
            }
            None => {
                let entry = Arc::new(NamedUser { name, user });
                table.insert_unique(hash, entry, |entry| hasher.hash_one(&*entry.name));
                false
            }
        }
    }

    /// True when there was such a user.
    pub fn remove(&mut self, name: &str) -> bool {
        let hash = self.hasher.hash_one(name);
        let found = self.table.find_entry(hash, |entry| &*entry.name == name);
        found.map(hashbrown::hash_table::OccupiedEntry::remove).is_ok()
    }

    /// As [`Users::find`], for those who can do without.
    pub fn get(&self, name: &str) -> Option<Arc<NamedUser>> {
        self.find(name).ok().flatten()
    }

    pub fn find(&self, name: &str) -> Result<Option<Arc<NamedUser>>, Unreadable> {
        let hash = self.hasher.hash_one(name);
        match (self.table.find(hash, |entry| &*entry.name == name), &self.source) {
            (Some(entry), _) => Ok(Some(entry.clone())),
            (None, None) => Ok(None),
            (None, Some(source)) => {
                let user = source.find(name)?;
                Ok(user.map(|user| Arc::new(NamedUser { name: name.into(), user })))
            }
        }
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut User> {
        let hash = self.hasher.hash_one(name);
        self.table.find_mut(hash, |entry| &*entry.name == name).map(|entry| &mut Arc::make_mut(entry).user)
    }

    /// How many are in memory.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Those in memory.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &User)> {
        self.table.iter().map(|entry| (&*entry.name, &entry.user))
    }

    /// About the memory they take.
    pub fn bytes(&self) -> usize {
        let strings = |entry: &NamedUser| {
            let User { credential, backend_credential, default_schema, .. } = &entry.user;
            let of = |credential: &Credential| match credential {
                Credential::Clear(text) | Credential::Sha2(text) => text.len(),
                Credential::Native(_) => 0,
            };
            entry.name.len()
                + default_schema.len()
                + of(credential)
                + backend_credential.as_ref().map_or(0, of)
        };
        self.table.iter().map(|entry| SLOT + size_of::<NamedUser>() + strings(entry)).sum()
    }
}

impl FromIterator<(Box<str>, User)> for Users {
    fn from_iter<I: IntoIterator<Item = (Box<str>, User)>>(rows: I) -> Users {
        let mut users = Users::default();
        for (name, user) in rows {
            users.insert(name, user);
        }
        users
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(max_connections: u32) -> User {
        User {
            credential: Credential::Clear("secret".into()),
            backend_credential: None,
            default_hostgroup: 0,
            default_schema: "".into(),
            transaction_persistent: true,
            schema_locked: false,
            fast_forward: false,
            isolation: None,
            spiffe_id: None,
            use_ssl: false,
            max_connections,
        }
    }

    #[test]
    fn names_are_found_replaced_and_removed() {
        let mut users: Users = (0..1000).map(|n| (format!("user{n}").into(), user(n))).collect();
        assert_eq!(users.len(), 1000);
        assert_eq!(users.get("user7").unwrap().max_connections, 7);
        assert!(users.insert("user7".into(), user(9)));
        assert_eq!(users.get("user7").unwrap().max_connections, 9);
        assert!(users.remove("user7") && !users.remove("user7"));
        assert!(users.get("user7").is_none() && users.get("").is_none());
        assert_eq!(users.iter().count(), 999);
        assert!(users.bytes() / users.len() < 300, "{}", users.bytes() / users.len());
        assert!(users.is_whole());
    }

    #[derive(Debug)]
    struct File;

    impl UserSource for File {
        fn find(&self, name: &str) -> Result<Option<User>, Unreadable> {
            match name {
                "saved" => Ok(Some(user(5))),
                "damaged" => Err(Unreadable),
                _ => Ok(None),
            }
        }
    }

    #[test]
    fn who_is_not_in_memory_yet_is_asked_of_the_source() {
        let mut users = Users::from_source(Arc::new(File));
        assert!(!users.is_whole());
        let saved = users.find("saved").unwrap().expect("a user");
        assert_eq!((&*saved.name, saved.max_connections), ("saved", 5));
        assert!(users.find("stranger").unwrap().is_none());
        assert_eq!(users.find("damaged").err(), Some(Unreadable));
        assert!(users.get("damaged").is_none());
        users.insert("saved".into(), user(6));
        assert_eq!(users.get("saved").expect("a user").max_connections, 6);
        assert_eq!(users.len(), 1);
    }
}
