//! The sections of the file, each key documented where it is read.
//!
//! Where a value is wrong its problem is noted and the default stands in, so that the rest of the file is judged too;
//! nobody ever sees such a [`Settings`], because a file with a problem is no [`crate::File`].

mod check;
mod daemons;
mod hosts;
mod notify;
mod standing;
mod vip;

use std::net::IpAddr;

use crate::appliance::{Angel, Check, FirstBoot, Paths, Proxy};
use crate::first_boot;
use crate::listen::Listen;
use crate::reader::{Located, Section};

pub(crate) use hosts::HostEntry;
pub(crate) use standing::Standing;
pub(crate) use vip::VipEntry;

/// The whole file, typed, with the lines that comparisons need.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Settings {
    pub host: Option<Located<String>>,
    pub hosts: Vec<HostEntry>,
    pub vips: Vec<VipEntry>,
    pub checks: Vec<Located<Check>>,
    pub angel: Angel,
    pub proxy: Proxy,
    pub paths: Paths,
    pub first_boot: FirstBoot,
}

impl Settings {
    pub(crate) fn read(root: Section<'_>) -> Settings {
        let hosts = hosts::read(&root);
        let checks = check::read(&root);
        let settings = Settings {
            // `host`: whose file this is. Only in files that are for one host.
            host: hosts::owner(&root, &hosts),
            vips: vip::read(&root, &hosts, &checks),
            checks,
            angel: daemons::angel(root.section("angel")),
            proxy: daemons::proxy(root.section("proxy")),
            paths: daemons::paths(root.section("paths")),
            first_boot: first_boot::read(&root),
            hosts,
        };
        settings.no_vip_is_a_host(&root);
        settings.balanced_vips_reach_the_proxy(&root);
        root.finish();
        settings
    }

    /// What IPVS passes on is for the VIP itself, on whatever host it arrives.
    fn balanced_vips_reach_the_proxy(&self, root: &Section<'_>) {
        let bound =
            self.proxy.mysql_listen.iter().filter_map(Listen::tcp).find(|it| !it.ip().is_unspecified());
        let balanced = self.vips.iter().enumerate().find(|(_, vip)| vip.vrrp.balanced);
        if let (Some(bound), Some((index, vip))) = (bound, balanced) {
            let text = format!(
                "contradiction: the proxy listens on {bound}, not on every address (0.0.0.0 or [::]), so what IPVS passes on is refused"
            );
            root.problem(Some(vip.line), &format!("vip[{}].balance", index + 1), text);
        }
    }

    /// An address owner (RFC 9568 §1.7) would keep its address while its proxy is dead.
    fn no_vip_is_a_host(&self, root: &Section<'_>) {
        for (index, vip) in self.vips.iter().enumerate() {
            for address in &vip.addresses {
                let owner = self.hosts.iter().find(|host| host.address.value == address.value.0);
                if let Some(host) = owner {
                    let text = format!(
                        "{} is the address of host {}; a virtual address is nobody's own",
                        address.value.0, host.name.value
                    );
                    root.problem(Some(address.line), &format!("vip[{}].address", index + 1), text);
                }
            }
        }
    }
}

/// Stands in for an address that is wrong.
const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
