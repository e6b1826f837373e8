//! The change of schema that a client has not been told of yet.
//!
//! A CALL that failed leaves "the schema has changed" with its server, which says so late: MySQL with the next OK, MariaDB
//! with the next OK that says another change too. A backend says it earlier than a client's own connection would, because
//! it sends an OK where the client gets an EOF, and because it tracks more than the client sees. So it is kept for as
//! long. (Neither server documents this; it is what both do, direct.)

use super::session_track::{Change, changes};

/// Who still has to say that the schema has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SchemaDebt {
    #[default]
    Nobody,
    /// A call that failed may have left it with the server.
    Server,
    /// The server has said it; the client has not been told.
    Us,
}

/// The debt during one response.
#[derive(Debug, Default)]
pub struct SchemaNews {
    pub debt: SchemaDebt,
    /// The session's schema; needed only for [`SchemaDebt::Us`].
    pub name: Box<[u8]>,
    /// The server says it only beside another change: MariaDB.
    pub needs_company: bool,
    /// The command itself changes the schema.
    pub is_asked_for: bool,
}

impl SchemaNews {
    /// Whether an OK without any change may have to tell one.
    pub(super) fn is_due(&self) -> bool {
        self.debt == SchemaDebt::Us && !self.needs_company
    }

    /// Takes the changes that an OK has for the client; leaves what the client is to be told now.
    pub(super) fn settle(&mut self, block: &mut Vec<u8>) {
        let tells = schema(block).is_some();
        let has_company = changes(block).any(|change| !matches!(change, Ok(Change::Schema(_))));
        let must_wait = self.needs_company && !has_company;
        match self.debt {
            SchemaDebt::Nobody => {}
            _ if tells && must_wait && !self.is_asked_for => self.withhold(&std::mem::take(block)),
            _ if tells => self.debt = SchemaDebt::Nobody,
            SchemaDebt::Us if !must_wait => {
                Change::Schema(&self.name).put(block);
                self.debt = SchemaDebt::Nobody;
            }
            SchemaDebt::Server | SchemaDebt::Us => {}
        }
    }

    /// These changes do not reach the client.
    pub(super) fn withhold(&mut self, block: &[u8]) {
        if let Some(name) = schema(block) {
            self.name = name.into();
            self.debt = SchemaDebt::Us;
        }
    }
}

fn schema(block: &[u8]) -> Option<&[u8]> {
    changes(block).map_while(Result::ok).find_map(|change| match change {
        Change::Schema(name) => Some(name),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Change<'_> = Change::Schema(b"shop");
    const ZONE: Change<'_> = Change::SystemVariable { name: b"time_zone", value: b"UTC" };

    fn block(list: &[Change<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        list.iter().for_each(|change| change.put(&mut out));
        out
    }

    fn told(news: &mut SchemaNews, said: &[Change<'_>]) -> Vec<u8> {
        let mut block = block(said);
        news.settle(&mut block);
        block
    }

    #[test]
    fn mysql_says_it_with_the_next_ok() {
        let mut news = SchemaNews::default();
        assert_eq!(told(&mut news, &[SCHEMA]), block(&[SCHEMA]));
        news.withhold(&block(&[ZONE]));
        assert_eq!(told(&mut news, &[]), block(&[]));
        news.withhold(&block(&[SCHEMA]));
        assert!(news.is_due());
        assert_eq!(told(&mut news, &[]), block(&[SCHEMA]));
        assert_eq!(told(&mut news, &[]), block(&[]));
        news.withhold(&block(&[SCHEMA]));
        assert_eq!(told(&mut news, &[Change::Schema(b"other")]), block(&[Change::Schema(b"other")]));
        assert_eq!(news.debt, SchemaDebt::Nobody);
    }

    #[test]
    fn mariadb_says_it_beside_another_change() {
        let left = || SchemaNews { debt: SchemaDebt::Server, needs_company: true, ..SchemaNews::default() };
        let mut news = left();
        assert_eq!(told(&mut news, &[SCHEMA]), block(&[]));
        assert_eq!(told(&mut news, &[]), block(&[]));
        assert_eq!(told(&mut news, &[ZONE]), block(&[ZONE, SCHEMA]));
        assert_eq!(news.debt, SchemaDebt::Nobody);
        assert_eq!(told(&mut left(), &[SCHEMA, ZONE]), block(&[SCHEMA, ZONE]));
        let mut asked = SchemaNews { is_asked_for: true, ..left() };
        assert_eq!(told(&mut asked, &[SCHEMA]), block(&[SCHEMA]));
    }
}
