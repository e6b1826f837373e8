//! Speed that must not rot unseen: instructions in user space of one query. Not a time, so it holds on any machine.

use anyhow::{Result, ensure};

use super::runner::Runner;
use crate::bench;
use crate::lab::teardown;

/// What a text point select cost when this was written; the allowance is for other compilers and C libraries.
const POINT_SELECT: f64 = 15_900.0;
const ALLOWANCE: f64 = 1.10;

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let binaries = runner.binaries.clone();
    runner.check("instructions/a point select costs no more than it did", || {
        let cost = bench::instructions::per_query(&binaries, &teardown::directory().join("instructions"))?;
        println!("        {cost:.0} instructions a query, {POINT_SELECT:.0} when last written down");
        ensure!(
            cost <= POINT_SELECT * ALLOWANCE,
            "{cost:.0} instructions a query, more than {POINT_SELECT:.0} and a tenth: `callgrind_annotate` tells where"
        );
        Ok(())
    });
    Ok(())
}
