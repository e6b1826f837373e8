//! The worker's part of `stats_mysql_query_digest`: how often each shape of statement ran, where, and for how long.
//!
//! A shape that is known is found by hash and counted in place: nothing is allocated, nothing is shared. The table is
//! bounded in entries and in bytes; what did not run again lately (a clock's hand finds it) makes room.

use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashTable};

/// What all workers together keep.
const MAX_ENTRIES: usize = 50_000;
const MAX_BYTES: usize = 64 << 20;

/// The hostgroup of what the query cache answered; the tables show it as -1.
pub const FROM_CACHE: u32 = u32::MAX;

/// What one row is about. `client` is empty unless `mysql-query_digests_track_hostname`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape<'a> {
    pub hostgroup: u32,
    pub schema: &'a str,
    pub user: &'a str,
    pub client: &'a str,
    pub digest: u64,
}

/// A shape that is kept, with its text.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    pub hostgroup: u32,
    pub schema: Box<str>,
    pub user: Box<str>,
    pub client: Box<str>,
    pub digest: u64,
    pub text: Box<str>,
}

/// The numbers of one row. Times are microseconds, except the two moments: seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DigestCounters {
    pub count: u64,
    pub first_seen: u64,
    pub last_seen: u64,
    pub sum_time: u64,
    pub min_time: u64,
    pub max_time: u64,
    pub rows_affected: u64,
    pub rows_sent: u64,
}

/// A row of `stats_mysql_query_digest`.
#[derive(Debug, Clone)]
pub struct DigestRow {
    pub identity: Arc<Identity>,
    pub counters: DigestCounters,
}

/// A statement that has run.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// Seconds since 1970.
    pub now: u64,
    pub micros: u64,
    pub rows_affected: u64,
    pub rows_sent: u64,
}

/// The place of a shape in the table, while it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    place: usize,
    generation: u32,
}

/// One worker's table.
#[derive(Debug)]
pub struct Digests {
    hasher: DefaultHashBuilder,
    /// Places in `slots`.
    table: HashTable<usize>,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// The clock's hand: where the search for somebody to evict goes on.
    hand: usize,
    bytes: usize,
    max_entries: usize,
    max_bytes: usize,
    evicted: u64,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    /// Grows when the place gets another owner.
    generation: u32,
    /// Ran again since the hand last came by.
    seen: bool,
    identity: Option<Arc<Identity>>,
    counters: DigestCounters,
}

impl Digests {
    /// The share of one of so many workers.
    pub fn new(workers: usize) -> Digests {
        let workers = workers.max(1);
        Digests::bounded(MAX_ENTRIES / workers, MAX_BYTES / workers)
    }

    fn bounded(max_entries: usize, max_bytes: usize) -> Digests {
        Digests {
            hasher: DefaultHashBuilder::default(),
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
            max_entries: max_entries.max(1),
            max_bytes,
            evicted: 0,
        }
    }

    /// Finds or makes the place of a shape. `text` is copied only if it is new.
    pub fn enter(&mut self, shape: &Shape<'_>, text: &str) -> Ticket {
        let hash = self.hasher.hash_one(shape);
        let slots = &self.slots;
        let known = self.table.find(hash, |&place| slots.get(place).is_some_and(|slot| slot.is(shape)));
        match known.copied() {
            Some(place) => self.ticket(place),
            None => self.insert(hash, shape, text),
        }
    }

    /// Counts a statement that has run. False: its place was given away meanwhile.
    pub fn record(&mut self, ticket: Ticket, done: &Finished) -> bool {
        let slot = self.slots.get_mut(ticket.place).filter(|slot| slot.generation == ticket.generation);
        let Some(slot) = slot else { return false };
        // What runs once is the first to go.
        slot.seen |= slot.counters.count > 0;
        slot.counters.add(&DigestCounters {
            count: 1,
            first_seen: done.now,
            last_seen: done.now,
            sum_time: done.micros,
            min_time: done.micros,
            max_time: done.micros,
            rows_affected: done.rows_affected,
            rows_sent: done.rows_sent,
        });
        true
    }

    /// The rows that counted something. With `reset` they count from zero again; their places stay theirs, so that
    /// what is running now is counted when it ends.
    pub fn report(&mut self, reset: bool) -> Vec<DigestRow> {
        let mut rows = Vec::with_capacity(self.table.len());
        for slot in &mut self.slots {
            let Some(identity) = slot.identity.as_ref().filter(|_| slot.counters.count > 0) else { continue };
            rows.push(DigestRow { identity: identity.clone(), counters: slot.counters });
            if reset {
                slot.counters = DigestCounters::default();
                slot.seen = false;
            }
        }
        rows
    }

    /// Shapes that had to make room for others.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Roughly what the table takes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn ticket(&self, place: usize) -> Ticket {
        Ticket { place, generation: self.slots.get(place).map_or(0, |slot| slot.generation) }
    }

    fn insert(&mut self, hash: u64, shape: &Shape<'_>, text: &str) -> Ticket {
        let identity = Arc::new(Identity::new(shape, text));
        let cost = identity.cost();
        while self.table.len() >= self.max_entries || self.bytes + cost > self.max_bytes {
            if !self.evict_one() {
                break;
            }
        }
        let place = self.free.pop().unwrap_or(self.slots.len());
        let identity = Some(identity);
        match self.slots.get_mut(place) {
            Some(slot) => {
                let generation = slot.generation;
                *slot = Slot { hash, generation, seen: false, identity, counters: DigestCounters::default() };
            }
            None => self.slots.push(Slot {
                hash,
                generation: 0,
                seen: false,
                identity,
                counters: DigestCounters::default(),
            }),
        }
        self.bytes += cost;
        let slots = &self.slots;
        self.table.insert_unique(hash, place, |&place| slots.get(place).map_or(0, |slot| slot.hash));
        self.ticket(place)
    }

    /// Gives away the place of a shape that was not seen since the hand last came by. False when nobody is there.
    fn evict_one(&mut self) -> bool {
        // After one round everybody's mark is gone, so the second one finds somebody.
        for _ in 0..self.slots.len() * 2 {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(slot) = self.slots.get_mut(place).filter(|slot| slot.identity.is_some()) else {
                continue;
            };
            if std::mem::take(&mut slot.seen) {
                continue;
            }
            slot.generation = slot.generation.wrapping_add(1);
            let cost = slot.identity.take().map_or(0, |identity| identity.cost());
            if let Ok(entry) = self.table.find_entry(slot.hash, |&at| at == place) {
                entry.remove();
            }
            self.bytes = self.bytes.saturating_sub(cost);
            self.free.push(place);
            self.evicted += 1;
            return true;
        }
        false
    }
}

impl Slot {
    fn is(&self, shape: &Shape<'_>) -> bool {
        self.identity.as_ref().is_some_and(|identity| identity.shape() == *shape)
    }
}

impl Identity {
    fn new(shape: &Shape<'_>, text: &str) -> Identity {
        Identity {
            hostgroup: shape.hostgroup,
            schema: shape.schema.into(),
            user: shape.user.into(),
            client: shape.client.into(),
            digest: shape.digest,
            text: text.into(),
        }
    }

    fn shape(&self) -> Shape<'_> {
        Shape {
            hostgroup: self.hostgroup,
            schema: &self.schema,
            user: &self.user,
            client: &self.client,
            digest: self.digest,
        }
    }

    /// With its slot, its entry in the hash table and what an allocation costs.
    fn cost(&self) -> usize {
        let texts = [&self.schema, &self.user, &self.client, &self.text];
        let fixed = size_of::<Identity>() + size_of::<Slot>() + 2 * size_of::<usize>() + 64;
        fixed + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}

impl DigestCounters {
    /// Adds what another worker, or one more statement, counted.
    pub fn add(&mut self, other: &DigestCounters) {
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.count += other.count;
        self.first_seen = self.first_seen.min(other.first_seen);
        self.last_seen = self.last_seen.max(other.last_seen);
        self.sum_time += other.sum_time;
        self.min_time = self.min_time.min(other.min_time);
        self.max_time = self.max_time.max(other.max_time);
        self.rows_affected += other.rows_affected;
        self.rows_sent += other.rows_sent;
    }
}

/// The rows of all workers, one for each shape.
pub fn merge(reports: Vec<Vec<DigestRow>>) -> Vec<DigestRow> {
    let mut sums: std::collections::HashMap<Arc<Identity>, DigestCounters> = std::collections::HashMap::new();
    for row in reports.into_iter().flatten() {
        sums.entry(row.identity).or_default().add(&row.counters);
    }
    sums.into_iter().map(|(identity, counters)| DigestRow { identity, counters }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(digest: u64) -> Shape<'static> {
        Shape { hostgroup: 1, schema: "shop", user: "app", client: "", digest }
    }

    fn ran(now: u64, micros: u64) -> Finished {
        Finished { now, micros, rows_affected: 1, rows_sent: 2 }
    }

    #[test]
    fn a_shape_is_counted_where_it_is() {
        let mut digests = Digests::new(2);
        let first = digests.enter(&shape(7), "SELECT ?");
        assert_eq!(digests.enter(&shape(7), "never copied"), first);
        assert_ne!(digests.enter(&Shape { hostgroup: 2, ..shape(7) }, "SELECT ?"), first);
        assert!(digests.record(first, &ran(100, 50)) && digests.record(first, &ran(90, 10)));
        let rows = digests.report(false);
        assert_eq!(rows.len(), 1, "the other one has not run");
        assert_eq!(&*rows[0].identity.text, "SELECT ?");
        let expected = DigestCounters {
            count: 2,
            first_seen: 90,
            last_seen: 100,
            sum_time: 60,
            min_time: 10,
            max_time: 50,
            rows_affected: 2,
            rows_sent: 4,
        };
        assert_eq!(rows[0].counters, expected);
        let both = merge(vec![rows.clone(), rows]);
        assert_eq!((both.len(), both[0].counters.count, both[0].counters.sum_time), (1, 4, 120));
    }

    #[test]
    fn a_reset_starts_from_zero_and_loses_nothing_that_runs() {
        let mut digests = Digests::new(1);
        let ticket = digests.enter(&shape(7), "SELECT ?");
        digests.record(ticket, &ran(1, 1));
        assert_eq!(digests.report(true)[0].counters.count, 1);
        assert!(digests.report(false).is_empty());
        assert!(digests.record(ticket, &ran(5, 9)));
        assert_eq!(digests.report(false)[0].counters.first_seen, 5);
    }

    #[test]
    fn the_bounds_hold_and_what_is_in_use_stays() {
        let mut digests = Digests::bounded(100, 1 << 20);
        let hot = digests.enter(&shape(0), "hot");
        for digest in 1..10_000 {
            assert!(digests.record(hot, &ran(digest, 1)), "in use, and evicted at {digest}");
            let ticket = digests.enter(&shape(digest), "SELECT ?");
            assert!(digests.record(ticket, &ran(digest, 1)));
            assert!(digests.table.len() <= 100 && digests.slots.len() <= 100);
        }
        assert_eq!(digests.evicted(), 9_900);
        assert_eq!(digests.report(false).len(), 100);
    }

    #[test]
    fn bytes_are_bounded_too_and_given_back() {
        let mut digests = Digests::bounded(1_000, 64 << 10);
        let long = "x".repeat(2_000);
        for digest in 0..1_000 {
            digests.enter(&shape(digest), &long);
            assert!(digests.bytes() <= 64 << 10);
        }
        let cost = Identity::new(&shape(0), &long).cost();
        assert_eq!(digests.bytes(), digests.table.len() * cost);
        let before = digests.enter(&shape(999), &long);
        for digest in 2_000..4_000 {
            digests.enter(&shape(digest), &long);
        }
        assert!(!digests.record(before, &ran(1, 1)), "its place is another's");
    }
}
