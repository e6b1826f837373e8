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
        "\n{:<13} {:>4}  {:<23} {:>10} {:>8} {:>8} {:>7} {:>10} {:>12}  article\n",
        "event", "runs", "served by", "median ms", "max ms", "refused", "errors", "idle lost", "two masters"
    );
    for name in names {
        let mine: Vec<&Event> = events.iter().filter(|e| e.event == name).collect();
        let sum = |count: fn(&Event) -> usize| mine.iter().map(|e| count(e)).sum::<usize>();
        let most = |value: fn(&Event) -> f64| mine.iter().map(|e| value(e)).fold(0.0, f64::max);
        let served = served_by(&mine);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:<13} {:>4}  {:<23} {:>10.0} {:>8.0} {:>8} {:>7} {:>10} {:>9.0} ms  {}",
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

/// Who served before and after, from event to event of the first run: `test1 -> test2 -> test3` for a cascade.
fn served_by(events: &[&Event]) -> String {
    let mut path: Vec<&str> = Vec::new();
    for event in events.iter().filter(|e| e.run == events[0].run) {
        if path.is_empty() {
            path.push(&event.from);
        }
        if path.len() == 1 || path.last() != Some(&event.to.as_str()) {
            path.push(&event.to);
        }
    }
    path.join(" -> ")
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

    #[test]
    fn the_path_of_a_cascade_names_every_host_once() {
        let first = event(1.0);
        let second = Event { from: "test2".into(), to: "test3".into(), ..event(1.0) };
        let stays = Event { from: "test3".into(), to: "test3".into(), ..event(1.0) };
        assert_eq!(served_by(&[&first, &second, &stays]), "test1 -> test2 -> test3");
        assert_eq!(served_by(&[&stays]), "test3 -> test3");
    }
}
