//! The query cache of one worker: whole answers as the clients were sent them, by who asked what and in which session
//! settings. Pure: bytes and the time in, bytes out.
//!
//! A rule's `cache_ttl` puts an answer here; nothing but time, `PROXYSQL FLUSH QUERY CACHE` and lack of room takes it
//! out again. `mysql-query_cache_size_MB` is split evenly between the workers. An answer that is asked for often stays
//! when room is short (a clock's hand looks for one that is not); one that has expired goes first.

use std::hash::BuildHasher;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hashbrown::{DefaultHashBuilder, HashTable};

/// What an entry costs beyond its key and its bytes.
const OVERHEAD: usize = 160;
/// One answer takes no more than this part of a worker's share, so that one cannot drive out all others.
const LARGEST_SHARE: usize = 4;

/// A stored answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whole frames, the first with sequence number 1.
    pub frames: Rc<[u8]>,
    pub rows: u64,
}

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The rule's `cache_ttl`.
    pub ttl: Duration,
    /// `mysql-query_cache_soft_ttl_pct`: after this part of it one client fetches the answer anew while the others
    /// still get the old one. 0 and 100 switch that off.
    pub soft_pct: u32,
}

/// The numbers of `stats_mysql_global`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheStats {
    pub memory: u64,
    pub gets: u64,
    pub hits: u64,
    pub sets: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub purged: u64,
    pub entries: u64,
}

impl std::ops::AddAssign for CacheStats {
    fn add_assign(&mut self, other: CacheStats) {
        self.memory += other.memory;
        self.gets += other.gets;
        self.hits += other.hits;
        self.sets += other.sets;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.purged += other.purged;
        self.entries += other.entries;
    }
}

/// One worker's cache.
#[derive(Debug)]
pub struct QueryCache {
    hasher: DefaultHashBuilder,
    /// Places in `slots`.
    table: HashTable<usize>,
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Where the search for somebody to evict goes on.
    hand: usize,
    /// Where the search for what has expired goes on.
    broom: usize,
    budget: usize,
    stats: CacheStats,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    key: Box<[u8]>,
    answer: Answer,
    created: Instant,
    expires: Instant,
    /// Asked for since the hand last came by.
    seen: bool,
    /// Somebody is fetching it anew.
    refreshing: bool,
}

impl QueryCache {
    /// An empty cache of so many bytes.
    pub fn new(budget: usize) -> QueryCache {
        QueryCache {
            hasher: DefaultHashBuilder::default(),
            table: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            broom: 0,
            budget,
            stats: CacheStats::default(),
        }
    }

    /// Follows the variable: what no longer fits is evicted.
    pub fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
        self.make_room(0);
    }

    /// An answer longer than this is not kept.
    pub fn largest(&self) -> usize {
        self.budget / LARGEST_SHARE
    }

    /// The answer to this key, if there is one that is fresh enough.
    pub fn get(&mut self, key: &[u8], freshness: Freshness, now: Instant) -> Option<Answer> {
        self.stats.gets += 1;
        let place = self.find(self.hasher.hash_one(key), key)?;
        let entry = self.slots.get_mut(place)?.as_mut()?;
        if now >= entry.expires {
            self.remove(place);
            return None;
        }
        let age = now.saturating_duration_since(entry.created);
        if age >= freshness.ttl {
            // A rule that asks for less than the one that stored it; the answer may still do for others.
            return None;
        }
        let soft = matches!(freshness.soft_pct, 1..100);
        if soft && !entry.refreshing && age >= freshness.ttl * freshness.soft_pct / 100 {
            entry.refreshing = true;
            return None;
        }
        entry.seen = true;
        self.stats.hits += 1;
        self.stats.bytes_out += entry.answer.frames.len() as u64;
        Some(entry.answer.clone())
    }

    /// Keeps an answer for `ttl`, in the place of an older one.
    pub fn put(&mut self, key: &[u8], answer: Answer, ttl: Duration, now: Instant) {
        let hash = self.hasher.hash_one(key);
        if let Some(place) = self.find(hash, key) {
            self.remove(place);
        }
        let Some(expires) = now.checked_add(ttl) else { return };
        if answer.frames.len() > self.largest() {
            return;
        }
        let entry =
            Entry { hash, key: key.into(), answer, created: now, expires, seen: false, refreshing: false };
        if !self.make_room(entry.cost()) {
            return;
        }
        self.stats.sets += 1;
        self.stats.bytes_in += entry.answer.frames.len() as u64;
        self.stats.memory += entry.cost() as u64;
        self.stats.entries += 1;
        let place = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(place) {
            Some(slot) => *slot = Some(entry),
            None => self.slots.push(Some(entry)),
        }
        let slots = &self.slots;
        let hash_of =
            |&place: &usize| slots.get(place).and_then(Option::as_ref).map_or(0, |entry| entry.hash);
        self.table.insert_unique(hash, place, hash_of);
    }

    /// Removes what has expired among the next `at_most` places; called again and again it finds them all.
    pub fn purge(&mut self, at_most: usize, now: Instant) {
        for _ in 0..at_most.min(self.slots.len()) {
            self.broom = (self.broom + 1) % self.slots.len();
            if self.slots[self.broom].as_ref().is_some_and(|entry| now >= entry.expires) {
                self.remove(self.broom);
            }
        }
    }

    /// Forgets all; how many there were.
    pub fn flush(&mut self) -> u64 {
        let entries = self.stats.entries;
        self.table.clear();
        self.slots = Vec::new();
        self.free = Vec::new();
        (self.hand, self.broom) = (0, 0);
        self.stats.purged += entries;
        (self.stats.entries, self.stats.memory) = (0, 0);
        entries
    }

    pub fn stats(&self) -> CacheStats {
        self.stats
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let is =
            |&place: &usize| self.slots.get(place).and_then(Option::as_ref).is_some_and(|e| *e.key == *key);
        self.table.find(hash, is).copied()
    }

    fn remove(&mut self, place: usize) {
        let Some(entry) = self.slots.get_mut(place).and_then(Option::take) else { return };
        if let Ok(found) = self.table.find_entry(entry.hash, |&at| at == place) {
            found.remove();
        }
        self.free.push(place);
        self.stats.memory -= entry.cost() as u64;
        self.stats.entries -= 1;
        self.stats.purged += 1;
    }

    /// Evicts until so many bytes more fit. False when they never will.
    fn make_room(&mut self, cost: usize) -> bool {
        while self.stats.memory as usize + cost > self.budget {
            if !self.evict_one() {
                return false;
            }
        }
        true
    }

    /// False when nobody is there.
    fn evict_one(&mut self) -> bool {
        // After one round everybody's mark is gone, so the second one finds somebody.
        for _ in 0..self.slots.len() * 2 {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(entry) = &mut self.slots[self.hand] else { continue };
            if !std::mem::take(&mut entry.seen) {
                self.remove(self.hand);
                return true;
            }
        }
        false
    }
}

impl Entry {
    fn cost(&self) -> usize {
        OVERHEAD + self.key.len() + self.answer.frames.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FRESH: Freshness = Freshness { ttl: SECOND, soft_pct: 0 };

    fn answer(length: usize) -> Answer {
        Answer { frames: vec![7; length].into(), rows: 1 }
    }

    #[test]
    fn an_answer_is_given_until_it_expires() {
        let (mut cache, start) = (QueryCache::new(1 << 20), Instant::now());
        assert_eq!(cache.get(b"a", FRESH, start), None);
        cache.put(b"a", answer(10), SECOND, start);
        assert_eq!(cache.get(b"a", FRESH, start + SECOND * 999 / 1000), Some(answer(10)));
        assert_eq!(cache.get(b"b", FRESH, start), None);
        // A rule with a shorter ttl does not take it, and leaves it to others.
        let short = Freshness { ttl: SECOND / 10, soft_pct: 0 };
        assert_eq!(cache.get(b"a", short, start + SECOND / 2), None);
        assert_eq!(cache.get(b"a", FRESH, start + SECOND / 2), Some(answer(10)));
        assert_eq!(cache.get(b"a", FRESH, start + SECOND), None);
        let stats = cache.stats();
        assert_eq!((stats.gets, stats.hits, stats.sets, stats.purged), (6, 2, 1, 1));
        assert_eq!((stats.entries, stats.memory, stats.bytes_in, stats.bytes_out), (0, 0, 10, 20));
    }

    #[test]
    fn after_the_soft_ttl_one_client_fetches_anew() {
        let (mut cache, start) = (QueryCache::new(1 << 20), Instant::now());
        let soft = Freshness { ttl: SECOND, soft_pct: 50 };
        cache.put(b"a", answer(1), SECOND, start);
        assert!(cache.get(b"a", soft, start + SECOND / 4).is_some());
        assert!(cache.get(b"a", soft, start + SECOND / 2).is_none(), "the one that fetches");
        assert!(cache.get(b"a", soft, start + SECOND / 2).is_some(), "the others");
        cache.put(b"a", answer(2), SECOND, start + SECOND / 2);
        assert_eq!(cache.get(b"a", soft, start + SECOND * 3 / 4), Some(answer(2)));
    }

    #[test]
    fn the_budget_holds_and_what_is_asked_for_stays() {
        let (mut cache, start) = (QueryCache::new(100_000), Instant::now());
        cache.put(b"hot", answer(1000), SECOND, start);
        for n in 0..1000_u32 {
            cache.put(&n.to_le_bytes(), answer(1000), SECOND, start);
            assert!(cache.get(b"hot", FRESH, start).is_some(), "after {n}");
            assert!(cache.stats().memory <= 100_000);
        }
        assert!(cache.stats().entries > 80);
        cache.put(b"big", answer(30_000), SECOND, start);
        assert_eq!(cache.get(b"big", FRESH, start), None, "too large a part of the cache");
        cache.set_budget(10_000);
        assert!(cache.stats().memory <= 10_000 && cache.stats().entries > 0);
        cache.set_budget(0);
        assert_eq!(cache.stats().entries, 0);
        cache.put(b"a", answer(0), SECOND, start);
        assert_eq!(cache.stats().entries, 0);
    }

    #[test]
    fn the_broom_finds_what_nobody_asks_for() {
        let (mut cache, start) = (QueryCache::new(1 << 20), Instant::now());
        for n in 0..100_u32 {
            cache.put(&n.to_le_bytes(), answer(10), SECOND * (1 + n % 2), start);
        }
        for _ in 0..10 {
            cache.purge(10, start + SECOND);
        }
        assert_eq!(cache.stats().entries, 50);
        assert_eq!(cache.flush(), 50);
        assert_eq!(cache.stats().memory, 0);
        cache.put(b"a", answer(10), SECOND, start);
        assert!(cache.get(b"a", FRESH, start).is_some());
    }
}
