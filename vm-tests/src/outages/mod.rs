//! `standfast-lab outages`: what a client loses when the VIP moves, with vrrpd and with keepalived on the same lab in the same run.
//!
//! The same hosts, proxies and clients each time; only who elects differs. One lab a combination of adverts and elector;
//! in it every event as often as asked. The report is Markdown, for `BENCHMARKS.md`.

mod event;
mod lanes;
mod tables;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::checks::shell;
use crate::demo::Places;
use crate::demo::live::Live;
use crate::drills::stage::Stage;
use crate::lab::cluster::{BackendKind, Cluster, Plan};
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{net, reaper, teardown};
use crate::section;
use event::Event;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often each event happens.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Milliseconds between adverts.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000])]
    adverts: Vec<u16>,
    /// Only these events.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Event::ALL)]
    events: Vec<Event>,
    /// So many labs at once, each with its own distance of adverts; more than there are cores falsifies the figures.
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// Write the tables to this file as well.
    #[arg(long, value_name = "FILE.md")]
    report: Option<PathBuf>,
    /// Rewrite the tables between the markers of this file.
    #[arg(long, value_name = "FILE.md")]
    write: Option<PathBuf>,
    /// What was seen, for the process that wants it.
    #[arg(long, value_name = "FILE", hide = true)]
    results: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Elector {
    Vrrpd,
    Keepalived,
}

/// One event as the client saw it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    outage_ms: f64,
    two_holders_ms: f64,
}

/// By elector, event and adverts; `None` is a run in which it did not come to an end.
type Results = BTreeMap<(Elector, Event, u16), Vec<Option<Seen>>>;

/// True if every event came to an end.
pub(crate) fn run(options: &Options) -> Result<bool> {
    shell::require("keepalived", "keepalived")?;
    let results = if options.at_once > 1 { lanes::run(options)? } else { here(options)? };
    let sound = results.values().flatten().all(Option::is_some);
    if let Some(path) = &options.results {
        lanes::save(&results, path)?;
        return Ok(sound);
    }
    let text = tables::render(&results, options.runs)?;
    if let Some(path) = &options.report {
        std::fs::write(path, &text).with_context(|| format!("write {}", path.display()))?;
    }
    // An event that did not come to an end has a column of its own: the tables are true all the same.
    section::publish("outages", &text, true, options.write.as_deref())?;
    Ok(sound)
}

/// Everything in this process, one lab after the other.
fn here(options: &Options) -> Result<Results> {
    reaper::start()?;
    let _guard = teardown::Guard::new(options.places.keep)?;
    let mut results = Results::new();
    for advert in &options.adverts {
        for elector in [Elector::Vrrpd, Elector::Keepalived] {
            combination(options, elector, *advert, &mut results)?;
        }
    }
    Ok(results)
}

fn combination(options: &Options, elector: Elector, advert: u16, results: &mut Results) -> Result<()> {
    let mut stage = None;
    for run in 1..=options.runs {
        for event in &options.events {
            let mut ready = match stage.take() {
                Some(stage) => stage,
                None => set(options, elector, advert)?,
            };
            ready.run = run;
            let outcome = event.happen(&mut ready, elector, phase(run, advert));
            let seen = match (outcome, ready.events.pop()) {
                (Ok(()), Some(it)) => {
                    stage = Some(ready);
                    Some(Seen { outage_ms: it.outage_ms, two_holders_ms: it.two_masters_ms })
                }
                (outcome, _) => {
                    eprintln!(
                        "{elector:?}, {advert} ms, {event:?}, run {run}: {:#}",
                        outcome.err().unwrap_or_else(|| anyhow::anyhow!("nothing was seen"))
                    );
                    None
                }
            };
            results.entry((elector, *event, advert)).or_default().push(seen);
        }
    }
    Ok(())
}

/// When in the time between two adverts a run's events happen: what waits for quiet always does at the same moment of it, and a host
/// that dies just before it would speak is missed a whole advert sooner. The golden section spreads any number of runs evenly.
fn phase(run: usize, advert: u16) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_75;
    let run = u32::try_from(run).unwrap_or(u32::MAX);
    Duration::from_millis(advert.into()).mul_f64((f64::from(run) * GOLDEN).fract())
}

fn set(options: &Options, elector: Elector, advert: u16) -> Result<Stage> {
    let template = Template::new(Layout::SingleVip, Numbers::Standfast, &options.places.configs);
    let template = template.with_adverts_every(advert);
    let template = if elector == Elector::Keepalived { template.with_keepalived(advert) } else { template };
    let plan = Plan {
        template,
        binaries: options.places.binaries()?,
        backend: BackendKind::Sqlite,
        hosts: net::proxy_hosts(),
    };
    let live = Live::start();
    live.say(&format!("{elector:?} elects, adverts every {advert} ms"));
    Stage::set(Cluster::start(plan)?, live)
}
