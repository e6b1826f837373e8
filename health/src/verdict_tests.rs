use super::*;

const PATIENCE: Patience =
    Patience { grace: Duration::from_millis(1000), recovery: Duration::from_millis(10_000) };

/// The tracker, driven by milliseconds after its start.
struct Run {
    start: Instant,
    tracker: Tracker,
}

impl Run {
    fn new() -> Run {
        let start = Instant::now();
        Run { start, tracker: Tracker::new(PATIENCE, start) }
    }

    fn at(&mut self, ms: u64, input: Input) -> (&'static str, &'static str) {
        self.tracker.on(input, self.start + Duration::from_millis(ms));
        (self.tracker.verdict().word(), self.tracker.cause())
    }

    fn gone(&mut self, ms: u64, crash_loop: bool) -> (&'static str, &'static str) {
        let since = self.start + Duration::from_millis(ms);
        self.at(ms, Input::Gone { since, crash_loop, cause: "signal" })
    }

    fn backends(&mut self, ms: u64, online: u32, known: u32) -> (&'static str, &'static str) {
        self.at(ms, Input::Backends(Backends { online, known }))
    }
}

#[test]
fn words_both_ways() {
    for verdict in Verdict::ALL {
        assert_eq!(verdict.word().parse(), Ok(verdict));
    }
    assert_eq!("Serving".parse::<Verdict>(), Err(UnknownVerdict));
}

#[test]
fn a_first_start_is_restarting_then_serving() {
    let mut run = Run::new();
    assert_eq!(run.at(0, Input::Tick), ("restarting", "starting"));
    assert_eq!(run.at(80, Input::Ready), ("serving", "ready"));
}

#[test]
fn a_first_start_that_takes_too_long_is_down_until_ready() {
    let mut run = Run::new();
    assert_eq!(run.at(999, Input::Tick), ("restarting", "starting"));
    assert_eq!(run.at(1000, Input::Tick), ("down", "starting"));
    assert_eq!(run.at(1500, Input::Ready), ("serving", "ready"));
}

#[test]
fn a_crash_inside_the_grace_never_says_down() {
    let mut run = Run::new();
    run.at(50, Input::Ready);
    assert_eq!(run.gone(5000, false), ("restarting", "signal"));
    assert_eq!(run.at(5999, Input::Tick), ("restarting", "signal"));
    assert_eq!(run.at(5999, Input::Ready), ("serving", "ready"));
}

#[test]
fn the_grace_counts_from_the_first_of_several_deaths() {
    let mut run = Run::new();
    run.at(50, Input::Ready);
    run.gone(5000, false);
    assert_eq!(run.gone(5500, false), ("restarting", "signal"));
    assert_eq!(run.at(6000, Input::Tick), ("down", "signal"));
}

#[test]
fn a_hang_is_gone_since_its_last_beat() {
    let mut run = Run::new();
    run.at(50, Input::Ready);
    let since = run.start + Duration::from_millis(4600);
    assert_eq!(run.at(5000, Input::Gone { since, crash_loop: false, cause: "hung" }), ("restarting", "hung"));
    assert_eq!(run.at(5599, Input::Tick), ("restarting", "hung"));
    assert_eq!(run.at(5600, Input::Tick), ("down", "hung"));
}

#[test]
fn a_crash_loop_is_down_at_once_and_until_ten_seconds_healthy() {
    let mut run = Run::new();
    run.at(50, Input::Ready);
    assert_eq!(run.gone(5000, true), ("down", "crash-loop"));
    assert_eq!(run.at(5100, Input::Ready), ("down", "recovering"));
    assert_eq!(run.gone(9000, true), ("down", "crash-loop"));
    assert_eq!(run.at(9500, Input::Ready), ("down", "recovering"));
    assert_eq!(run.at(19_499, Input::Tick), ("down", "recovering"));
    assert_eq!(run.at(19_500, Input::Tick), ("serving", "ready"));
    assert_eq!(run.gone(60_000, false), ("restarting", "signal"));
}

#[test]
fn no_backend_for_the_grace_is_degraded_and_one_is_enough() {
    let mut run = Run::new();
    run.at(50, Input::Ready);
    assert_eq!(run.backends(100, 0, 0), ("serving", "ready"));
    assert_eq!(run.backends(200, 0, 3), ("serving", "ready"));
    assert_eq!(run.backends(1199, 0, 3), ("serving", "ready"));
    assert_eq!(run.backends(1200, 0, 3), ("degraded", "no-backend"));
    assert_eq!(run.backends(1300, 1, 3), ("serving", "ready"));
    assert_eq!(run.backends(1400, 0, 3), ("serving", "ready"));
}

#[test]
fn draining_outranks_everything_and_undrain_shows_what_is() {
    let mut run = Run::new();
    run.at(50, Input::Ready);
    assert_eq!(run.at(100, Input::Drain { cause: "operator" }), ("draining", "operator"));
    assert_eq!(run.gone(200, true), ("draining", "operator"));
    assert_eq!(run.at(300, Input::Undrain), ("down", "crash-loop"));
    assert_eq!(run.at(300, Input::Ready), ("down", "recovering"));
    assert_eq!(run.at(400, Input::Drain { cause: "stopping" }), ("draining", "stopping"));
}

#[test]
fn a_change_is_told_once_and_since_follows_the_verdict() {
    let start = Instant::now();
    let ms = |ms| start + Duration::from_millis(ms);
    let mut tracker = Tracker::new(PATIENCE, start);
    let change = Change { from: Verdict::Restarting, to: Verdict::Serving, cause: "ready" };
    assert_eq!(tracker.on(Input::Ready, ms(10)), Some(change));
    assert_eq!(tracker.on(Input::Ready, ms(20)), None);
    assert_eq!(tracker.since(), ms(10));
    tracker.on(Input::Gone { since: ms(30), crash_loop: true, cause: "code" }, ms(30));
    tracker.on(Input::Ready, ms(40));
    assert_eq!((tracker.cause(), tracker.since()), ("recovering", ms(30)));
}
