//! Lines as readers send them, and noise.

use proptest::prelude::*;

use super::*;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const PLAIN_A: &str = "3e11fa4771ca11e19e33c80aa9429562";
const B: &str = "4350f323-7565-4e59-8763-4b1b83a0ce0e";
const PLAIN_B: &str = "4350f32375654e5987634b1b83a0ce0e";

/// What a server has executed after these lines.
fn after(lines: &str) -> Result<String, WireError> {
    let mut executed = Executed::default();
    Decoder::default().push(lines.as_bytes(), |message| match message {
        Message::Executed(all) => executed = all,
        Message::More(range) => executed.add(range),
    })?;
    Ok(executed.to_string())
}

#[test]
fn lines_of_readers() {
    for (lines, executed) in [
        ("ST=\n".to_owned(), String::new()),
        (format!("ST={A}:1-5\n"), format!("{A}:1-5")),
        (format!("ST={A}:5\n"), format!("{A}:5")),
        (format!("ST={A}:1-5,{A}:7,{B}:3\n"), format!("{A}:1-5:7,{B}:3")),
        (format!("ST={PLAIN_A}:1-5:7\r\n"), format!("{A}:1-5:7")),
        (format!("ST={A}:1-5:Tag:1-2:4,{A}:tag:3\n"), format!("{A}:1-5:tag:1-4")),
        (format!("ST={A}:1-5\nI1={PLAIN_A}:6\nI2=7\nI2=9\n"), format!("{A}:1-7:9")),
        (
            format!("ST=\nI3={PLAIN_A}:1-9\nI4=10-11\nI2=12\nI1={PLAIN_B}:1\nI4=2-3\n"),
            format!("{A}:1-12,{B}:1-3"),
        ),
        (format!("ST=\nI1={PLAIN_A}:tag:6\nI2=7\nI1={A}:1\n"), format!("{A}:1:tag:6-7")),
        (format!("ST={A}:1-5\nST={B}:1\n"), format!("{B}:1")),
        ("ST=0:1-9,7:1-3\nI1=0:10\nI2=11\n".to_owned(), "0-0-11,7-0-3".to_owned()),
        // A line that is not whole says nothing yet.
        (format!("ST={A}:1-5\nI1={PLAIN_A}:6"), format!("{A}:1-5")),
    ] {
        assert_eq!(after(&lines).as_ref(), Ok(&executed), "{lines}");
    }
}

#[test]
fn broken_readers() {
    for (lines, error) in [
        ("\n".to_owned(), WireError::Kind),
        ("hello\n".to_owned(), WireError::Kind),
        ("ST=\nI5=1\n".to_owned(), WireError::Kind),
        ("I1=0:1\n".to_owned(), WireError::NoSnapshot),
        ("ST=0:1\nI2=1\n".to_owned(), WireError::NoSource),
        (format!("ST={A}\n"), ParseError::Shape.into()),
        (format!("ST={A}:\n"), ParseError::Number.into()),
        (format!("ST={A}:0\n"), ParseError::Number.into()),
        (format!("ST={A}:5-3\n"), ParseError::Interval.into()),
        (format!("ST={A}0:1\n"), ParseError::Uuid.into()),
        ("ST=4294967296:1\n".to_owned(), ParseError::Number.into()),
        (format!("ST=\nI1={PLAIN_A}:x:\n"), ParseError::Number.into()),
        (format!("ST=\nI1={PLAIN_A}:1:2:3\n"), ParseError::Tag.into()),
        (format!("I1={}", "0".repeat(MAX_LINE)), WireError::TooLong),
        (format!("ST={}", "0".repeat(MAX_SNAPSHOT)), WireError::TooLong),
    ] {
        assert_eq!(after(&lines), Err(error), "{}", &lines[..lines.len().min(80)]);
    }
    assert_eq!(Decoder::default().push(b"ST=\xff\n", drop), Err(WireError::NotText));
}

#[test]
fn what_the_styles_write() {
    let set = |text: String| text.parse::<GtidSet>().unwrap();
    let new = set(format!("{A}:6-8:10:tag:1-2,{B}:4"));
    let style = |ranges, tags| Style { ranges, tags };
    assert_eq!(
        style(false, false).more(&new),
        format!("I1={PLAIN_A}:6\nI2=7\nI2=8\nI2=10\nI1={PLAIN_B}:4\n")
    );
    assert_eq!(
        style(true, true).more(&new),
        format!("I3={PLAIN_A}:6-8\nI2=10\nI3={PLAIN_A}:tag:1-2\nI1={PLAIN_B}:4\n")
    );
    assert_eq!(style(true, false).everything(&new), format!("ST={A}:6-8,{A}:10,{B}:4\n"));
    assert_eq!(style(true, true).everything(&new), format!("ST={A}:6-8,{A}:10,{A}:tag:1-2,{B}:4\n"));
    assert_eq!(style(false, false).everything(&GtidSet::default()), "ST=\n");
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        numbers in prop::collection::vec((0u8..3, "[a-z_]{0,3}", 1u64..60, 0u64..9), 0..40),
        half in 0usize..40,
        ranges: bool,
    ) {
        let style = Style { ranges, tags: true };
        let (mut all, mut first, mut more) = (GtidSet::default(), GtidSet::default(), GtidSet::default());
        for (index, (source, tag, from, length)) in numbers.into_iter().enumerate() {
            let uuid = Uuid::from_bytes([source; 16]);
            let tag = Tag::new(&tag).unwrap_or_default();
            let part = if index < half { &mut first } else { &mut more };
            part.add_range(uuid, tag.clone(), from..=from + length);
            all.add_range(uuid, tag, from..=from + length);
        }
        let lines = style.everything(&first) + &style.more(&more);
        prop_assert_eq!(after(&lines), Ok(all.to_string()));
        let longest = lines.lines().filter(|line| line.starts_with('I')).map(str::len).max();
        prop_assert!(longest.unwrap_or(0) < 80);
    }

    #[test]
    fn noise(bytes in prop::collection::vec(prop::sample::select(&b"ST=I1234:-,\n05af\xffx"[..]), 0..200)) {
        crate::fuzz::reader(&bytes);
        crate::fuzz::sets(&bytes);
    }

    #[test]
    fn anything(bytes: Vec<u8>) {
        crate::fuzz::reader(&bytes);
        crate::fuzz::sets(&bytes);
    }
}
