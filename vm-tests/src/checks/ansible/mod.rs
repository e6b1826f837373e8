//! Ansible's own ProxySQL modules against the admin interface: a playbook as one writes it for ProxySQL, unmodified, twice.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::runner::Runner;
use super::shell;
use crate::lab::netns::Netns;
use crate::lab::proxyd::{self, Listeners, Proxyd};
use crate::lab::{teardown, wait};
use crate::mysql97::connectors;

const PLAYBOOK: &str = include_str!("playbook.yml");
/// A run takes some ten seconds.
const LIMIT: Duration = Duration::from_secs(180);
pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let python = connectors::ansible()?;
    let bench = Bench::start(&runner.binaries)?;
    let mut changed_at_first = 0;
    runner.check("ansible/a playbook for ProxySQL runs", || {
        changed_at_first = bench.play(&python)?;
        ensure!(changed_at_first > 0, "it changed nothing");
        Ok(())
    });
    runner.check("ansible/the same playbook again changes nothing", || {
        let changed = bench.play(&python)?;
        ensure!(changed_at_first > 0, "the first run is what this one is compared with, and it failed");
        ensure!(changed == 0, "{changed} tasks changed something that they had changed already");
        Ok(())
    });
    Ok(())
}

/// One proxy in a namespace; it dies with it.
struct Bench {
    proxy: Proxyd,
    netns: Netns,
    directory: PathBuf,
}

impl Bench {
    fn start(binaries: &Path) -> Result<Bench> {
        teardown::clear()?;
        teardown::remove_stale();
        let netns = Netns::create(&format!("{}ansible", teardown::prefix()))?;
        let directory = teardown::directory().join("ansible");
        fs::create_dir_all(directory.join("home"))?;
        fs::write(directory.join("playbook.yml"), PLAYBOOK)?;
        let configuration = proxyd::head(&Listeners::at(Ipv4Addr::LOCALHOST), "", &directory);
        let proxy = Proxyd::start(binaries, &netns, &directory, &configuration)?;
        let bench = Bench { proxy, netns, directory };
        wait::until("the proxy's control socket", Duration::from_secs(10), || {
            bench.directory.join("run/proxyd.sock").exists()
        })
        .with_context(|| bench.proxy.log())?;
        Ok(bench)
    }

    /// Runs the playbook; gives the number of tasks that changed something.
    fn play(&self, python: &Path) -> Result<usize> {
        let home = self.directory.join("home");
        let script = format!(
            "export HOME={0} ANSIBLE_HOME={0} ANSIBLE_NOCOLOR=1 LC_ALL=C.UTF-8; {1} -m ansible playbook \
             -i localhost, -e ansible_python_interpreter={1} -e admin_host=127.0.0.1 -e admin_port=6032 {2}",
            home.display(),
            python.display(),
            self.directory.join("playbook.yml").display(),
        );
        let output = shell::bash(&self.netns, &self.directory.join("shell"), &script, LIMIT)?;
        ensure!(output.success, "{}{}", output.stdout, output.stderr);
        changed(&output.stdout).with_context(|| format!("no summary in what it printed:\n{}", output.stdout))
    }
}

/// `changed=` of the summary's only host.
fn changed(output: &str) -> Option<usize> {
    let summary = output.split("PLAY RECAP").nth(1)?;
    summary.split("changed=").nth(1)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::changed;

    #[test]
    fn the_summary_s_count() {
        let text = "changed=9\nPLAY RECAP ****\nlocalhost  : ok=15   changed=8    unreachable=0\n";
        assert_eq!(changed(text), Some(8));
        assert_eq!(changed("no summary"), None);
    }
}
