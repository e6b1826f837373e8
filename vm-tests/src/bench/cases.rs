//! What is measured.

use super::sysbench::{Script, Statements};

/// One thing to measure on several targets.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub name: String,
    pub kind: Kind,
    pub backend: Backend,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// sysbench's own statements, `clients` at a time.
    Sysbench { script: Script, statements: Statements, clients: usize },
    /// One client reads results of so many bytes.
    Large { rows: usize, row_bytes: usize },
    /// Connect, log in, one query, close; `clients` at a time. Under TLS it is compared with a handshake alone.
    Storm { clients: usize, tls: bool },
    /// So many clients are logged in and silent, while one is active.
    Idle { clients: usize },
}

/// What answers behind the targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    MariaDb,
    /// Answers every query with the same row, at once: the database is out of the picture.
    Canned,
    /// MariaDB, and 200 query rules in proxyd instead of 10.
    ManyRules,
}

fn sysbench(script: Script, statements: Statements, clients: usize, backend: Backend) -> Case {
    let prefix = match backend {
        Backend::MariaDb => "",
        Backend::Canned => "canned-",
        Backend::ManyRules => "rules-200-",
    };
    let name = format!("{prefix}{}-{}-{clients}", script.name(), statements.name());
    Case { name, kind: Kind::Sysbench { script, statements, clients }, backend }
}

fn large(name: &str, rows: usize, row_bytes: usize) -> Case {
    Case { name: name.into(), kind: Kind::Large { rows, row_bytes }, backend: Backend::MariaDb }
}

fn storm(clients: usize, tls: bool) -> Case {
    let way = if tls { "tls" } else { "plain" };
    let name = format!("storm-{way}-{clients}");
    Case { name, kind: Kind::Storm { clients, tls }, backend: Backend::MariaDb }
}

fn idle(clients: usize) -> Case {
    let name = format!("idle-{}k", clients / 1000);
    Case { name, kind: Kind::Idle { clients }, backend: Backend::MariaDb }
}

/// All cases, or those of a quick run.
pub(crate) fn all(quick: bool) -> Vec<Case> {
    use Backend::{Canned, ManyRules, MariaDb};
    use Script::{PointSelect, ReadOnly, ReadWrite};
    use Statements::{Prepared, Text};
    let mut cases = vec![
        sysbench(PointSelect, Text, 16, MariaDb),
        sysbench(PointSelect, Prepared, 16, MariaDb),
        sysbench(PointSelect, Text, 64, MariaDb),
        sysbench(PointSelect, Prepared, 64, MariaDb),
        storm(16, false),
        storm(16, true),
        large("result-1mb", 1000, 1000),
    ];
    if quick {
        return cases;
    }
    cases.extend([
        sysbench(PointSelect, Text, 1, MariaDb),
        sysbench(PointSelect, Text, 256, MariaDb),
        sysbench(PointSelect, Text, 1000, MariaDb),
        sysbench(ReadOnly, Text, 16, MariaDb),
        sysbench(ReadOnly, Prepared, 16, MariaDb),
        sysbench(ReadWrite, Text, 16, MariaDb),
        sysbench(PointSelect, Text, 16, Canned),
        sysbench(PointSelect, Text, 16, ManyRules),
        large("result-100mb", 100_000, 1000),
        idle(10_000),
        idle(100_000),
    ]);
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = all(false).into_iter().map(|case| case.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.contains(&"point-select-text-16".to_owned()));
    }
}
