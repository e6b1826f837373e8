//! The closing table: what each event cost the client, beside what it cost in the article.

use std::fmt::Write;

use crate::drills::stage::Event;
use crate::lab::layout::Layout;

/// One line an event name, in the order in which they first happened.
pub(crate) fn render(events: &[Event], layout: Layout) -> String {
    let mut names: Vec<&str> = Vec::new();
    for event in events {
        if !names.contains(&event.event) {
            names.push(event.event);
        }
    }
    let mut out = format!(
        "\n{:<13} {:>4}  {:<14} {:>10} {:>8} {:>8} {:>7} {:>10} {:>12}  article\n",
        "event", "runs", "served by", "median ms", "max ms", "refused", "errors", "idle lost", "two masters"
    );
    for name in names {
        let mine: Vec<&Event> = events.iter().filter(|e| e.event == name).collect();
        let sum = |count: fn(&Event) -> usize| mine.iter().map(|e| count(e)).sum::<usize>();
        let most = |value: fn(&Event) -> f64| mine.iter().map(|e| value(e)).fold(0.0, f64::max);
        let served = mine.first().map(|e| format!("{} -> {}", e.from, e.to)).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<13} {:>4}  {:<14} {:>10.0} {:>8.0} {:>8} {:>7} {:>10} {:>9.0} ms  {}",
            name,
            mine.len(),
            served,
            median(&mine),
            most(|e| e.outage_ms),
            sum(|e| e.refused),
            sum(|e| e.errors),
            sum(|e| e.idle_lost),
            most(|e| e.two_masters_ms),
            article(name, layout)
        );
    }
    out.push_str("\nOutage: the longest time between two answers, of a client that opens a connection and queries every 5 ms.\n");
    out.push_str(
        "Errors: failed attempts and turns of the article's loop; idle lost: of 20 connections an event.\n",
    );
    out
}

fn median(events: &[&Event]) -> f64 {
    let mut values: Vec<f64> = events.iter().map(|e| e.outage_ms).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => 0.0,
        1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// What the article measured, or what its configuration makes of it.
fn article(event: &str, layout: Layout) -> &'static str {
    match (event, layout) {
        ("proxyd-kill", Layout::SingleVip) => "5.06 s",
        ("proxyd-kill", Layout::MultiVip) => "7.06 s (host 1), 10.03 s (host 2)",
        ("proxyd-hang", _) => "not noticed by killall -0",
        ("host-off", _) => "about 3 s (3 adverts of 1 s + skew)",
        ("host-on", _) => "4.04 s (fail-back)",
        ("cascade", Layout::SingleVip) => "14 to 15 s (both crashes)",
        ("cascade", Layout::MultiVip) => "7.06 s, then 10.03 s",
        _ => "-",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(outage_ms: f64) -> Event {
        Event {
            event: "host-off",
            run: 1,
            outage_ms,
            refused: 0,
            errors: 2,
            idle_lost: 20,
            from: "test1".into(),
            to: "test2".into(),
            two_masters_ms: 0.0,
            by_text: Vec::new(),
        }
    }

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        let events = [event(10.0), event(30.0), event(20.0), event(100.0)];
        let all: Vec<&Event> = events.iter().collect();
        assert!((median(&all) - 25.0).abs() < f64::EPSILON);
        assert!((median(&all[..3]) - 20.0).abs() < f64::EPSILON);
        let table = render(&events, Layout::SingleVip);
        assert!(table.contains("test1 -> test2"), "{table}");
        assert!(table.contains("about 3 s"), "{table}");
    }
}
