//! The suite: every drill on every layout that it is for, with three pristine hosts, or those that the drill before left well; then
//! the report.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use super::drills::{DRILLS, Drill, Leaves};
use super::image::{Image, Packages, Pristine};
use super::product::Product;
use super::report;
use super::stage::{Event, Stage};
use super::table;
use super::trio::{Layout, Site, Trio};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// What the hosts run: the package, or keepalived (one VIP, and the drills that are not about the package's own processes)
    #[arg(long, value_enum, default_value = "standfast")]
    peer: Product,
    /// Only this layout
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// Only drills whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// How often each drill is done
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Where the report page and its JSON go
    #[arg(long, default_value = "target/vm-drills")]
    report: PathBuf,
    /// Rewrite the cells of what was measured in this file's table, and leave the others
    #[arg(long, value_name = "BENCHMARKS.md")]
    write: Option<PathBuf>,
}

pub(crate) fn run(image: &Image, packages: &Packages, options: &Options) -> Result<bool> {
    let began = Instant::now();
    if let Some(file) = &options.write {
        // Whether the table has its place there is known before the drills, not after them.
        table::write(file, &[])?;
    }
    let site = Site::build()?;
    let pristine = Pristine::get(image, packages, &site.network, site.first_tap())?;
    println!("ready for drills after {:.0} s", began.elapsed().as_secs_f64());
    let mut events = Vec::new();
    for layout in [Layout::SingleVip, Layout::MultiVip, Layout::Ipv6] {
        if options.layout.is_some_and(|only| only != layout) {
            continue;
        }
        let wanted = |drill: &&Drill| {
            let named = options.only.as_ref().is_none_or(|only| drill.name.contains(only.as_str()));
            let ours = options.peer == Product::Standfast;
            named
                && drill.layouts.contains(&layout)
                && (ours || drill.for_peer && layout == Layout::SingleVip)
        };
        let mut left: Option<Stage> = None;
        for drill in DRILLS.iter().filter(wanted) {
            for run in 1..=options.runs {
                let (mut new, stage) = one(&site, &pristine, (options.peer, layout), drill, left.take());
                left = stage.filter(|_| match drill.leaves {
                    Leaves::AsBefore => true,
                    Leaves::Changed => run == options.runs,
                    Leaves::OneLess => false,
                });
                events.append(&mut new);
                // What is known is written at once: a suite may be interrupted.
                report::write(&options.report, &events)?;
            }
        }
    }
    let wrong = events.iter().filter(|event| event.wrong.is_some()).count();
    let unsure = events.iter().filter(|event| event.inconclusive.is_some()).count();
    println!(
        "{} events, {wrong} wrong, {unsure} inconclusive, {:.0} s; the report: {}",
        events.len(),
        began.elapsed().as_secs_f64(),
        options.report.join("index.html").display()
    );
    let told = options.write.as_deref().map_or(Ok(true), |file| table::write(file, &events))?;
    Ok(wrong == 0 && !events.is_empty() && told)
}

/// One drill, with the hosts that are left from the one before or with pristine ones; the hosts are handed on if nothing was wrong. A
/// drill that could not be done is an event too.
fn one(
    site: &Site,
    pristine: &Pristine,
    (product, layout): (Product, Layout),
    drill: &Drill,
    left: Option<Stage>,
) -> (Vec<Event>, Option<Stage>) {
    let set = || {
        let trio = Trio::wake(site, pristine)?;
        trio.apply(product, layout)?;
        Stage::set(site, trio, product, layout)
    };
    let stage = left.map_or_else(set, Ok).and_then(|stage| stage.all_at_home().map(|()| stage));
    let mut stage = match stage.context("three hosts for the drill") {
        Ok(stage) => stage,
        Err(error) => return (vec![failed(product, layout, drill, &error)], None),
    };
    let done = (drill.run)(&mut stage, site);
    let mut events = std::mem::take(&mut stage.events);
    events.extend(done.err().map(|error| failed(product, layout, drill, &error)));
    let is_well = events.iter().all(|event| event.wrong.is_none());
    (events, is_well.then_some(stage))
}

fn failed(product: Product, layout: Layout, drill: &Drill, error: &anyhow::Error) -> Event {
    println!("{:<10} {:<28} FAILED: {error:#}", layout.name(), drill.name);
    Event::failed(product, layout, drill.name, error)
}
