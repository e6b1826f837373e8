use super::*;
use crate::frame;
use crate::response::{ColumnDefinition, put_text_row};

const OLD: Capabilities = Capabilities::PROTOCOL_41;
const NEW: Capabilities =
    Capabilities::PROTOCOL_41.union(Capabilities::DEPRECATE_EOF).union(Capabilities::SESSION_TRACK);

/// Frames with sequence numbers from 1.
fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), 1);
    for payload in payloads {
        frame::write(&mut out, &mut sequence, payload);
    }
    out
}

fn ok(status: Status, rows: u64) -> Vec<u8> {
    OkPacket { affected_rows: rows, last_insert_id: 9, status, ..OkPacket::default() }.encode(NEW)
}

fn end_ok(status: Status) -> Vec<u8> {
    OkPacket { status, warnings: 2, ..OkPacket::default() }.encode_end(NEW)
}

fn eof(status: Status) -> Vec<u8> {
    EofPacket { warnings: 2, status }.encode()
}

fn column() -> Vec<u8> {
    ColumnDefinition::text("a").encode()
}

fn row(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_text_row(&mut out, &[Some(value)]);
    out
}

fn err() -> Vec<u8> {
    ErrPacket::new(1290, b"HY000", "read only").encode()
}

/// Scans all at once, then cut at every byte, then byte by byte: always the same end. What follows is left alone.
fn outcome(expect: Expect, capabilities: Capabilities, payloads: &[Vec<u8>]) -> Outcome {
    let bytes = frames(payloads);
    let mut followed = bytes.clone();
    followed.extend_from_slice(&[7, 0, 0, 1, 0]);

    let scan = ResponseTracker::new(expect, capabilities).scan(&followed).unwrap();
    assert_eq!(scan.consumed, bytes.len());
    let expected = scan.done.unwrap();

    for cut in 0..bytes.len().min(2000) {
        let mut tracker = ResponseTracker::new(expect, capabilities);
        assert_eq!(tracker.scan(&bytes[..cut]), Ok(Scan { consumed: cut, done: None }), "cut at {cut}");
        let scan = tracker.scan(&followed[cut..]).unwrap();
        assert_eq!((scan.consumed, scan.done.as_ref()), (bytes.len() - cut, Some(&expected)), "cut at {cut}");
    }
    let mut tracker = ResponseTracker::new(expect, capabilities);
    for (at, byte) in bytes.iter().enumerate().take(bytes.len() - 1) {
        assert_eq!(tracker.scan(&[*byte]), Ok(Scan { consumed: 1, done: None }), "byte {at}");
    }
    assert_eq!(tracker.scan(&bytes[bytes.len() - 1..]).unwrap().done, Some(expected.clone()));
    expected
}

#[test]
fn ok_and_err_end_every_kind_that_knows_them() {
    for expect in [Expect::Results, Expect::Simple] {
        let done = outcome(expect, NEW, &[ok(Status::AUTOCOMMIT, 3)]);
        assert_eq!((done.first, done.affected_rows, done.last_insert_id), (Some(First::Ok), 3, 9));
        assert_eq!((done.status, done.end), (Some(Status::AUTOCOMMIT), Some(End::Complete)));
    }
    for expect in
        [Expect::Results, Expect::Prepare, Expect::FieldList, Expect::Fetch, Expect::Simple, Expect::Text]
    {
        for capabilities in [OLD, NEW] {
            let done = outcome(expect, capabilities, &[err()]);
            assert_eq!((done.first, done.status), (Some(First::Err), None));
            assert_eq!(done.error, Some(ErrPacket::new(1290, b"HY000", "read only")));
        }
    }
}

#[test]
fn result_sets_end_by_eof_or_by_ok() {
    let old =
        [vec![2], column(), column(), eof(Status::empty()), row(b"x"), row(b""), eof(Status::AUTOCOMMIT)];
    let new = [vec![2], column(), column(), row(b"x"), row(b""), end_ok(Status::AUTOCOMMIT)];
    for done in [outcome(Expect::Results, OLD, &old), outcome(Expect::Results, NEW, &new)] {
        assert_eq!((done.first, done.rows, done.results), (Some(First::ResultSet), 2, 1));
        assert_eq!((done.status, done.warnings), (Some(Status::AUTOCOMMIT), 2));
    }
}

#[test]
fn an_error_may_come_among_the_rows() {
    let done = outcome(Expect::Results, NEW, &[vec![1], column(), row(b"x"), err()]);
    assert_eq!((done.first, done.rows, done.is_err()), (Some(First::ResultSet), 1, true));
}

#[test]
fn a_row_that_starts_like_an_eof_is_a_row() {
    // Without DEPRECATE_EOF: 0xFE and nine bytes or more. The row's first value is announced with eight length bytes.
    let long = [&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0][..], b"x"].concat();
    let done =
        outcome(Expect::Results, OLD, &[vec![1], column(), eof(Status::empty()), long, eof(Status::empty())]);
    assert_eq!(done.rows, 1);
}

#[test]
fn a_row_of_more_than_one_frame_is_one_row() {
    let huge = row(&vec![b'x'; MAX_PAYLOAD + 10]);
    assert_eq!(huge[0], 0xfe);
    let bytes = frames(&[vec![1], column(), huge, end_ok(Status::AUTOCOMMIT)]);
    for step in [bytes.len(), 16 * 1024, 1_000_003] {
        let mut tracker = ResponseTracker::new(Expect::Results, NEW);
        let mut done = None;
        for chunk in bytes.chunks(step) {
            assert!(done.is_none());
            done = tracker.scan(chunk).unwrap().done;
        }
        assert_eq!(done.map(|done| (done.rows, done.status)), Some((1, Some(Status::AUTOCOMMIT))));
    }
}

#[test]
fn a_packet_of_exactly_one_full_frame_ends_with_an_empty_one() {
    let mut exact = row(&vec![b'x'; MAX_PAYLOAD - 4]);
    exact.truncate(MAX_PAYLOAD);
    let done_at = frames(&[vec![1], column(), exact, end_ok(Status::AUTOCOMMIT)]);
    let scan = ResponseTracker::new(Expect::Results, NEW).scan(&done_at).unwrap();
    assert_eq!(scan.done.map(|done| done.rows), Some(1));
}

#[test]
fn several_results_are_one_response() {
    let more = Status::MORE_RESULTS_EXISTS;
    let new = [ok(more, 1), vec![1], column(), row(b"x"), end_ok(more), ok(Status::IN_TRANS, 2)];
    let done = outcome(Expect::Results, NEW, &new);
    assert_eq!((done.first, done.results, done.affected_rows), (Some(First::Ok), 3, 3));
    assert_eq!(done.status, Some(Status::IN_TRANS));
    let old = [vec![1], column(), eof(more), row(b"x"), eof(more), err()];
    assert!(outcome(Expect::Results, OLD, &old).is_err());
}

#[test]
fn a_cursor_ends_the_answer_after_its_columns() {
    let cursor = Status::CURSOR_EXISTS;
    assert_eq!(outcome(Expect::Results, OLD, &[vec![1], column(), eof(cursor)]).status, Some(cursor));
    assert_eq!(outcome(Expect::Results, NEW, &[vec![1], column(), end_ok(cursor)]).status, Some(cursor));
    let rows = [vec![0, 0, 1], vec![0, 0, 2], eof(Status::LAST_ROW_SENT)];
    assert_eq!(outcome(Expect::Fetch, OLD, &rows).rows, 2);
    assert_eq!(outcome(Expect::Fetch, NEW, &rows).rows, 2);
}

#[test]
fn a_prepare_answer_has_as_many_definitions_as_it_says() {
    let head = |columns, parameters| vec![0, 7, 0, 0, 0, columns, 0, parameters, 0, 0, 1, 0];
    let e = || eof(Status::empty());
    let table = [
        (0, 0, vec![], vec![]),
        (0, 1, vec![column(), e()], vec![column()]),
        (2, 0, vec![column(), column(), e()], vec![column(), column()]),
        (1, 2, vec![column(), column(), e(), column(), e()], vec![column(), column(), column()]),
    ];
    for (columns, parameters, old, new) in table {
        let prepared =
            Some(Prepared { statement: 7, columns: columns.into(), parameters: parameters.into() });
        for (capabilities, definitions) in [(OLD, old), (NEW, new)] {
            let answer = [vec![head(columns, parameters)], definitions].concat();
            let done = outcome(Expect::Prepare, capabilities, &answer);
            assert_eq!((done.prepared, done.warnings), (prepared, 1));
        }
    }
}

#[test]
fn field_list_text_and_nothing() {
    assert_eq!(outcome(Expect::FieldList, OLD, &[column(), column(), eof(Status::AUTOCOMMIT)]).results, 1);
    assert_eq!(outcome(Expect::FieldList, NEW, &[column(), end_ok(Status::AUTOCOMMIT)]).results, 1);
    assert_eq!(outcome(Expect::Text, NEW, &[b"Uptime: 1".to_vec()]).first, Some(First::Text));
    assert_eq!(outcome(Expect::Simple, OLD, &[eof(Status::AUTOCOMMIT)]).status, Some(Status::AUTOCOMMIT));
    let scan = ResponseTracker::new(Expect::Nothing, NEW).scan(&[1, 2, 3]).unwrap();
    assert_eq!((scan.consumed, scan.done.unwrap().end), (0, Some(End::Complete)));
}

#[test]
fn a_file_is_asked_for_and_then_answered() {
    let bytes = frames(&[b"\xfb/tmp/file".to_vec()]);
    let mut tracker = ResponseTracker::new(Expect::Results, NEW);
    assert!(tracker.is_untouched());
    let done = tracker.scan(&bytes).unwrap().done.unwrap();
    assert_eq!((done.end, done.first), (Some(End::LocalInfile), Some(First::LocalInfile)));
    let done = tracker.scan(&frames(&[ok(Status::AUTOCOMMIT, 5)])).unwrap().done.unwrap();
    assert_eq!((done.end, done.affected_rows), (Some(End::Complete), 5));
}

#[test]
fn session_state_changes_are_kept() {
    let tracked = |changes: &[u8], status| {
        OkPacket { status, session_track: changes.to_vec(), info: b"i".to_vec(), ..OkPacket::default() }
            .encode(NEW)
    };
    let changes = b"\x01\x05\x04shop";
    let two = [tracked(changes, Status::MORE_RESULTS_EXISTS), tracked(changes, Status::AUTOCOMMIT)];
    let done = outcome(Expect::Results, NEW, &two);
    assert_eq!(done.session_track.as_deref(), Some(&[&changes[..], changes].concat()[..]));
    assert!(!done.tail_lost);
}

#[test]
fn what_is_no_answer_is_an_error() {
    for (expect, payload) in [
        (Expect::Simple, vec![5]),
        (Expect::Simple, vec![]),
        (Expect::Results, vec![]),
        (Expect::Results, vec![0]),
        (Expect::Results, vec![0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        (Expect::Prepare, vec![0, 1]),
        (Expect::Prepare, vec![3]),
        (Expect::Fetch, vec![0xfe]),
    ] {
        assert!(ResponseTracker::new(expect, NEW).scan(&frames(&[payload])).is_err());
    }
}
