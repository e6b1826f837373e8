//! One run of a job.

use super::{Job, Outcome};
use crate::program::{Errors, Program, run as run_program};

/// Of what a program writes, so much is logged.
const OUTPUT: usize = 4096;

/// Runs the job's program to its end; blocks.
pub(super) fn run(job: &Job) -> (Outcome, String) {
    let run = run_program(&Program {
        filename: job.filename.clone(),
        arguments: job.arguments.clone(),
        patience: job.patience(),
        keep: OUTPUT,
        errors: Errors::WithOutput,
    });
    let outcome = match run.end {
        Ok(Some(status)) if status.success() => Outcome::Success,
        Ok(Some(status)) => Outcome::Failure(status.to_string()),
        Ok(None) => Outcome::Failure(format!("killed after {} s", job.patience().as_secs())),
        Err(error) => Outcome::Failure(format!("it cannot be run: {error}")),
    };
    (outcome, run.output.text())
}
