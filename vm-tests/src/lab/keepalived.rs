//! keepalived in vrrpd's place: the same hosts, angel and proxy, and the settings that come closest to ours.
//!
//! Its check looks every second (it knows no shorter time) whether a proxy runs, and one miss is FAULT, not a weight: what
//! keepalived can do best. The rest is as in the single-VIP layout: unicast, no fail-back, priorities 200, 150, 100.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::net;

/// Of the parent and of the process that elects, in the host's directory.
pub(super) const PID_FILES: [&str; 2] = ["keepalived.pid", "vrrp.pid"];

/// What one host's keepalived is told.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub advert_ms: u16,
    pub vip: Ipv4Addr,
}

impl Instance {
    /// Writes configuration and check, and returns the arguments.
    pub(crate) fn prepare(&self, host: &str, netns: &str, directory: &Path) -> Result<Vec<String>> {
        let (config, check) = (directory.join("keepalived.conf"), directory.join("proxy-runs"));
        let script = format!(
            "#!/bin/sh\nfor pid in $(ip netns pids {netns}); do\n  read -r name <\"/proc/$pid/comm\" && [ \"$name\" = standfast-proxy ] && exit 0\ndone\nexit 1\n"
        );
        fs::write(&check, script).context("write the check")?;
        fs::set_permissions(&check, fs::Permissions::from_mode(0o755))?;
        fs::write(&config, self.text(host, &check)?).context("write keepalived.conf")?;
        let file = |name: &str| directory.join(name).display().to_string();
        let mut arguments: Vec<String> =
            ["--dont-fork", "--log-console", "--log-detail", "--vrrp"].map(String::from).to_vec();
        let named = [
            ("--use-file", file("keepalived.conf")),
            ("--pid", file(PID_FILES[0])),
            ("--vrrp_pid", file(PID_FILES[1])),
        ];
        arguments.extend(named.into_iter().flat_map(|(option, value)| [option.to_owned(), value]));
        Ok(arguments)
    }

    fn text(&self, host: &str, check: &Path) -> Result<String> {
        let hosts = net::proxy_hosts();
        let place = hosts.iter().position(|it| it.name == host).context("no such host")?;
        let advert = f64::from(self.advert_ms) / 1000.0;
        let mut text = format!(
            "global_defs {{\n  script_user root\n  vrrp_rt_priority 20\n  vrrp_no_swap\n}}\n\
             vrrp_script proxy {{\n  script \"{}\"\n  interval 1\n  timeout 1\n  fall 1\n  rise 2\n}}\n\
             vrrp_instance VI_1 {{\n  state BACKUP\n  nopreempt\n  interface eth0\n  virtual_router_id 51\n  version 3\n",
            check.display()
        );
        let _ = writeln!(text, "  priority {}\n  advert_int {advert}", 200 - 50 * place);
        let _ = writeln!(text, "  unicast_src_ip {}\n  unicast_peer {{", hosts[place].address);
        for peer in hosts.iter().filter(|it| it.name != host) {
            let _ = writeln!(text, "    {}", peer.address);
        }
        let _ = writeln!(
            text,
            "  }}\n  virtual_ipaddress {{\n    {}/32\n  }}\n  track_script {{\n    proxy\n  }}\n}}",
            self.vip
        );
        Ok(text)
    }
}

/// Where the program is.
pub(crate) fn program() -> PathBuf {
    PathBuf::from("keepalived")
}
