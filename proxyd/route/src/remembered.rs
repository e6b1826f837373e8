//! The rules whose expression matches a digest text, for the texts that came lately: a digest comes again and again, and to
//! search it is to look at every byte of it.

/// So many texts are known at a time; one that comes takes the place of the one before it.
const PLACES: usize = 512;
/// Longer texts, and longer lists of rules, are not kept.
const LONGEST: usize = 512;
const MOST_RULES: usize = 32;

/// What one thread remembers of one set of rules.
#[derive(Debug, Clone, Default)]
pub(super) struct Remembered {
    /// The number of the set; whoever asks for another begins anew.
    set: u64,
    searches: Vec<Search>,
}

#[derive(Debug, Clone, Default)]
struct Search {
    text: String,
    found: Vec<u32>,
}

impl Remembered {
    /// Appends to `places` what `search` appends for this text; `hash` is the text's, in whose place another may be. True: only
    /// those that `confirm` says yes to.
    pub(super) fn find(
        &mut self,
        set: u64,
        (hash, text): (u64, &str),
        places: &mut Vec<u32>,
        search: impl FnOnce(&mut Vec<u32>),
        confirm: impl Fn(u32) -> bool,
    ) -> bool {
        if self.set != set {
            *self = Remembered { set, searches: Vec::new() };
            // The room is made by whoever comes again: some ask once.
            search(places);
            return false;
        }
        if self.searches.is_empty() {
            self.searches.resize(PLACES, Search::default());
        }
        let known = self.searches.get_mut((hash % PLACES as u64) as usize);
        let Some(known) = known.filter(|_| !text.is_empty() && text.len() <= LONGEST) else {
            search(places);
            return false;
        };
        if known.text != text {
            let before = places.len();
            search(places);
            if places.len() - before > MOST_RULES {
                return false;
            }
            known.text.clear();
            known.text.push_str(text);
            known.found.clear();
            known.found.extend(places.drain(before..).filter(|&place| confirm(place)));
        }
        places.extend_from_slice(&known.found);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the text was searched, which finds its length and an odd number; the odd ones are not confirmed.
    fn searches(remembered: &mut Remembered, set: u64, text: &str) -> bool {
        let (mut places, mut searched) = (vec![7], false);
        let search = |places: &mut Vec<u32>| {
            searched = true;
            places.extend([text.len() as u32, 9]);
        };
        let confirmed = remembered.find(set, (1, text), &mut places, search, |place| place % 2 == 0);
        let all = [7, text.len() as u32, 9];
        assert_eq!(places, all[..if confirmed { 2 } else { 3 }]);
        searched
    }

    #[test]
    fn a_text_is_searched_once_in_each_set() {
        let mut remembered = Remembered::default();
        let times =
            |remembered: &mut Remembered, set, text: &str| [(); 4].map(|()| searches(remembered, set, text));
        // The first question makes no room for the answer.
        assert_eq!(times(&mut remembered, 1, "SELECT"), [true, true, false, false]);
        assert_eq!(times(&mut remembered, 2, "SELECT"), [true, true, false, false]);
        assert_eq!(times(&mut remembered, 2, "of the same hash"), [true, false, false, false]);
        assert_eq!(times(&mut remembered, 2, "SELECT"), [true, false, false, false]);
        assert_eq!(times(&mut remembered, 2, ""), [true; 4]);
        assert_eq!(times(&mut remembered, 2, &"x".repeat(LONGEST + 2)), [true; 4]);
    }
}
