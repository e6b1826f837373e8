//! `standfast check`: everything that is wrong with the files, or the order in which hosts serve each VIP.

use std::path::PathBuf;
use std::process::ExitCode;

use configs::{File, Identity, Problem, Report, check_together};

use crate::control::say;

/// `EX_CONFIG` of sysexits.h.
pub(crate) const EX_CONFIG: u8 = 78;

pub(crate) fn run(paths: &[PathBuf], host: Option<&str>) -> ExitCode {
    match check(paths, host) {
        Ok(report) => {
            say(&report.to_string());
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in &problems {
                eprintln!("{problem}");
            }
            ExitCode::from(EX_CONFIG)
        }
    }
}

/// The files by themselves first; those that are right in themselves are then compared.
fn check(paths: &[PathBuf], host: Option<&str>) -> Result<Report, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        match File::load(path) {
            Ok(file) => files.push(file),
            Err(found) => problems.extend(found),
        }
    }
    if let Some(name) = host {
        // Beside the files of other hosts, only those that this host would read.
        let own: Vec<&File> =
            files.iter().filter(|file| file.host().is_none_or(|owner| owner == name)).collect();
        let read = if own.is_empty() { files.iter().collect() } else { own };
        let resolved = read.into_iter().map(|file| file.appliance(Identity { name: Some(name), local: &[] }));
        problems.extend(resolved.filter_map(Result::err).flatten());
    }
    match check_together(&files) {
        Ok(report) if problems.is_empty() => Ok(report),
        Ok(_) => Err(problems),
        Err(found) => {
            problems.extend(found);
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::check;

    fn article(host: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("configs/multi-vip/article-{host}.toml"))
    }

    #[test]
    fn the_host_s_own_file_is_the_one_that_is_resolved() {
        let all = ["test1", "test2", "test3"].map(article);
        assert_eq!(check(&all, Some("test2")).map(|report| report.rows.len()), Ok(3));
        let other = check(&[article("test1")], Some("test2")).expect_err("another host's file");
        assert_eq!(other.len(), 1);
        assert_eq!(other[0].text, "contradiction: this is the file of test1, asked for as test2");
    }

    #[test]
    fn faults_of_every_file_are_told() {
        let files = [PathBuf::from("/nonexistent/a"), PathBuf::from("/nonexistent/b")];
        assert_eq!(check(&files, None).expect_err("no such files").len(), 2);
    }
}
