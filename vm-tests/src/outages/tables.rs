//! The results as two tables of the same shape, and where ours is the slower one. Pure but for keepalived's version.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Elector, Results, Seen};

const ABOUT: &str = "\
The longest time between two answered queries (a new connection with one query every 5 ms) around each event, in milliseconds,
on three hosts in network namespaces. *Two holders*: for how long two hosts with power and a cable carried the address, at
worst, by a look every 5 ms; whoever seemed to have it first is asked once more, for it may move while one looks. The proxy, its
supervisor, the clients and the network are the same; only who elects differs. keepalived's check looks for a proxy every second,
which is as often as it can, and a miss is FAULT. A planned move is `standfast move` here, and stopping keepalived there.
";

pub(super) fn render(results: &Results, runs: usize) -> Result<String> {
    let version = Command::new("keepalived").arg("--version").output().context("run keepalived")?;
    let version = String::from_utf8_lossy(&version.stderr).lines().next().unwrap_or_default().to_owned();
    let mut text = format!("{ABOUT}\n{runs} runs each, by `standfast-lab outages --runs {runs}`.\n");
    for (elector, name) in [(Elector::Vrrpd, "standfast-vrrpd"), (Elector::Keepalived, version.as_str())] {
        let _ = writeln!(text, "\n{name}:\n\n{}", table(results, elector));
    }
    let _ = writeln!(text, "{}", comparison(results));
    Ok(text)
}

fn table(results: &Results, elector: Elector) -> String {
    let mut text = String::from(
        "| event | adverts | median | 95 % | worst | two holders | no end |\n|---|---|---|---|---|---|---|\n",
    );
    for ((_, event, advert), runs) in results.iter().filter(|((who, ..), _)| *who == elector) {
        let seen: Vec<Seen> = runs.iter().flatten().copied().collect();
        let outages = sorted(seen.iter().map(|it| it.outage_ms));
        let doubled = seen.iter().map(|it| it.two_holders_ms).fold(0.0, f64::max);
        let [median, most, worst] = [0.5, 0.95, 1.0]
            .map(|part| quantile(&outages, part).map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}")));
        let failed = runs.len() - seen.len();
        let _ = writeln!(
            text,
            "| {} | {advert} ms | {median} | {most} | {worst} | {doubled:.0} | {failed} |",
            event.words()
        );
    }
    text
}

fn comparison(results: &Results) -> String {
    let median = |key| {
        let runs: Option<&Vec<Option<Seen>>> = results.get(&key);
        quantile(&sorted(runs?.iter().flatten().map(|it| it.outage_ms)), 0.5)
    };
    let ours = results.keys().filter(|(who, ..)| *who == Elector::Vrrpd);
    let slower = ours.filter(|(_, event, advert)| {
        match (median((Elector::Vrrpd, *event, *advert)), median((Elector::Keepalived, *event, *advert))) {
            (Some(ours), Some(theirs)) => ours > theirs,
            (None, _) => true,
            (_, None) => false,
        }
    });
    let slower: Vec<String> =
        slower.map(|(_, event, advert)| format!("{} at {advert} ms", event.words())).collect();
    if slower.is_empty() {
        "No median of vrrpd is above keepalived's.".to_owned()
    } else {
        format!("vrrpd's median is above keepalived's for: {}.", slower.join(", "))
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The smallest value that `part` of all do not exceed.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (part * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::*;

    #[test]
    fn tables_and_who_is_slower() {
        let twenty = sorted((1..=20).rev().map(f64::from));
        assert_eq!(
            [0.5, 0.95, 1.0].map(|part| quantile(&twenty, part)),
            [Some(10.0), Some(19.0), Some(20.0)]
        );
        assert_eq!(quantile(&[], 0.5), None);
        let seen = |outage_ms| Some(Seen { outage_ms, two_holders_ms: 5.0 });
        let mut results = Results::new();
        results.insert((Elector::Vrrpd, Event::HostDeath, 100), vec![seen(300.0), seen(310.0), None]);
        results.insert((Elector::Keepalived, Event::HostDeath, 100), vec![seen(320.0)]);
        assert!(
            table(&results, Elector::Vrrpd).ends_with("| host death | 100 ms | 300 | 310 | 310 | 5 | 1 |\n")
        );
        assert!(comparison(&results).starts_with("No median"));
        results.insert((Elector::Keepalived, Event::HostDeath, 100), vec![seen(299.0)]);
        assert!(comparison(&results).ends_with("for: host death at 100 ms."));
    }
}
