//! What the three hosts run: the package, or keepalived in the same machines, for comparison. How each is configured and started.

use crate::lab::net;

use super::machine::Identity;
use super::trio::{Layout, PORT};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Product {
    Standfast,
    /// keepalived of Debian moves the VIP; systemd-socket-proxyd answers behind it.
    Keepalived,
}

/// An emulated processor needs more than a second to start the proxy, and half a second for a burst of clients: by the shipped
/// times that is a proxy beyond repair. Times that measure the network (adverts) stay as they are.
pub(crate) const EMULATED: &str = r"\n[angel]\ngrace_ms = 8000\nhang_ms = 2000\n";

impl Product {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Product::Standfast => "standfast",
            Product::Keepalived => "keepalived",
        }
    }

    /// The unit that speaks VRRP.
    pub(crate) fn vrrp_unit(self) -> &'static str {
        match self {
            Product::Standfast => "standfast-vrrpd",
            Product::Keepalived => "keepalived",
        }
    }

    /// All its units.
    pub(crate) fn units(self) -> &'static str {
        match self {
            Product::Standfast => "standfast-vrrpd standfast-angel",
            Product::Keepalived => "keepalived forward.socket",
        }
    }

    /// A script that configures a host with a layout and starts everything.
    pub(crate) fn set_up(self, layout: Layout, identity: &Identity) -> String {
        match self {
            Product::Standfast => format!("{}\nsystemctl start {}", standfast(layout), self.units()),
            Product::Keepalived => format!("{}\nsystemctl start {}", keepalived(identity), self.units()),
        }
    }
}

/// Makes the configuration from the example that the package brought: the example's addresses are the lab's. What is
/// changed is said here.
fn standfast(layout: Layout) -> String {
    let example = if layout == Layout::Ipv6 { "single-vip" } else { layout.name() };
    let change = match layout {
        Layout::SingleVip => "",
        // 30 s of waiting show nothing that 3 s do not.
        Layout::MultiVip => "s/after 30s healthy/after 3s healthy/",
        Layout::Ipv6 => {
            r#"s/^address = "192\.168\.0\./address = "fd77::/; s#::88/32#::88/128#; s/0\.0\.0\.0:6033/[::]:6033/"#
        }
    };
    format!(
        "set -e\n\
         sed '{change}' /usr/share/doc/standfast/examples/{example}/standfast.toml >/etc/standfast/standfast.toml\n\
         printf '{EMULATED}' >>/etc/standfast/standfast.toml\n\
         chown root:standfast /etc/standfast/standfast.toml && chmod 640 /etc/standfast/standfast.toml\n\
         standfast check /etc/standfast/standfast.toml"
    )
}

/// The same VIP, version, interval, transport and preferences as in the single-vip layout.
fn keepalived(identity: &Identity) -> String {
    let hosts = net::proxy_hosts();
    let rank = hosts.iter().position(|host| host.name == identity.name).unwrap_or_default();
    let own = hosts.get(rank).map(|host| host.address.to_string()).unwrap_or_default();
    let peers: Vec<String> =
        hosts.iter().map(|host| host.address.to_string()).filter(|address| *address != own).collect();
    let priority = 200 - 50 * rank;
    let (vip, database) = (net::vips()[0], net::database_hosts()[0].address);
    let peers = peers.join("\n    ");
    format!(
        "set -e\n\
         cat >/etc/keepalived/keepalived.conf <<'END'\n\
         global_defs {{\n  vrrp_version 3\n}}\n\
         vrrp_instance VI_01 {{\n  state BACKUP\n  nopreempt\n  interface eth0\n  virtual_router_id 51\n  priority {priority}\n  advert_int 0.1\n  \
         unicast_src_ip {own}\n  unicast_peer {{\n    {peers}\n  }}\n  virtual_ipaddress {{\n    {vip}/32 dev eth0\n  }}\n}}\nEND\n\
         cat >/etc/systemd/system/forward.socket <<'END'\n[Socket]\nListenStream=0.0.0.0:{PORT}\nBacklog=4096\nEND\n\
         cat >/etc/systemd/system/forward.service <<'END'\n[Unit]\nBindsTo=forward.socket\nAfter=forward.socket\n[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd {database}:3306\nEND\n\
         systemctl daemon-reload"
    )
}
