//! `standfast-lab demo`: the drills with a live view, a table beside the article's figures, and a report.

pub(crate) mod live;
mod report;
mod table;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::drills::{self, stage::Stage};
use crate::lab::cluster::{BackendKind, Cluster, Plan};
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::{net, reaper, teardown};
use live::Live;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which shipped layout to run.
    #[arg(value_enum, default_value = "single-vip")]
    layout: Layout,
    /// How many rounds of all drills.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Write every event to this JSON file.
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    /// Which servers stand behind the proxies.
    #[arg(long, value_enum, default_value = "sqlite")]
    backend: BackendKind,
    /// Whose numbers: ours, or the article's (VRRPv2, adverts of one second).
    #[arg(long = "layout", value_enum, default_value = "standfast")]
    numbers: Numbers,
    #[command(flatten)]
    places: Places,
}

/// Where programs and shipped files are.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Places {
    /// The directory of the shipped layouts.
    #[arg(long, default_value = "configs")]
    pub configs: PathBuf,
    /// The directory of the built programs; by default that of this one.
    #[arg(long)]
    pub bin_dir: Option<PathBuf>,
    /// Leave logs and databases behind.
    #[arg(long)]
    pub keep: bool,
}

impl Places {
    /// The same words for another process of this program.
    pub(crate) fn pass_on(&self, command: &mut Command) {
        command.arg("--configs").arg(&self.configs);
        if let Some(directory) = &self.bin_dir {
            command.arg("--bin-dir").arg(directory);
        }
        if self.keep {
            command.arg("--keep");
        }
    }

    pub(crate) fn binaries(&self) -> Result<PathBuf> {
        match &self.bin_dir {
            Some(directory) => Ok(directory.clone()),
            None => {
                let own = std::env::current_exe()?;
                own.parent().map(Into::into).context("this program has no directory")
            }
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    reaper::start()?;
    let _guard = teardown::Guard::new(options.places.keep)?;
    let live = Live::start();
    let mut template = Template::new(options.layout, options.numbers, &options.places.configs);
    if let Some(note) = template.shorten_failback() {
        live.say(note);
    }
    let advert = template.advert_ms()?;
    live.say(&format!("three hosts, {}, adverts every {advert} ms", options.layout.name()));
    let plan = Plan {
        template,
        binaries: options.places.binaries()?,
        backend: options.backend,
        hosts: net::proxy_hosts(),
    };
    let cluster = Cluster::start(plan)?;
    live.say("hosts, backends and client are up; waiting for the VIPs");
    let mut stage = Stage::set(cluster, live)?;
    let mut outcome = Ok(());
    for run in 1..=options.runs {
        stage.run = run;
        stage.live.say(&format!("round {run} of {}", options.runs));
        outcome = drills::round(&mut stage);
        if outcome.is_err() {
            break;
        }
    }
    stage.live.finish();
    println!("{}", table::render(&stage.events, options.layout));
    if let Some(path) = &options.report {
        report::write(path, options.layout, advert, &stage.events)?;
    }
    if outcome.is_err() {
        eprintln!("logs: {}", teardown::directory().display());
        for host in &stage.cluster.hosts {
            eprintln!("{}\n{}", host.tail("angel"), host.tail("vrrpd"));
        }
    }
    outcome
}
