//! Runs checks one after the other, says how each went, and counts.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Error, Result};

use crate::demo::Places;
use crate::demo::live::Live;
use crate::drills::stage::Stage;
use crate::lab::cluster::{BackendKind, Cluster, Plan};
use crate::lab::layout::Template;
use crate::lab::net::{self, Machine};

#[derive(Debug)]
pub(crate) struct Runner {
    pub configs: PathBuf,
    pub binaries: PathBuf,
    filter: Option<String>,
    passed: usize,
    failed: usize,
}

impl Runner {
    pub(crate) fn new(places: &Places, filter: Option<String>) -> Result<Self> {
        Ok(Self {
            configs: places.configs.clone(),
            binaries: places.binaries()?,
            filter,
            passed: 0,
            failed: 0,
        })
    }

    /// A lab with the article's hosts and its measuring clients.
    pub(crate) fn stage(&self, template: Template, backend: BackendKind) -> Result<Stage> {
        self.stage_of(template, backend, net::proxy_hosts())
    }

    /// The same with other addresses.
    pub(crate) fn stage_of(
        &self,
        template: Template,
        backend: BackendKind,
        hosts: Vec<Machine>,
    ) -> Result<Stage> {
        Stage::set(self.cluster(template, backend, hosts)?, Live::start())
    }

    /// The lab alone.
    pub(crate) fn cluster(
        &self,
        template: Template,
        backend: BackendKind,
        hosts: Vec<Machine>,
    ) -> Result<Cluster> {
        Cluster::start(Plan { template, binaries: self.binaries.clone(), backend, hosts })
    }

    /// Whether the filter wants this check.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| !filter.contains('/') || name.contains(filter.as_str()))
    }

    /// Runs one check, if the filter wants it.
    pub(crate) fn check(&mut self, name: &str, body: impl FnOnce() -> Result<()>) {
        if !self.wants(name) {
            return;
        }
        let start = Instant::now();
        match body() {
            Ok(()) => {
                self.passed += 1;
                say(&format!("ok      {name} ({:.1} s)", start.elapsed().as_secs_f64()));
            }
            Err(error) => self.failed(name, &error),
        }
    }

    pub(crate) fn failed(&mut self, name: &str, error: &Error) {
        self.failed += 1;
        say(&format!("FAILED  {name}: {error:#}"));
    }

    /// Prints the last line; true if nothing failed.
    pub(crate) fn summary(&self) -> bool {
        say(&format!("{} passed, {} failed", self.passed, self.failed));
        self.failed == 0
    }
}

/// A reader that has gone away (`| head`) must not turn into a panic in the middle of a lab.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
