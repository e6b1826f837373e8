use crate::response::{
    ColumnDefinition, EofPacket, ErrPacket, Expect, OkPacket, ResponseTracker, put_text_row,
    session_track::Change,
};
use crate::{Capabilities, Status, frame};

use super::*;

const PLAIN: Capabilities = Capabilities::PROTOCOL_41;
const NEW: Capabilities = PLAIN.union(Capabilities::DEPRECATE_EOF);
const TRACKS: Capabilities = NEW.union(Capabilities::SESSION_TRACK);

fn frames(payloads: &[Vec<u8>]) -> Vec<u8> {
    let (mut out, mut sequence) = (Vec::new(), 1);
    payloads.iter().for_each(|payload| frame::write(&mut out, &mut sequence, payload));
    out
}

/// What the client gets when the response comes in pieces of `step` bytes.
fn relay(expect: Expect, dialect: Dialect, from: Capabilities, bytes: &[u8], step: usize) -> Vec<u8> {
    let mut tracker = ResponseTracker::new(expect, from).with_dialect(Some(dialect));
    let (mut input, mut out) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            let converted = tracker.convert(&mut input).unwrap();
            let taken: Vec<u8> = input.drain(..converted.consumed).collect();
            let edited = converted.edit.is_some();
            match converted.edit {
                Some(edit) => {
                    assert_eq!(edit.range.end, taken.len(), "an edit is at the end of what is consumed");
                    out.extend_from_slice(&taken[..edit.range.start]);
                    out.extend_from_slice(&edit.with);
                }
                None => out.extend_from_slice(&taken),
            }
            if let Some(done) = converted.done {
                assert!(input.is_empty() && done.end.is_some());
                return out;
            }
            if !edited {
                break;
            }
        }
    }
    panic!("no end: {out:?}, left {input:?}");
}

/// A response of one dialect becomes that of the other, whatever the pieces.
fn becomes(expect: Expect, from: Capabilities, to: Capabilities, theirs: &[Vec<u8>], ours: &[Vec<u8>]) {
    let (theirs, ours) = (frames(theirs), frames(ours));
    let small = if theirs.len() < 1 << 20 { 1..theirs.len().min(80) } else { 0..0 };
    for step in small.chain([theirs.len(), 1_000_003]) {
        let dialect = Dialect::new(from, to, Status::AUTOCOMMIT, false).unwrap();
        let got = relay(expect, dialect, from, &theirs, step);
        assert!(got == ours, "in pieces of {step}");
    }
}

fn column() -> Vec<u8> {
    ColumnDefinition::text("a").encode()
}

fn row(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_text_row(&mut out, &[Some(value)]);
    out
}

fn eof(status: Status, warnings: u16) -> Vec<u8> {
    EofPacket { warnings, status }.encode()
}

fn end(status: Status, warnings: u16) -> Vec<u8> {
    OkPacket { status, warnings, ..OkPacket::default() }.encode_end(NEW)
}

fn prepared(columns: u16, parameters: u16) -> Vec<u8> {
    let mut out = vec![0, 1, 0, 0, 0];
    out.extend(columns.to_le_bytes());
    out.extend(parameters.to_le_bytes());
    out.extend([0, 0, 0]);
    out
}

const AC: Status = Status::AUTOCOMMIT;

#[test]
fn result_sets_in_both_directions() {
    let more = AC | Status::MORE_RESULTS_EXISTS;
    let err = ErrPacket::new(1317, b"70100", "interrupted").encode();
    let ok = OkPacket { affected_rows: 3, status: AC, ..OkPacket::default() }.encode(PLAIN);
    let (c, r) = (column, || row(b"x"));
    let huge = row(&vec![b'x'; frame::MAX_PAYLOAD + 5]);
    let rows = [
        (vec![vec![1], c(), eof(AC, 0), r(), r(), eof(AC, 2)], vec![vec![1], c(), r(), r(), end(AC, 2)]),
        (vec![vec![2], c(), c(), eof(AC, 0), eof(AC, 0)], vec![vec![2], c(), c(), end(AC, 0)]),
        (vec![vec![1], c(), eof(AC, 0), r(), err.clone()], vec![vec![1], c(), r(), err.clone()]),
        (vec![vec![1], c(), eof(AC, 0), err.clone()], vec![vec![1], c(), err]),
        (
            vec![
                vec![1],
                c(),
                eof(AC, 0),
                r(),
                eof(more, 0),
                vec![1],
                c(),
                eof(AC, 0),
                eof(more, 0),
                ok.clone(),
            ],
            vec![vec![1], c(), r(), end(more, 0), vec![1], c(), end(more, 0), ok],
        ),
        (
            vec![vec![1], c(), eof(AC, 0), huge.clone(), r(), eof(AC, 0)],
            vec![vec![1], c(), huge, r(), end(AC, 0)],
        ),
    ];
    for (old, new) in rows {
        becomes(Expect::Results, PLAIN, NEW, &old, &new);
        becomes(Expect::Results, NEW, PLAIN, &new, &old);
    }
}

#[test]
fn cursors_fetches_fields_and_statements() {
    let cursor = AC | Status::CURSOR_EXISTS;
    let last = AC | Status::CURSOR_EXISTS | Status::LAST_ROW_SENT;
    let (c, r) = (column, || row(b"x"));
    let rows = [
        (Expect::Results, vec![vec![1], c(), eof(cursor, 0)], vec![vec![1], c(), end(cursor, 0)]),
        (Expect::Fetch, vec![r(), r(), eof(last, 0)], vec![r(), r(), end(last, 0)]),
        (Expect::FieldList, vec![c(), c(), eof(AC, 0)], vec![c(), c(), end(AC, 0)]),
        (Expect::Prepare, vec![prepared(0, 0)], vec![prepared(0, 0)]),
        (
            Expect::Prepare,
            vec![prepared(1, 2), c(), c(), eof(AC, 0), c(), eof(AC, 0)],
            vec![prepared(1, 2), c(), c(), c()],
        ),
        (Expect::Prepare, vec![prepared(2, 0), c(), c(), eof(AC, 0)], vec![prepared(2, 0), c(), c()]),
    ];
    for (expect, old, new) in rows {
        becomes(expect, PLAIN, NEW, &old, &new);
        becomes(expect, NEW, PLAIN, &new, &old);
    }
}

#[test]
fn a_client_sees_the_changes_that_it_would_see_without_a_proxy() {
    let block = |changes: &[Change<'_>]| {
        let mut out = Vec::new();
        changes.iter().for_each(|change| change.put(&mut out));
        out
    };
    let schema = Change::Schema(b"shop");
    let all = block(&[
        Change::SystemVariable { name: b"sql_mode", value: b"ANSI" },
        schema,
        Change::StateChange(true),
        Change::Gtids(b"u:3"),
    ]);
    let packet = |session_track| OkPacket {
        affected_rows: 1,
        status: AC | Status::SESSION_STATE_CHANGED,
        info: b"Rows matched: 1".to_vec(),
        session_track,
        ..OkPacket::default()
    };
    let theirs = [packet(all.clone()).encode(TRACKS)];
    becomes(Expect::Results, TRACKS, TRACKS, &theirs, &[packet(block(&[schema])).encode(TRACKS)]);
    becomes(Expect::Results, TRACKS, NEW, &theirs, &[packet(Vec::new()).encode(NEW)]);
    let ends = [vec![1], column(), row(b"x"), packet(all).encode_end(TRACKS)];
    let end = packet(block(&[schema])).encode_end(TRACKS);
    becomes(Expect::Results, TRACKS, TRACKS, &ends, &[vec![1], column(), row(b"x"), end]);
    let eofs = [vec![1], column(), eof(AC, 0), row(b"x"), eof(AC, 0)];
    becomes(Expect::Results, TRACKS, PLAIN, &ends, &eofs);

    let plain = [OkPacket { info: b"3".to_vec(), status: AC, ..OkPacket::default() }.encode(NEW)];
    let tracked = [OkPacket { info: b"3".to_vec(), status: AC, ..OkPacket::default() }.encode(TRACKS)];
    becomes(Expect::Results, NEW, TRACKS, &plain, &tracked);
    assert!(Dialect::new(NEW, NEW, AC, false).is_none());
}

#[test]
fn what_is_no_answer_is_an_error_in_every_dialect() {
    for (from, to) in [(PLAIN, NEW), (NEW, PLAIN), (TRACKS, PLAIN)] {
        let dialect = Dialect::new(from, to, AC, false);
        let mut tracker = ResponseTracker::new(Expect::Results, from).with_dialect(dialect);
        assert!(tracker.convert(&mut [2, 0, 0, 1, 0, 0xff]).is_err());
    }
}
