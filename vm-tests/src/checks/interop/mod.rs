//! vrrpd and the real keepalived as neighbours: every combination that an operator may meet on the way from one to the
//! other, each on a link of its own.
//!
//! `INTEROP_REPORT=docs/interop.md standfast-lab test interop` also writes the table of results there.

mod bed;
mod cell;
mod play;
mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow};

use super::runner::Runner;
use super::shell;
use crate::lab::teardown;
use crate::mysql97::root::SidRoot;
use bed::Bed;
use cell::{Cell, Neighbour};
use play::Times;

/// As many links at a time: adverts of one second leave the processors idle, those of 100 ms do not.
const SLOW_AT_ONCE: usize = 7;
const FAST_AT_ONCE: usize = 2;

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    shell::require("keepalived", "keepalived")?;
    teardown::clear()?;
    let cells = Cell::all();
    let wanted: Vec<Cell> = cells.into_iter().filter(|cell| runner.wants(&cell.name())).collect();
    let (slow, fast): (Vec<Cell>, Vec<Cell>) = wanted.into_iter().partition(Cell::is_slow);
    let binaries = runner.binaries.clone();
    let neighbours =
        Neighbours::find(slow.iter().chain(&fast).any(|cell| cell.neighbour == Neighbour::V2_3))?;
    let results = Mutex::new(BTreeMap::new());
    for (cells, at_once) in [(&slow, SLOW_AT_ONCE), (&fast, FAST_AT_ONCE)] {
        for batch in cells.chunks(at_once) {
            std::thread::scope(|scope| {
                for cell in batch {
                    scope.spawn(|| {
                        let result = one(*cell, &binaries, &neighbours);
                        if let Ok(mut results) = results.lock() {
                            results.insert(*cell, result);
                        }
                    });
                }
            });
        }
    }
    let results = results.into_inner().map_err(|_| anyhow!("a cell panicked"))?;
    let text = table::render(&results, &neighbours)?;
    println!("{text}");
    if let Some(path) = std::env::var_os("INTEROP_REPORT") {
        std::fs::write(&path, &text).with_context(|| format!("write {}", path.display()))?;
    }
    for (cell, result) in results {
        runner.check(&cell.name(), || result.map(drop));
    }
    Ok(())
}

/// The words that start each keepalived.
pub(crate) struct Neighbours {
    installed: Vec<String>,
    sid: Vec<String>,
}

impl Neighbours {
    fn find(with_sid: bool) -> Result<Neighbours> {
        let sid = if with_sid { SidRoot::with_keepalived()?.keepalived()? } else { Vec::new() };
        Ok(Neighbours { installed: vec!["keepalived".into()], sid })
    }

    pub(crate) fn words(&self, neighbour: Neighbour) -> &[String] {
        if neighbour == Neighbour::V2_2 { &self.installed } else { &self.sid }
    }
}

fn one(cell: Cell, binaries: &Path, neighbours: &Neighbours) -> Result<Times> {
    let mut bed = Bed::new(cell, binaries, neighbours.words(cell.neighbour))?;
    play::play(cell, &mut bed).with_context(|| bed.describe())
}
