//! A file as one host sees it: who it is, who the others are, what its part in each virtual router is.

use std::net::IpAddr;

use crate::appliance::{Appliance, Host, Router, Transport, Vip};
use crate::file::File;
use crate::problem::{Problem, Problems, suggestion};
use crate::reader::listed;
use crate::sections::{HostEntry, Standing, VipEntry};

/// What is known about the machine that reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Identity<'a> {
    /// `--host NAME`: decides if it is there.
    pub name: Option<&'a str>,
    /// The machine's own addresses: one of them is in `[[hosts]]`.
    pub local: &'a [IpAddr],
}

impl File {
    /// Everything that the daemons of one host need: by name, else by the file's `host`, else by local addresses.
    pub fn appliance(&self, identity: Identity<'_>) -> Result<Appliance, Problems> {
        let me = self.identify(identity).map_err(|(line, text)| {
            Problems::one(Problem { file: self.name.clone(), line, key: "host".into(), text })
        })?;
        let settings = &self.settings;
        let peers: Vec<Host> =
            settings.hosts.iter().filter(|host| host.name != me.name).map(HostEntry::host).collect();
        let routers = settings.vips.iter().filter_map(|vip| self.router(vip, me, &peers)).collect();
        Ok(Appliance {
            host: me.host(),
            peers,
            routers,
            checks: settings.checks.iter().map(|check| check.value.clone()).collect(),
            angel: settings.angel,
            proxy: settings.proxy.clone(),
            paths: settings.paths.clone(),
            first_boot: settings.first_boot.clone(),
        })
    }

    fn identify(&self, identity: Identity<'_>) -> Result<&HostEntry, (Option<usize>, String)> {
        let owner = self.settings.host.as_ref();
        if let (Some(name), Some(owner)) = (identity.name, owner)
            && name != owner.value
        {
            let text = format!("contradiction: this is the file of {}, asked for as {name}", owner.value);
            return Err((Some(owner.line), text));
        }
        match identity.name.or(owner.map(|it| it.value.as_str())) {
            Some(name) => self.named(name),
            None => self.by_address(identity.local),
        }
    }

    fn named(&self, name: &str) -> Result<&HostEntry, (Option<usize>, String)> {
        let found = self.settings.hosts.iter().find(|host| host.name.value == name);
        found.ok_or_else(|| (None, format!("no host is named {name:?}{}", suggestion(name, self.hosts()))))
    }

    fn by_address(&self, local: &[IpAddr]) -> Result<&HostEntry, (Option<usize>, String)> {
        let hosts = &self.settings.hosts;
        let mine: Vec<&HostEntry> = hosts.iter().filter(|it| local.contains(&it.address.value)).collect();
        match mine.as_slice() {
            [me] => Ok(me),
            [] => {
                let known = listed(hosts.iter().map(|it| format!("{} {}", it.name.value, it.address.value)));
                Err((
                    None,
                    format!("this machine has none of the hosts' addresses ({known}); use --host NAME"),
                ))
            }
            several => {
                let names = listed(several.iter().map(|it| &it.name.value));
                Err((None, format!("this machine has the addresses of {names}; use --host NAME")))
            }
        }
    }

    fn router(&self, vip: &VipEntry, me: &HostEntry, peers: &[Host]) -> Option<Router> {
        let (priority, rank) = self.place(vip, &me.name.value)?;
        let vrrp = &vip.vrrp;
        let transport = if vrrp.unicast {
            Transport::Unicast(peers.iter().map(|peer| peer.address).collect())
        } else {
            Transport::Multicast
        };
        let vips = vip.addresses.iter().map(|it| {
            let (address, prefix, interface) = it.value.clone();
            Vip { address, prefix, interface }
        });
        Some(Router {
            name: vip.name.clone(),
            vrid: vip.router_id.value,
            version: vrrp.version,
            priority,
            rank,
            next_in_line: next_in_line(vip, &me.name.value),
            weight: vrrp.weight,
            advert: vrrp.advert,
            transport,
            interface: vrrp.interface.clone(),
            vips: vips.collect(),
            mac: vrrp.mac,
            accept: vrrp.accept,
            balanced: vrrp.balanced,
            routes: vip.routes.clone(),
            rules: vip.rules.clone(),
            failback: vrrp.failback,
            sync: vrrp.sync.clone(),
            notify: vrrp.notify.clone(),
            track_interface: vrrp.track_interface.clone(),
            checks: vrrp.checks.clone(),
            auth_pass: vrrp.auth_pass.clone(),
        })
    }

    /// A host's base priority on a VIP and its place in the order of preference.
    fn place(&self, vip: &VipEntry, host: &str) -> Option<(u8, u8)> {
        match &vip.standing {
            Standing::Own { priority, rank } => {
                let listed = self.hosts().position(|name| name == host).unwrap_or_default();
                Some((priority.value, rank.unwrap_or(u8::try_from(listed).unwrap_or(u8::MAX))))
            }
            Standing::Everyone(priorities) => {
                let own = priorities.get(host)?.value;
                let ahead = priorities.values().filter(|other| other.value > own).count();
                Some((own, u8::try_from(ahead).unwrap_or(u8::MAX)))
            }
        }
    }
}

/// The best placed of the others.
fn next_in_line(vip: &VipEntry, me: &str) -> Option<String> {
    let Standing::Everyone(priorities) = &vip.standing else { return None };
    let others = priorities.iter().filter(|(name, _)| *name != me);
    others.max_by_key(|(_, priority)| priority.value).map(|(name, _)| name.clone())
}

impl HostEntry {
    fn host(&self) -> Host {
        Host { name: self.name.value.clone(), address: self.address.value }
    }
}
