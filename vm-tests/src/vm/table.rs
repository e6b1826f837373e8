//! The table of the drills in `BENCHMARKS.md`: a row for each event, a column for each layout, and one for the other product. A run writes
//! the cells that it measured and leaves all others as they are.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::product::Product;
use super::report;
use super::stage::Event;
use super::trio::Layout;
use crate::section;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What a suite left behind
    #[arg(long, value_name = "DIRECTORY", default_value = "target/vm-drills")]
    from: PathBuf,
    /// Rewrite the cells of what was measured in this file's table
    #[arg(long, value_name = "BENCHMARKS.md")]
    write: PathBuf,
}

const NAME: &str = "vm-drills";
const HEAD: &str =
    "| event | single VIP | three VIPs | IPv6 | keepalived, single VIP |\n|---|---|---|---|---|\n";
const COLUMNS: [(Product, Layout); 4] = [
    (Product::Standfast, Layout::SingleVip),
    (Product::Standfast, Layout::MultiVip),
    (Product::Standfast, Layout::Ipv6),
    (Product::Keepalived, Layout::SingleVip),
];
const NOT_MEASURED: &str = "-";

#[derive(Debug, PartialEq, Eq)]
struct Row {
    event: String,
    cells: [String; COLUMNS.len()],
}

/// True if every drill of the report could be done.
pub(crate) fn run(options: &Options) -> Result<bool> {
    write(&options.write, &report::read(&options.from)?)
}

/// True if every drill could be done; what an earlier run measured of the others stays.
pub(crate) fn write(file: &Path, events: &[Event]) -> Result<bool> {
    section::edit(file, NAME, |table| {
        let mut rows = parse(table)?;
        fill(&mut rows, events);
        Ok(render(&rows))
    })?;
    let undone: Vec<&str> = events.iter().filter(|it| !done(it)).map(|it| it.drill.as_str()).collect();
    if !undone.is_empty() {
        println!("could not be done, and has its old cell in {}: {}", file.display(), undone.join(", "));
    }
    Ok(undone.is_empty())
}

fn parse(table: &str) -> Result<Vec<Row>> {
    if table.is_empty() {
        return Ok(Vec::new());
    }
    let lines = table.strip_prefix(HEAD.trim_end());
    ensure!(lines.is_some(), "it does not begin with\n{HEAD}");
    lines.unwrap_or_default().lines().filter(|line| !line.is_empty()).map(row).collect()
}

fn row(line: &str) -> Result<Row> {
    let mut words = line.trim().trim_matches('|').split('|').map(|word| word.trim().to_owned());
    let event = words.next().unwrap_or_default();
    match <[String; COLUMNS.len()]>::try_from(words.collect::<Vec<String>>()) {
        Ok(cells) => Ok(Row { event, cells }),
        Err(_) => anyhow::bail!("not a row of it: {line}"),
    }
}

fn render(rows: &[Row]) -> String {
    let lines = rows.iter().map(|row| format!("| {} | {} |\n", row.event, row.cells.join(" | ")));
    HEAD.to_owned() + &lines.collect::<String>()
}

/// Puts what was measured into its cells. An event without a row gets one behind that of the event before it.
fn fill(rows: &mut Vec<Row>, events: &[Event]) {
    let mut next = rows.len();
    for event in events.iter().filter(|event| done(event)) {
        let place = (event.product, event.layout);
        let Some(column) = COLUMNS.iter().position(|it| *it == place) else { continue };
        let at = rows.iter().position(|row| row.event == event.drill).unwrap_or_else(|| {
            let cells = COLUMNS.map(|_| NOT_MEASURED.to_owned());
            rows.insert(next, Row { event: event.drill.clone(), cells });
            next
        });
        let runs = events
            .iter()
            .filter(|it| (it.product, it.layout) == place && it.drill == event.drill && done(it));
        rows[at].cells[column] = cell(&runs.collect::<Vec<&Event>>());
        next = at + 1;
    }
}

/// The worst of one event's runs, and whether it went as it should.
fn cell(runs: &[&Event]) -> String {
    let outage = runs.iter().map(|event| event.outage_ms).fold(0.0, f64::max);
    let failed = runs.iter().map(|event| event.failed + event.refused).max().unwrap_or_default();
    let any = |what: fn(&Event) -> bool| runs.iter().any(|event| what(event));
    let nobody = if any(|event| event.to == "nobody") { " (nobody)" } else { "" };
    let verdict = if any(|event| event.wrong.is_some()) {
        " (wrong)"
    } else if any(|event| event.inconclusive.is_some()) {
        " (inconclusive)"
    } else {
        ""
    };
    format!("{outage:.0} ms, {failed}{nobody}{verdict}")
}

/// A drill that could not be done has not even an owner from whom the VIP would have gone.
fn done(event: &Event) -> bool {
    !event.from.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(place: (Product, Layout), drill: &str, outage_ms: f64, failed: usize) -> Event {
        let mut event = Event::failed(place.0, place.1, drill, &anyhow::anyhow!("x"));
        (event.from, event.to, event.wrong) = ("test1".into(), "test2".into(), None);
        (event.outage_ms, event.failed) = (outage_ms, failed);
        event
    }

    fn filled(table: &str, events: &[Event]) -> String {
        let mut rows = parse(table.trim()).expect("a table");
        fill(&mut rows, events);
        render(&rows)
    }

    #[test]
    fn a_run_fills_the_cells_that_it_measured_and_no_other() {
        let table = format!(
            "{HEAD}| stop | 261 ms, 1 | 9 ms, 0 | - | 603 ms, 1 |\n| upgrade | 8 ms, 0 | - | - | - |\n"
        );
        assert_eq!(filled(&table, &[]), table);
        let peer = filled(&table, &[event(COLUMNS[3], "stop", 77.4, 2)]);
        assert_eq!(peer, table.replace("603 ms, 1", "77 ms, 2"));
        let ours = filled(&table, &[event(COLUMNS[0], "stop", 5.0, 0), event(COLUMNS[2], "stop", 6.0, 0)]);
        assert_eq!(ours, table.replace("261 ms, 1 | 9 ms, 0 | -", "5 ms, 0 | 9 ms, 0 | 6 ms, 0"));
    }

    #[test]
    fn a_new_event_follows_the_one_before_it() {
        let table = format!("{HEAD}| stop | 1 ms, 1 | - | - | - |\n| upgrade | 8 ms, 0 | - | - | - |\n");
        let events = ["stop", "start again", "frozen"].map(|drill| event(COLUMNS[1], drill, 3.0, 0));
        let names: Vec<String> =
            parse(filled(&table, &events).trim()).expect("rows").into_iter().map(|row| row.event).collect();
        assert_eq!(names, ["stop", "start again", "frozen", "upgrade"]);
        assert_eq!(parse(filled("", &events).trim()).expect("rows").len(), 3);
    }

    #[test]
    fn of_several_runs_the_worst_is_told_and_what_was_wrong_is_said() {
        let mut runs = [(9.0, 0), (4.0, 7)].map(|(ms, failed)| event(COLUMNS[0], "stop", ms, failed));
        let told = |runs: &[Event]| filled("", runs).replace(HEAD, "");
        assert_eq!(told(&runs), "| stop | 9 ms, 7 | - | - | - |\n");
        runs[0].inconclusive = Some("the VIP moved".into());
        assert!(told(&runs).contains("9 ms, 7 (inconclusive) |"));
        (runs[1].to, runs[1].wrong) = ("nobody".into(), Some("no owner".into()));
        assert!(told(&runs).contains("9 ms, 7 (nobody) (wrong) |"));
    }

    #[test]
    fn what_could_not_be_done_leaves_its_cell() {
        let table = format!("{HEAD}| stop | 261 ms, 1 | - | - | - |\n");
        let undone =
            Event::failed(Product::Standfast, Layout::SingleVip, "stop", &anyhow::anyhow!("no guest"));
        assert_eq!(filled(&table, &[undone]), table);
    }

    #[test]
    fn another_table_is_left_alone() {
        assert!(parse("| event | other |\n|---|---|").is_err());
        assert!(parse(&format!("{HEAD}| stop | - |")).is_err());
    }

    #[test]
    fn a_report_of_a_suite_is_read_back() {
        let events = [event(COLUMNS[3], "stop", 1.5, 2)];
        let json = serde_json::to_string(&events).expect("JSON");
        let read: Vec<Event> = serde_json::from_str(&json).expect("events");
        assert_eq!(filled("", &read), filled("", &events));
    }
}
