//! Sets as servers print them, and the same questions asked of a plain set of numbers.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const B: &str = "4350f323-7565-4e59-8763-4b1b83a0ce0e";

fn set(text: &str) -> GtidSet {
    text.parse().unwrap()
}

#[test]
fn parse_and_print() {
    for (text, printed) in [
        (String::new(), String::new()),
        (format!("{A}:1-5"), format!("{A}:1-5")),
        (format!("{A}:5"), format!("{A}:5")),
        (format!("{}:7", A.to_uppercase()), format!("{A}:7")),
        (format!("{A}:1-3:5-9:4"), format!("{A}:1-9")),
        (format!("{A}:11:1-3:2-5"), format!("{A}:1-5:11")),
        (format!("{B}:1-9,\n{A}:1-5"), format!("{A}:1-5,{B}:1-9")),
        (format!("{A}:1-5,{A}:6"), format!("{A}:1-6")),
        (format!(" {A} : 1 - 5 : 7 , "), format!("{A}:1-5:7")),
        (format!("{A}:1-6:mytag:1"), format!("{A}:1-6:mytag:1")),
        (format!("{A}:MyTag:2:1-1,{A}:3"), format!("{A}:3:mytag:1-2")),
        (format!("{A}:b:1:a:2"), format!("{A}:a:2:b:1")),
    ] {
        assert_eq!(set(&text).to_string(), printed, "{text}");
        assert_eq!(set(&printed), set(&text));
    }
}

#[test]
fn refusals() {
    for (text, error) in [
        ("nonsense".to_owned(), ParseError::Uuid),
        (format!("{A}0:1"), ParseError::Uuid),
        (format!("{}:1", A.replace('-', "")), ParseError::Uuid),
        (format!("{}:1", A.replace('f', "g")), ParseError::Uuid),
        (A.to_owned(), ParseError::Shape),
        (format!("{A}:tag"), ParseError::Shape),
        (format!("{A}:1:tag"), ParseError::Shape),
        (format!("{A}:"), ParseError::Number),
        (format!("{A}:0"), ParseError::Number),
        (format!("{A}:-1"), ParseError::Number),
        (format!("{A}:1-"), ParseError::Number),
        (format!("{A}:9223372036854775807"), ParseError::Number),
        (format!("{A}:99999999999999999999999"), ParseError::Number),
        (format!("{A}:5-3"), ParseError::Interval),
        (format!("{A}:bad-tag:1"), ParseError::Tag),
        (format!("{A}:{}:1", "t".repeat(33)), ParseError::Tag),
    ] {
        assert_eq!(text.parse::<GtidSet>(), Err(error), "{text}");
    }
}

#[test]
fn one_transaction() {
    for text in [format!("{A}:5"), format!("{A}:mytag:1")] {
        assert_eq!(text.parse::<Gtid>().unwrap().to_string(), text);
    }
    for (text, error) in [
        (A.to_owned(), ParseError::Shape),
        (format!("{A}:1-2"), ParseError::Number),
        (format!("{A}:tag:1:2"), ParseError::Shape),
        (format!("{A}:1:2"), ParseError::Tag),
    ] {
        assert_eq!(text.parse::<Gtid>(), Err(error), "{text}");
    }
}

#[test]
fn contains() {
    let executed = set(&format!("{A}:1-5:7:mytag:1,{B}:3"));
    for (gtid, expected) in [
        (format!("{A}:1"), true),
        (format!("{A}:5"), true),
        (format!("{A}:6"), false),
        (format!("{A}:7"), true),
        (format!("{A}:mytag:1"), true),
        (format!("{A}:mytag:2"), false),
        (format!("{A}:other:1"), false),
        (format!("{B}:1"), false),
        (format!("{B}:3"), true),
    ] {
        assert_eq!(executed.contains(&gtid.parse().unwrap()), expected, "{gtid}");
    }
    assert!(executed.contains_all(&set(&format!("{A}:2-4:7,{B}:3"))));
    assert!(!executed.contains_all(&set(&format!("{A}:4-7"))));
    assert!(executed.contains_all(&GtidSet::default()) && GtidSet::default().is_empty());
    assert_eq!(executed.count(), 8);
}

#[test]
fn an_empty_range_adds_nothing() {
    let mut executed = GtidSet::default();
    #[expect(clippy::reversed_empty_ranges, reason = "that is the case")]
    executed.add_range(A.parse().unwrap(), Tag::default(), 5..=4);
    assert!(executed.is_empty());
}

proptest! {
    /// Intervals agree with a set that holds every number, stay sorted and apart, and survive printing.
    #[test]
    fn as_a_plain_set(ranges in prop::collection::vec((1_u64..60, 0_u64..8), 0..20)) {
        let (mut executed, mut plain) = (GtidSet::default(), BTreeSet::new());
        for (first, more) in ranges {
            executed.add_range(A.parse().unwrap(), Tag::default(), first..=first + more);
            plain.extend(first..=first + more);
        }
        for number in 1..70 {
            let gtid = Gtid { source: A.parse().unwrap(), tag: Tag::default(), number };
            prop_assert_eq!(executed.contains(&gtid), plain.contains(&number));
        }
        prop_assert_eq!(executed.count(), plain.len() as u128);
        for intervals in executed.sources.values().flat_map(BTreeMap::values) {
            let all: Vec<_> = intervals.0.iter().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].1 + 1 < *pair[1].0));
        }
        prop_assert_eq!(set(&executed.to_string()), executed);
    }

    #[test]
    fn any_text_is_answered(text in "[0-9a-f:,a-z_ -]{0,120}", tail in ".{0,20}") {
        let _ = text.parse::<GtidSet>();
        let _ = format!("{A}:{text}").parse::<GtidSet>();
        let _ = format!("{A}:{tail}").parse::<Gtid>();
        let _ = text.parse::<crate::mariadb::Position>();
    }
}
