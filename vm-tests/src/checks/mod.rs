//! `standfast-lab test`: what must hold on real kernels with real servers and real clients.
//!
//! Each group builds its own lab. Only when they are asked for by name: `load`, a minute with both cores busy; `interop`, four
//! minutes beside keepalived; `galera`, `group` and `replication`, real clusters whose own timers decide how long a check waits; `ansible`,
//! which installs half a gigabyte; `all-connectors`, every library of applications in every way (`connectors` is a short run of
//! it); `causal-long`, a hundred thousand pairs of write and read (`causal` is a short run of it);
//! `differential`, thousands of random sessions (`sessions` is a short run of it); `switches` and `deaths`, fail-overs
//! under load (`switch` and `death` are short runs of them); `fail-backs`, a cold host's return with real servers (`fail-back` has none); `soak`, half an hour of everything at once;
//! `large`, the limits with two gigabytes (`limits` has less).

mod ansible;
mod article;
mod aurora;
mod bad_input;
mod causal;
mod chains;
mod clusters;
mod connectors;
mod differential;
mod drill;
mod fail_back;
mod failover;
mod fake_bed;
mod import;
mod instructions;
mod interop;
mod load;
mod mysql97;
mod own_lab;
mod pair;
mod permutations;
mod rules;
mod runner;
pub(crate) mod shell;
mod start;
mod vrrp;
mod web;

use anyhow::Result;

use crate::demo::Places;
use crate::lab::{reaper, teardown};
use runner::Runner;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// A group (lab, article, chains, permutations, bad-input, drill, fail-back, fail-backs, rules, aurora, mysql97, causal, causal-long, sessions, connectors, import, pairs, switch, death, limits, ansible, differential, switches, deaths, soak, large, galera, group, replication, instructions, interop, web, start, load), or part of a check's name. Without it: all but `ansible`, `causal-long`, `differential`, `switches`, `deaths`, `fail-backs`, `soak`, `large`, `galera`, `group`, `interop`, `load` and `replication`.
    filter: Option<String>,
    #[command(flatten)]
    places: Places,
}

type Group = fn(&mut Runner) -> Result<()>;

/// Run only when they are asked for.
const ON_REQUEST: [&str; 14] = [
    "all-connectors",
    "ansible",
    "causal-long",
    "deaths",
    "differential",
    "fail-backs",
    "galera",
    "group",
    "interop",
    "large",
    "load",
    "replication",
    "soak",
    "switches",
];

const GROUPS: [(&str, Group); 35] = [
    ("lab", own_lab::run),
    ("article", article::run),
    ("chains", chains::run),
    ("permutations", permutations::run),
    ("bad-input", bad_input::run),
    ("drill", drill::run),
    ("fail-back", fail_back::short),
    ("fail-backs", fail_back::long),
    ("rules", rules::run),
    ("aurora", aurora::run),
    ("mysql97", mysql97::run),
    ("connectors", connectors::short),
    ("all-connectors", connectors::long),
    ("causal", causal::short),
    ("causal-long", causal::long),
    ("import", import::run),
    ("ansible", ansible::run),
    ("sessions", differential::short),
    ("differential", differential::run),
    ("pairs", failover::pairs::run),
    ("switch", failover::switch::short),
    ("soak", failover::soak::run),
    ("limits", failover::limits::short),
    ("large", failover::limits::long),
    ("death", failover::death::short),
    ("deaths", failover::death::run),
    ("switches", failover::switch::long),
    ("galera", clusters::galera::run),
    ("replication", clusters::replication::run),
    ("group", clusters::group::run),
    ("instructions", instructions::run),
    ("interop", interop::run),
    ("web", web::run),
    ("start", start::run),
    ("load", load::run),
];

/// True if nothing failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    reaper::start()?;
    let _guard = teardown::Guard::new(options.places.keep)?;
    let filter = options.filter.clone();
    let mut runner = Runner::new(&options.places, filter.clone())?;
    for (name, group) in GROUPS {
        let wanted = match &filter {
            None => !ON_REQUEST.contains(&name),
            Some(filter) => filter.split('/').next() == Some(name),
        };
        if !wanted {
            continue;
        }
        if let Err(error) = group(&mut runner) {
            runner.failed(&format!("{name}/set-up"), &error);
        }
    }
    Ok(runner.summary())
}
