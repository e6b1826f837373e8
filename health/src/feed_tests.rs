use super::*;

const LINE: &str =
    "standfast-health 1 verdict=serving cause=ready since_ms=1234 restarts=0 sessions=12 backends=3/3";
const GRACE: Duration = Duration::from_millis(1000);

fn report(verdict: Verdict) -> Report {
    Report {
        verdict,
        cause: "ready".to_owned(),
        since: Duration::from_millis(1234),
        restarts: 0,
        sessions: 12,
        backends: Backends { online: 3, known: 3 },
        warm: true,
    }
}

#[test]
fn the_line_both_ways() {
    assert_eq!(encode(&report(Verdict::Serving)), format!("{LINE}\n"));
    assert_eq!(decode(LINE.as_bytes()), Ok(report(Verdict::Serving)));
}

#[test]
fn a_cold_proxy_says_so_and_one_that_says_nothing_is_warm() {
    let cold = Report { warm: false, ..report(Verdict::Serving) };
    assert_eq!(encode(&cold), format!("{LINE} warm=no\n"));
    assert_eq!(decode(format!("{LINE} warm=no").as_bytes()), Ok(cold.clone()));
    assert_eq!(decode(format!("{LINE} warm=maybe").as_bytes()), Err(FeedError::Value("warm")));
    let now = Instant::now();
    let mut watch = FeedWatch::new(GRACE, now);
    assert!(watch.is_warm());
    watch.on(FeedEvent::Report(cold), now);
    assert!(!watch.is_warm());
}

#[test]
fn unknown_keys_are_skipped() {
    assert_eq!(decode(format!("{LINE} colour=blue").as_bytes()), Ok(report(Verdict::Serving)));
}

#[test]
fn every_malformed_line_has_its_error() {
    let bad = |from: &str, to: &str| decode(LINE.replace(from, to).as_bytes()).unwrap_err();
    assert_eq!(bad("health 1", "health 2"), FeedError::Format);
    assert_eq!(bad(" sessions", "  sessions"), FeedError::Format);
    assert_eq!(bad("serving", "fine"), FeedError::Value("verdict"));
    assert_eq!(bad("cause=ready", "cause=Not,A,Word"), FeedError::Value("cause"));
    assert_eq!(bad("cause=ready", "cause="), FeedError::Value("cause"));
    assert_eq!(bad("since_ms=1234", "since_ms=-1"), FeedError::Value("since_ms"));
    assert_eq!(bad("restarts=0", "restarts=+0"), FeedError::Value("restarts"));
    assert_eq!(bad("restarts=0", "restarts=4294967296"), FeedError::Value("restarts"));
    assert_eq!(bad("backends=3/3", "backends=4/3"), FeedError::Value("backends"));
    assert_eq!(bad("backends=3/3", "backends=3"), FeedError::Value("backends"));
    assert_eq!(bad(" sessions=12", ""), FeedError::Missing("sessions"));
    assert_eq!(bad("restarts=0", "restarts=0 restarts=0"), FeedError::Twice("restarts"));
    assert_eq!(decode(&[b'x'; 512]), Err(FeedError::TooLong));
    assert_eq!(decode(b"standfast-health 1 \xff"), Err(FeedError::Format));
}

#[test]
fn the_reader_takes_any_cut_of_the_stream() {
    let stream = format!("{LINE}\n{}\n", LINE.replace("serving", "down"));
    let expected = vec![report(Verdict::Serving), report(Verdict::Down)];
    for cut in 0..stream.len() {
        let (head, tail) = stream.as_bytes().split_at(cut);
        let mut reader = FeedReader::new();
        let mut reports = reader.push(head).unwrap();
        reports.extend(reader.push(tail).unwrap());
        assert_eq!(reports, expected, "cut at {cut}");
    }
}

#[test]
fn the_reader_bounds_a_line_that_never_ends() {
    let mut reader = FeedReader::new();
    assert_eq!(reader.push(&[b'x'; 512]), Ok(vec![]));
    assert_eq!(reader.push(b"x"), Err(FeedError::TooLong));
}

/// Events at milliseconds after the start, and the verdict that must follow each.
fn run(steps: &[(u64, FeedEvent, Verdict)]) {
    let start = Instant::now();
    let mut watch = FeedWatch::new(GRACE, start);
    for (ms, event, expected) in steps {
        let verdict = watch.on(event.clone(), start + Duration::from_millis(*ms));
        assert_eq!(verdict, *expected, "at {ms} ms after {event:?}");
    }
}

fn heard(verdict: Verdict) -> FeedEvent {
    FeedEvent::Report(report(verdict))
}

#[test]
fn a_start_without_an_angel_waits_for_the_grace() {
    use FeedEvent::*;
    run(&[
        (0, Tick, Verdict::Restarting),
        (500, Disconnected, Verdict::Restarting),
        (999, Tick, Verdict::Restarting),
        (1000, Tick, Verdict::Down),
        (5000, heard(Verdict::Serving), Verdict::Serving),
    ]);
}

#[test]
fn an_angel_that_restarts_costs_nothing() {
    use FeedEvent::*;
    run(&[
        (0, heard(Verdict::Serving), Verdict::Serving),
        (50, Disconnected, Verdict::Restarting),
        (150, Disconnected, Verdict::Restarting),
        (300, heard(Verdict::Serving), Verdict::Serving),
    ]);
}

#[test]
fn an_angel_that_stays_away_is_down_after_the_grace_from_the_loss() {
    use FeedEvent::*;
    run(&[
        (0, heard(Verdict::Serving), Verdict::Serving),
        (50, Disconnected, Verdict::Restarting),
        (1049, Disconnected, Verdict::Restarting),
        (1050, Tick, Verdict::Down),
    ]);
}

#[test]
fn silence_counts_from_the_last_report() {
    use FeedEvent::*;
    run(&[
        (0, heard(Verdict::Serving), Verdict::Serving),
        (499, Tick, Verdict::Serving),
        (500, Tick, Verdict::Restarting),
        (999, Tick, Verdict::Restarting),
        (1000, Tick, Verdict::Down),
        (1001, heard(Verdict::Serving), Verdict::Serving),
    ]);
}

#[test]
fn a_reader_that_was_away_itself_gives_the_angel_a_chance() {
    use FeedEvent::*;
    run(&[
        (0, heard(Verdict::Serving), Verdict::Serving),
        // The whole machine slept.
        (5000, Tick, Verdict::Serving),
        (5099, Tick, Verdict::Serving),
        (5100, Tick, Verdict::Restarting),
        (5599, Tick, Verdict::Restarting),
        (5600, Tick, Verdict::Down),
    ]);
}

#[test]
fn no_bytes_make_the_reader_panic() {
    for place in 0..LINE.len() {
        for byte in 0..=255 {
            let mut line = LINE.as_bytes().to_vec();
            line[place] = byte;
            if let Ok(report) = decode(&line) {
                assert_eq!(decode(report.to_string().as_bytes()), Ok(report));
            }
        }
        assert!(decode(&LINE.as_bytes()[..place]).is_err(), "cut at {place}");
    }
}

#[test]
fn a_host_that_was_leaving_does_not_come_back_by_losing_its_feed() {
    use FeedEvent::*;
    for verdict in [Verdict::Draining, Verdict::Down] {
        run(&[(0, heard(verdict), verdict), (50, Disconnected, verdict), (9000, Tick, verdict)]);
    }
    run(&[
        (0, heard(Verdict::Degraded), Verdict::Degraded),
        (50, Disconnected, Verdict::Degraded),
        (1050, Tick, Verdict::Down),
    ]);
}

#[test]
fn the_deadline_is_the_next_change() {
    let start = Instant::now();
    let ms = Duration::from_millis;
    let mut watch = FeedWatch::new(GRACE, start);
    assert_eq!(watch.next_deadline(), Some(start + GRACE));
    watch.on(heard(Verdict::Serving), start + ms(10));
    assert_eq!(watch.next_deadline(), Some(start + ms(510)));
    assert_eq!(watch.cause(), "ready");
    watch.on(FeedEvent::Disconnected, start + ms(20));
    assert_eq!(watch.next_deadline(), Some(start + ms(1020)));
    assert_eq!(watch.cause(), "feed-lost");
    watch.on(heard(Verdict::Draining), start + ms(30));
    assert_eq!(watch.next_deadline(), None);
}
