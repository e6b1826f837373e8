//! Speed that must not rot unseen: instructions in user space of one query. Not a time, so it holds on any machine.

use anyhow::{Result, ensure};

use super::runner::Runner;
use crate::bench::instructions::{self, Statements};
use crate::lab::teardown;

/// What a point select cost when this was written, in a build with the counts of `pgo/`, or without as other compilers make it; the
/// allowance is for other C libraries, and for counts that have aged a little.
const POINT_SELECT: [(Statements, f64); 2] = if cfg!(profiled) {
    [(Statements::Text, 10_740.0), (Statements::Prepared, 10_640.0)]
} else {
    [(Statements::Text, 13_550.0), (Statements::Prepared, 13_400.0)]
};
const ALLOWANCE: f64 = 1.10;

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let binaries = runner.binaries.clone();
    for (statements, expected) in POINT_SELECT {
        let name = format!("instructions/a point select, {}, costs no more than it did", statements.name());
        runner.check(&name, || {
            let directory = teardown::directory().join("instructions");
            let cost = instructions::per_query(&binaries, &directory, statements)?;
            println!("        {cost:.0} instructions a query, {expected:.0} when last written down");
            ensure!(
                cost <= expected * ALLOWANCE,
                "{cost:.0} instructions a query, more than {expected:.0} and a tenth: `callgrind_annotate` tells where, \
                 and `pgo/train` counts anew"
            );
            Ok(())
        });
    }
    Ok(())
}
