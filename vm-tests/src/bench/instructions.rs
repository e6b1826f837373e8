//! How many instructions one query costs proxyd in user space, counted by callgrind: the same on a busy machine as on a quiet one.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

pub(crate) use super::sysbench::Statements;

use super::sysbench;
use super::target::{accepts, own_address, owned};
use super::{canned, proxy};
use crate::lab::child::Owned;

/// Two lengths of the same script; their difference is free of what starting and stopping cost.
const LENGTHS: [u64; 2] = [1_000, 6_000];

/// Point selects of one client, 10 query rules, one worker, digests on, a backend that answers at once.
pub(crate) fn per_query(binaries: &Path, directory: &Path, statements: Statements) -> Result<f64> {
    let mut counts = [0; 2];
    for (count, queries) in counts.iter_mut().zip(LENGTHS) {
        let place = directory.join(format!("{}-{queries}", statements.name()));
        let counted = counted(binaries, &place, statements, queries);
        *count = counted.with_context(|| format!("{queries} queries"))?;
    }
    Ok(counts[1].saturating_sub(counts[0]) as f64 / (LENGTHS[1] - LENGTHS[0]) as f64)
}

/// All instructions of a proxyd that lived for so many queries.
fn counted(binaries: &Path, directory: &Path, statements: Statements, queries: u64) -> Result<u64> {
    let backend = SocketAddr::from((own_address(60), 3306));
    let mut command = owned(std::env::current_exe()?, &directory.join("canned"), "canned")?;
    let _backend = Owned(canned::arguments(&mut command, backend).spawn()?);
    accepts(backend)?;
    let plan = proxy::Plan {
        program: binaries.join("standfast-proxyd"),
        under: ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"].map(String::from).to_vec(),
        addresses: vec![(own_address(61), 6033).into()],
        database: backend,
        rules: 10,
        workers: Some(1),
    };
    let mut proxy = Owned(proxy::start(&plan, directory)?);
    sysbench::point_selects(plan.addresses[0], statements, queries)?;
    let log = proxy::end(&mut proxy, directory)?;
    collected(&log).with_context(|| format!("callgrind counted nothing (apt-get install -y valgrind): {log}"))
}

/// `==123== Collected : 641807173`
fn collected(log: &str) -> Option<u64> {
    log.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::collected;

    #[test]
    fn callgrinds_count_is_read() {
        assert_eq!(collected("INFO x\n==9== \n==9== Collected : 641807173\n"), Some(641_807_173));
        assert_eq!(collected("nothing"), None);
    }
}
