//! What came of a drill: a table for the terminal, a page and JSON for whoever was not there.

use std::fmt::Write as _;
use std::fs;
use std::io::{IsTerminal, Write as _};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::event::Event;

pub(super) struct Outcome {
    pub(super) event: Event,
    pub(super) outage: Duration,
    pub(super) failures: usize,
    pub(super) owner: String,
    pub(super) error: Option<String>,
}

impl Outcome {
    pub(super) fn failed(event: Event, why: &str) -> Outcome {
        let (outage, failures, owner) = (Duration::ZERO, 0, "-".to_owned());
        Outcome { event, outage, failures, owner, error: Some(why.to_owned()) }
    }

    fn result(&self) -> &str {
        self.error.as_deref().unwrap_or("well")
    }
}

pub(super) struct Report {
    host: String,
    vip: IpAddr,
    /// Seconds since 1970.
    at: u64,
    outcomes: Vec<Outcome>,
    stopped: Option<String>,
}

impl Report {
    pub(super) fn new(host: &str, vip: IpAddr) -> Report {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        Report { host: host.to_owned(), vip, at, outcomes: Vec::new(), stopped: None }
    }

    pub(super) fn add(&mut self, outcome: Outcome) {
        self.outcomes.push(outcome);
    }

    /// The rest was refused.
    pub(super) fn stopped(&mut self, why: &str) {
        self.stopped = Some(why.to_owned());
    }

    pub(super) fn all_well(&self) -> bool {
        self.stopped.is_none() && self.outcomes.iter().all(|it| it.error.is_none())
    }

    pub(super) fn text(&self) -> String {
        let mut text =
            format!("{:<12} {:>10} {:>9}  {:<16} result\n", "event", "outage", "failures", "owner after");
        for it in &self.outcomes {
            let outage = format!("{} ms", it.outage.as_millis());
            let _ = writeln!(
                text,
                "{:<12} {outage:>10} {:>9}  {:<16} {}",
                it.event.name(),
                it.failures,
                it.owner,
                it.result()
            );
        }
        text
    }

    pub(super) fn write(&self, directory: &Path) -> Result<(), String> {
        fs::create_dir_all(directory)
            .and_then(|()| fs::write(directory.join("drill.json"), self.json()))
            .and_then(|()| fs::write(directory.join("drill.html"), self.html()))
            .map_err(|error| format!("cannot write the report to {}: {error}", directory.display()))
    }

    fn json(&self) -> String {
        let outcomes: Vec<_> = self
            .outcomes
            .iter()
            .map(|it| {
                let outage = u64::try_from(it.outage.as_millis()).unwrap_or(u64::MAX);
                json!({
                    "event": it.event.name(), "outage_ms": outage, "failures": it.failures,
                    "owner_after": it.owner, "error": it.error,
                })
            })
            .collect();
        let report = json!({
            "host": self.host, "vip": self.vip.to_string(), "at": self.at, "events": outcomes, "stopped": self.stopped,
        });
        format!("{report:#}\n")
    }

    fn html(&self) -> String {
        let mut rows = String::new();
        for it in &self.outcomes {
            let class = if it.error.is_none() { "well" } else { "failed" };
            let _ = writeln!(
                rows,
                "<tr class=\"{class}\"><td>{}<td>{}<td class=n>{} ms<td class=n>{}<td>{}<td>{}",
                it.event.name(),
                escaped(it.event.about()),
                it.outage.as_millis(),
                it.failures,
                escaped(&it.owner),
                escaped(it.result())
            );
        }
        let stopped = self.stopped.as_deref().map_or_else(String::new, |why| {
            format!("<p class=\"failed\">Stopped before the end: {}</p>", escaped(why))
        });
        format!(
            "<!doctype html><meta charset=\"utf-8\"><title>Standfast drill</title>\n<style>\n\
             body {{ font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}\n\
             table {{ border-collapse: collapse; width: 100% }} th, td {{ text-align: left; padding: .4em .8em; border-bottom: 1px solid #ccc }}\n\
             .n {{ text-align: right; font-variant-numeric: tabular-nums }} .failed {{ color: #a00 }}\n</style>\n\
             <h1>Standfast drill</h1>\n<p>{} on {}, <time data-unix=\"{}\">{} s since 1970</time></p>\n{stopped}\n<table>\n\
             <tr><th>event<th>what was done<th class=n>outage<th class=n>failures<th>owner after<th>result\n{rows}</table>\n\
             <p>Outage: the longest time between two clients that were greeted, a new one every 10 ms.</p>\n",
            escaped(&self.vip.to_string()),
            escaped(&self.host),
            self.at,
            self.at
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A line that moves while something is waited for, if somebody looks.
pub(super) struct Progress {
    event: Event,
    count: (usize, usize),
    began: Instant,
    seen: bool,
}

impl Progress {
    pub(super) fn new(event: Event, count: (usize, usize)) -> Progress {
        Progress { event, count, began: Instant::now(), seen: std::io::stderr().is_terminal() }
    }

    pub(super) fn tick(&mut self) {
        if self.seen {
            let (place, all) = self.count;
            let filled = "#".repeat(20 * (place - 1) / all.max(1));
            let time = self.began.elapsed().as_secs_f64();
            let _ = write!(
                std::io::stderr(),
                "\r[{filled:<20}] {place}/{all} {} {time:.1} s ",
                self.event.name()
            );
        }
    }

    pub(super) fn done(&mut self) {
        if self.seen {
            let _ = write!(std::io::stderr(), "\r{:60}\r", "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_went_wrong_and_trusts_no_text() {
        let mut report = Report::new("test<1>", "192.0.2.88".parse().unwrap());
        let outage = Duration::from_millis(42);
        let (failures, owner) = (3, "test1".to_owned());
        report.add(Outcome { event: Event::KillProxy, outage, failures, owner, error: None });
        assert!(report.all_well());
        report.add(Outcome::failed(Event::Move, "nobody took it"));
        assert!(!report.all_well());
        assert!(
            report.text().contains("kill-proxy        42 ms         3  test1            well\n"),
            "{}",
            report.text()
        );
        let html = report.html();
        assert!(
            html.contains("test&lt;1&gt;") && html.contains("nobody took it") && html.contains("42 ms"),
            "{html}"
        );
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["events"][0]["outage_ms"], 42);
    }
}
