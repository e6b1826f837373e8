//! The statements that a worker knows: each text once, whoever prepared it and on however many connections. No I/O.
//!
//! Two clients share a statement if its text means the same for both: same user, same schema, same settings. What the
//! server said of it (columns, parameters) answers the next COM_STMT_PREPARE without asking, for a moment: a table may
//! be altered meanwhile. A schema change that this proxy sees ends the moment at once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Deref;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proxyd_sql::{Detail, Digest, Flags, Kind, Statement};
use proxyd_wire::response::Description;

use crate::session::settings::Settings;
use crate::snapshot::HostgroupId;
use crate::stats::StatementRow;

/// How long a description is taken for true when nobody was seen to change a schema.
const FRESH: Duration = Duration::from_secs(1);
/// What the unused statements of a worker may take, in bytes, whatever their number.
const MAX_BYTES: usize = 64 << 20;

/// A statement as all its users see it.
#[derive(Debug)]
pub struct Shared {
    /// Unique in the process (`global_stmt_id`).
    pub id: u64,
    pub user: Box<str>,
    /// What the text was prepared under: schema, character set, session variables.
    pub environment: Settings,
    /// As the servers get it: after a rule's `replace_pattern`.
    pub text: Box<[u8]>,
    pub digest: Digest,
    pub class: Statement<'static>,
    described: RefCell<Option<Described>>,
    clients: Cell<u32>,
    servers: Cell<u32>,
}

#[derive(Debug, Clone)]
struct Described {
    description: Rc<Description>,
    hostgroup: HostgroupId,
    epoch: u64,
    at: Instant,
}

impl Shared {
    /// The last description a server gave.
    pub fn description(&self) -> Option<Rc<Description>> {
        self.described.borrow().as_ref().map(|it| it.description.clone())
    }

    /// The description holds for one client only: it is not to be given to others.
    pub fn distrust(&self) {
        if let Some(described) = &mut *self.described.borrow_mut() {
            described.epoch = u64::MAX;
        }
    }

    fn size(&self) -> usize {
        let described = self.described.borrow().as_ref().map_or(0, |it| it.description.size());
        size_of::<Shared>() + self.text.len() + self.digest.text.len() + described
    }

    fn row(&self) -> StatementRow {
        let description = self.description();
        StatementRow {
            id: self.id,
            schema: self.environment.schema.to_string(),
            user: self.user.to_string(),
            digest: self.digest.hash,
            clients: self.clients.get(),
            servers: self.servers.get(),
            columns: description.as_ref().map_or(0, |it| it.columns),
            parameters: description.as_ref().map_or(0, |it| it.parameters),
            text: String::from_utf8_lossy(&self.text).into_owned(),
        }
    }
}

/// Somebody's hold on a statement, counted in `stats_mysql_prepared_statements_info`.
#[derive(Debug)]
pub struct Hold {
    shared: Rc<Shared>,
    counter: fn(&Shared) -> &Cell<u32>,
}

impl Hold {
    pub fn by_client(shared: &Rc<Shared>) -> Hold {
        Hold::new(shared, |shared| &shared.clients)
    }

    pub fn by_server(shared: &Rc<Shared>) -> Hold {
        Hold::new(shared, |shared| &shared.servers)
    }

    fn new(shared: &Rc<Shared>, counter: fn(&Shared) -> &Cell<u32>) -> Hold {
        let count = counter(shared);
        count.set(count.get() + 1);
        Hold { shared: shared.clone(), counter }
    }

    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }
}

impl Deref for Hold {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let count = (self.counter)(&self.shared);
        count.set(count.get() - 1);
    }
}

/// One worker's statements.
#[derive(Debug)]
pub struct Cache {
    /// By the hash of what makes a statement; almost always one a place.
    by_hash: HashMap<u64, Vec<Rc<Shared>>>,
    hasher: RandomState,
    count: usize,
    bytes: usize,
    /// Grows with every schema change that was seen.
    epoch: u64,
    next_id: u64,
    /// Workers count in steps, so that ids are unique in the process.
    step: u64,
    /// Statements that came when the cache was full of ones in use: it is swept again after some more of them.
    turned_away: usize,
}

/// What makes two statements the same.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub user: &'a str,
    pub environment: &'a Settings,
    pub text: &'a [u8],
}

impl Key<'_> {
    fn is(&self, shared: &Shared) -> bool {
        *shared.text == *self.text && *shared.user == *self.user && shared.environment == *self.environment
    }
}

impl Cache {
    /// The cache of worker `index` of `workers`.
    pub fn new(index: usize, workers: usize) -> Cache {
        Cache {
            by_hash: HashMap::new(),
            hasher: RandomState::new(),
            count: 0,
            bytes: 0,
            epoch: 0,
            next_id: index as u64 + 1,
            step: workers.max(1) as u64,
            turned_away: 0,
        }
    }

    /// The statement with this key; made, with its digest, if it is new or cannot be shared. At most `limit` are kept that nobody uses.
    pub fn find_or_make(
        &mut self,
        key: Key<'_>,
        class: &Statement<'_>,
        limit: usize,
        digest: impl FnOnce() -> Digest,
    ) -> Rc<Shared> {
        let hash = self.hash(&key);
        let place = self.by_hash.get(&hash).filter(|_| !is_of_one_client(class));
        if let Some(found) = place.and_then(|place| place.iter().find(|shared| key.is(shared))) {
            return found.clone();
        }
        let id = self.next_id;
        self.next_id += self.step;
        let shared = Rc::new(Shared {
            id,
            user: key.user.into(),
            environment: key.environment.clone(),
            text: key.text.into(),
            digest: digest(),
            class: Statement { kind: class.kind, flags: class.flags, detail: Detail::None },
            described: RefCell::new(None),
            clients: Cell::new(0),
            servers: Cell::new(0),
        });
        if self.has_room(limit) {
            self.count += 1;
            self.bytes += shared.size();
            self.by_hash.entry(hash).or_default().push(shared.clone());
        }
        shared
    }

    /// A server has described the statement.
    pub fn describe(
        &mut self,
        shared: &Shared,
        description: Description,
        hostgroup: HostgroupId,
        now: Instant,
    ) {
        let described =
            Described { description: Rc::new(description), hostgroup, epoch: self.epoch, at: now };
        let grown = described.description.size();
        let earlier = shared.described.replace(Some(described));
        // One that the cache turned away is counted all the same until the next sweep: a bound may be early.
        self.bytes = (self.bytes + grown).saturating_sub(earlier.map_or(0, |it| it.description.size()));
    }

    /// The description to answer a client with, if it is fresh enough and from this hostgroup.
    pub fn fresh(&self, shared: &Shared, hostgroup: HostgroupId, now: Instant) -> Option<Rc<Description>> {
        let described = shared.described.borrow();
        let fresh = |it: &&Described| {
            it.hostgroup == hostgroup
                && it.epoch == self.epoch
                && now.saturating_duration_since(it.at) < FRESH
        };
        described.as_ref().filter(fresh).map(|it| it.description.clone())
    }

    /// Somebody changed a schema: no description is to be trusted any more.
    pub fn schema_changed(&mut self) {
        self.epoch += 1;
    }

    /// How many statements are kept.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The rows of `stats_mysql_prepared_statements_info`.
    pub fn rows(&self) -> Vec<StatementRow> {
        self.by_hash.values().flatten().map(|shared| shared.row()).collect()
    }

    /// Statements that clients have open, and different ones among them; the same of servers.
    pub fn active(&self) -> Active {
        let mut active = Active { max_id: self.next_id.saturating_sub(self.step), ..Active::default() };
        for shared in self.by_hash.values().flatten() {
            let (clients, servers) = (u64::from(shared.clients.get()), u64::from(shared.servers.get()));
            active.client_total += clients;
            active.client_unique += u64::from(clients > 0);
            active.server_total += servers;
            active.server_unique += u64::from(servers > 0);
        }
        active
    }

    fn hash(&self, key: &Key<'_>) -> u64 {
        self.hasher.hash_one((key.user, &key.environment.schema, key.text))
    }

    /// Whether one more statement may be kept; sweeps out the unused ones if not.
    fn has_room(&mut self, limit: usize) -> bool {
        let full = |cache: &Cache| cache.count >= limit || cache.bytes >= MAX_BYTES;
        if !full(self) {
            return true;
        }
        if self.turned_away > 0 && self.turned_away < limit / 8 {
            self.turned_away += 1;
            return false;
        }
        self.sweep();
        self.turned_away = usize::from(full(self));
        !full(self)
    }

    fn sweep(&mut self) {
        let (mut count, mut bytes) = (0, 0);
        self.by_hash.retain(|_, place| {
            place.retain(|shared| Rc::strong_count(shared) > 1);
            count += place.len();
            bytes += place.iter().map(|shared| shared.size()).sum::<usize>();
            !place.is_empty()
        });
        (self.count, self.bytes) = (count, bytes);
    }
}

/// Counts of statements that are open now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Active {
    pub client_total: u64,
    pub client_unique: u64,
    pub server_total: u64,
    pub server_unique: u64,
    pub max_id: u64,
}

/// Whether a statement is not to be shared: the types of a user variable when it was prepared stay in it.
pub fn is_of_one_client(statement: &Statement<'_>) -> bool {
    statement.flags.has(Flags::USER_VARIABLE)
}

/// Whether a statement may change what others are described as.
pub fn changes_schema(statement: &Statement<'_>) -> bool {
    use Kind::*;
    let definition = matches!(
        statement.kind,
        AlterTable
            | AlterView
            | CreateDatabase
            | CreateIndex
            | CreateTable
            | CreateTemporary
            | CreateView
            | DropDatabase
            | DropIndex
            | DropTable
            | DropView
            | RenameTable
    );
    definition || statement.flags.has(Flags::MULTI_STATEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::Charset;
    use proxyd_sql::classify;
    use proxyd_wire::Capabilities;

    fn make(cache: &mut Cache, text: &str, schema: &str, limit: usize) -> Rc<Shared> {
        let environment = Settings::new(schema, Charset::Id(45));
        let key = Key { user: "app", environment: &environment, text: text.as_bytes() };
        let mut digest = Digest::default();
        digest.hash = 7;
        cache.find_or_make(key, &classify(text.as_bytes()), limit, || digest)
    }

    fn description() -> Description {
        Description::parse(&[12, 0, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Capabilities::PROTOCOL_41)
            .unwrap()
            .1
    }

    #[test]
    fn a_statement_is_shared_by_those_for_whom_it_means_the_same() {
        let mut cache = Cache::new(1, 4);
        let first = make(&mut cache, "SELECT 1", "a", 100);
        assert!(Rc::ptr_eq(&first, &make(&mut cache, "SELECT 1", "a", 100)));
        let other = make(&mut cache, "SELECT 1", "b", 100);
        assert_eq!((first.id, other.id, cache.len()), (2, 6, 2));
    }

    #[test]
    fn a_description_is_fresh_for_a_moment_and_until_a_schema_changes() {
        let (mut cache, now) = (Cache::new(0, 1), Instant::now());
        let shared = make(&mut cache, "SELECT 1", "a", 100);
        assert!(cache.fresh(&shared, 5, now).is_none());
        cache.describe(&shared, description(), 5, now);
        assert!(cache.fresh(&shared, 5, now).is_some());
        assert!(cache.fresh(&shared, 6, now).is_none(), "another hostgroup may have other tables");
        assert!(cache.fresh(&shared, 5, now + FRESH).is_none());
        cache.schema_changed();
        assert!(cache.fresh(&shared, 5, now).is_none());
        assert!(shared.description().is_some());
        for (sql, changes) in
            [("ALTER TABLE t ADD b INT", true), ("SELECT 1; DROP TABLE t", true), ("UPDATE t SET a=1", false)]
        {
            assert_eq!(changes_schema(&classify(sql.as_bytes())), changes, "{sql}");
        }
    }

    #[test]
    fn a_statement_with_a_user_variable_is_one_clients() {
        let mut cache = Cache::new(0, 1);
        let [first, second] = [(), ()].map(|()| make(&mut cache, "SELECT @a", "a", 4));
        assert!(!Rc::ptr_eq(&first, &second) && first.id != second.id);
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn what_nobody_uses_makes_room_and_what_is_used_is_counted() {
        let mut cache = Cache::new(0, 1);
        let used = make(&mut cache, "SELECT 0", "a", 4);
        let (client, server) = (Hold::by_client(&used), Hold::by_server(&used));
        for n in 1..20 {
            make(&mut cache, &format!("SELECT {n}"), "a", 4);
            assert!(cache.len() <= 4);
        }
        assert!(Rc::ptr_eq(&used, &make(&mut cache, "SELECT 0", "a", 4)));
        let active = cache.active();
        assert_eq!((active.client_total, active.server_unique, active.max_id), (1, 1, 20));
        drop((client, server));
        assert_eq!(cache.active().server_total, 0);
    }
}
