use super::*;

const MS: Duration = Duration::from_millis(1);

/// A book in which the server of hostgroup 1 has just been shunned, and when that was.
fn shunned() -> (ShunBook, Instant) {
    let (mut book, now) = (ShunBook::default(), Instant::now());
    fail(&mut book, now);
    (book, now)
}

fn key() -> ServerKey {
    ServerKey { hostgroup: 1, hostname: "a".into(), port: 3306 }
}

fn fail(book: &mut ShunBook, now: Instant) {
    for _ in 0..5 {
        book.failed(key(), 2003, "refused", &Variables::default(), now);
    }
}

fn is_shunned(book: &ShunBook) -> bool {
    book.reason(&key()).is_some()
}

#[test]
fn a_shun_lasts_while_others_serve_whatever_the_monitors_see() {
    let (mut book, start) = shunned();
    book.answered(&Address::sample("a"));
    assert!(!book.expire(start + 8_999 * MS, |_| false, true) && is_shunned(&book));
    assert!(book.expire(start + 9_000 * MS, |_| false, true) && !is_shunned(&book));
    assert!(!book.expire(start + 9_001 * MS, |_| false, true), "once");
    assert!(book.entries.is_empty());
}

#[test]
fn the_last_one_is_back_as_soon_as_the_monitors_have_logged_in() {
    let (mut book, start) = shunned();
    assert!(!book.expire(start + 5_000 * MS, |_| true, true), "nobody has seen it");
    book.answered(&Address::sample("b"));
    assert!(!book.expire(start + 5_000 * MS, |_| true, true), "another has been seen");
    book.answered(&Address::sample("a"));
    book.failed(key(), 2003, "refused", &Variables::default(), start + 5_100 * MS);
    assert!(!book.expire(start + 5_200 * MS, |_| true, true), "it has failed since");
    book.answered(&Address::sample("a"));
    assert!(!book.expire(start + 5_300 * MS, |hostgroup| hostgroup != 1, true), "others serve");
    assert!(book.expire(start + 5_300 * MS, |_| true, true) && !is_shunned(&book));
}

#[test]
fn who_was_back_too_soon_stays_away_for_the_whole_time() {
    let (mut book, start) = shunned();
    book.answered(&Address::sample("a"));
    assert!(book.expire(start + 1_000 * MS, |_| true, true));
    fail(&mut book, start + 1_500 * MS);
    book.answered(&Address::sample("a"));
    assert!(!book.expire(start + 10_499 * MS, |_| true, true) && is_shunned(&book));
    assert!(book.expire(start + 10_500 * MS, |_| true, true), "9 s");
}

#[test]
fn who_fails_anew_after_that_time_has_the_same_chance_again() {
    let (mut book, start) = shunned();
    book.answered(&Address::sample("a"));
    assert!(book.expire(start + 1_000 * MS, |_| true, true));
    assert!(!book.expire(start + 8_000 * MS, |_| true, true));
    fail(&mut book, start + 9_000 * MS);
    book.answered(&Address::sample("a"));
    assert!(book.expire(start + 9_100 * MS, |_| true, true));
}

#[test]
fn without_monitors_the_last_one_is_tried_after_a_second() {
    let (mut book, start) = shunned();
    book.failed(key(), 2003, "refused", &Variables::default(), start + 100 * MS);
    assert!(!book.expire(start + 1_099 * MS, |_| true, false));
    assert!(!book.expire(start + 1_100 * MS, |_| false, false), "others serve");
    assert!(book.expire(start + 1_100 * MS, |_| true, false));
    fail(&mut book, start + 1_200 * MS);
    assert!(!book.expire(start + 10_199 * MS, |_| true, false), "it does not flap");
}
