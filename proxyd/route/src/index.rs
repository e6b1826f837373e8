//! Which rules are worth trying on a query. Each rule is found by the one of its conditions that selects most, so that
//! the cost of a query follows the rules that may match it, not the rules that there are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use aho_corasick::{AhoCorasick, MatchKind};

use super::decide::QueryFacts;
use super::needs;
use super::remembered::Remembered;
use super::rule::QueryRule;

/// Places of rules, by how they are found; each list ascending.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// No other index of this process has it; 0 until it is finished.
    number: u64,
    by_digest: HashMap<u64, Vec<u32>>,
    in_digest_text: Literals,
    in_query: Literals,
    by_user: HashMap<Box<str>, Vec<u32>>,
    by_schema: HashMap<Box<str>, Vec<u32>>,
    others: Vec<u32>,
}

/// Literals of which one must be in a text, and the rules that want them.
#[derive(Debug, Default)]
struct Literals {
    automaton: Option<AhoCorasick>,
    texts: Vec<Vec<u8>>,
    /// The rules of each text.
    places: Vec<Vec<u32>>,
    by_text: HashMap<Vec<u8>, usize>,
}

impl Index {
    /// Takes in a rule. `linear` says that its expressions are in the language that [`needs::of`] reads. True: it is found by
    /// its `match_digest`.
    pub(super) fn add(&mut self, place: u32, rule: &QueryRule, linear: bool) -> bool {
        let needs = |expression: &Option<Box<str>>| {
            let expression = expression.as_deref().filter(|_| linear && !rule.negate_match_pattern)?;
            needs::of(expression)
        };
        if let Some(digest) = rule.digest {
            self.by_digest.entry(digest).or_default().push(place);
        } else if let Some(literals) = needs(&rule.match_digest) {
            self.in_digest_text.add(place, literals);
            return true;
        } else if let Some(literals) = needs(&rule.match_pattern) {
            self.in_query.add(place, literals);
        } else if let Some(user) = &rule.username {
            self.by_user.entry(user.clone()).or_default().push(place);
        } else if let Some(schema) = &rule.schemaname {
            self.by_schema.entry(schema.clone()).or_default().push(place);
        } else {
            self.others.push(place);
        }
        false
    }

    /// After the last rule. The error is the automaton's: it is too large.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        self.number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        self.in_digest_text.finish()?;
        self.in_query.finish()
    }

    /// The candidates change when a rule rewrites the query.
    pub(super) fn depends_on_query(&self) -> bool {
        self.in_query.automaton.is_some()
    }

    /// Fills `places` with the rules to try on this query, ascending. True: of those that are found by their `match_digest`
    /// only such that match it, as `confirm` says.
    pub(super) fn candidates(
        &self,
        facts: &QueryFacts<'_>,
        query: &[u8],
        remembered: &mut Remembered,
        places: &mut Vec<u32>,
        confirm: impl Fn(u32) -> bool,
    ) -> bool {
        let mut confirmed = false;
        places.clear();
        places.extend_from_slice(&self.others);
        let mut add = |list: Option<&Vec<u32>>| places.extend_from_slice(list.map_or(&[], Vec::as_slice));
        add(self.by_user.get(facts.username));
        add(self.by_schema.get(facts.schemaname));
        if let Some(digest) = &facts.digest {
            add(self.by_digest.get(&digest.hash));
            if self.in_digest_text.automaton.is_some() {
                let search = |places: &mut Vec<u32>| self.in_digest_text.find(digest.text.as_bytes(), places);
                confirmed = remembered.find(self.number, (digest.hash, digest.text), places, search, confirm);
            }
        }
        self.in_query.find(query, places);
        places.sort_unstable();
        places.dedup();
        confirmed
    }
}

impl Literals {
    fn add(&mut self, place: u32, literals: Vec<Vec<u8>>) {
        for literal in literals {
            let literal = literal.to_ascii_uppercase();
            let at = *self.by_text.entry(literal.clone()).or_insert_with(|| {
                self.texts.push(literal);
                self.places.push(Vec::new());
                self.texts.len() - 1
            });
            if let Some(places) = self.places.get_mut(at) {
                places.push(place);
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        let texts = std::mem::take(&mut self.texts);
        self.by_text = HashMap::new();
        if texts.is_empty() {
            return Ok(());
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(&texts)
            .map_err(|error| error.to_string())?;
        self.automaton = Some(automaton);
        Ok(())
    }

    fn find(&self, text: &[u8], found: &mut Vec<u32>) {
        let Some(automaton) = &self.automaton else { return };
        let before = found.len();
        for hit in automaton.find_overlapping_iter(text) {
            let places = self.places.get(hit.pattern().as_usize()).map_or(&[][..], Vec::as_slice);
            // A list that was found a moment ago is found again at each place in the text where its literal stands.
            if !found.get(before..).unwrap_or_default().ends_with(places) {
                found.extend_from_slice(places);
            }
        }
    }
}
