//! The files of several hosts, compared: what each host would do must add up to one cluster.
//!
//! Every file is compared with the first one, so that a fault is told once and at the file that differs.

use std::collections::BTreeMap;
use std::fmt;

use crate::appliance::VrrpVersion;
use crate::file::File;
use crate::problem::{Problem, Problems};
use crate::reader::listed;
use crate::sections::{HostEntry, Standing, VipEntry};

/// What files that fit together say: for each VIP the hosts in the order in which they serve it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    pub rows: Vec<ReportRow>,
}

/// One VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportRow {
    pub name: String,
    pub router_id: u8,
    /// `address/prefix`, several separated by commas.
    pub addresses: String,
    /// The most preferred first.
    pub places: Vec<Place>,
}

/// A host's standing on a VIP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub host: String,
    pub priority: u8,
}

/// Compares the files of one cluster: one that serves all hosts, or one for each. Says everything that does not fit.
pub fn check_together(files: &[File]) -> Result<Report, Problems> {
    let mut problems = Vec::new();
    let Some((first, others)) = files.split_first() else {
        return Ok(Report::default());
    };
    owners(files, &mut problems);
    for other in others {
        same_hosts(first, other, &mut problems);
        same_vips(first, other, &mut problems);
    }
    let mut rows = Vec::new();
    for vip in &first.settings.vips {
        let claims = claims(files, vip, &mut problems);
        distinct(first, vip, &claims, &mut problems);
        rows.push(row(vip, &claims));
    }
    Problems::none_of(problems)?;
    Ok(Report { rows })
}

fn problem(file: &File, line: usize, key: &str, text: String) -> Problem {
    Problem { file: file.name.clone(), line: Some(line).filter(|line| *line > 0), key: key.into(), text }
}

/// No host may have two files; beside others, a file with one host's priorities must say whose they are.
fn owners(files: &[File], problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<&str, &File> = BTreeMap::new();
    for file in files {
        if let Some(owner) = &file.settings.host
            && let Some(other) = seen.insert(&owner.value, file)
        {
            let text = format!("host {} already has the file {}", owner.value, other.name);
            problems.push(problem(file, owner.line, "host", text));
        }
        let alone = file.settings.vips.iter().find_map(|vip| match &vip.standing {
            Standing::Own { priority, .. } => Some(priority),
            Standing::Everyone(_) => None,
        });
        if let (Some(priority), None, true) = (alone, &file.settings.host, files.len() > 1) {
            let text = "is for one host only; say which with `host = \"NAME\"` at the top of the file";
            problems.push(problem(file, priority.line, "vip.priority", text.into()));
        }
    }
}

fn same_hosts(first: &File, other: &File, problems: &mut Vec<Problem>) {
    for host in &other.settings.hosts {
        match find_host(first, host) {
            None => {
                let text = format!("host {} is not in {}", host.name.value, first.name);
                problems.push(problem(other, host.name.line, "hosts", text));
            }
            Some(same) if same.address.value != host.address.value => {
                let text = format!(
                    "host {} is {} here, but {} in {}",
                    host.name.value, host.address.value, same.address.value, first.name
                );
                problems.push(problem(other, host.address.line, "hosts", text));
            }
            Some(_) => {}
        }
    }
    for host in first.settings.hosts.iter().filter(|host| find_host(other, host).is_none()) {
        let text = format!("host {} of {} is missing", host.name.value, first.name);
        problems.push(problem(other, 0, "hosts", text));
    }
}

fn find_host<'a>(file: &'a File, host: &HostEntry) -> Option<&'a HostEntry> {
    file.settings.hosts.iter().find(|it| it.name.value == host.name.value)
}

fn same_vips(first: &File, other: &File, problems: &mut Vec<Problem>) {
    for vip in &other.settings.vips {
        match twin(first, vip) {
            Some(same) => same_router(first, other, same, vip, problems),
            None => {
                let text = format!("VIP {} is not in {}", addresses(vip), first.name);
                problems.push(problem(other, vip.line, "vip", text));
                same_id_elsewhere(first, other, vip, problems);
            }
        }
    }
    for vip in first.settings.vips.iter().filter(|vip| twin(other, vip).is_none()) {
        let text = format!("VIP {} of {} is missing", addresses(vip), first.name);
        problems.push(problem(other, 0, "vip", text));
    }
}

/// The same VIP in another file: that with the same addresses.
fn twin<'a>(file: &'a File, vip: &VipEntry) -> Option<&'a VipEntry> {
    file.settings.vips.iter().find(|it| addresses(it) == addresses(vip))
}

/// A router id that two hosts use for different VIPs: each would take the other's adverts for its own.
fn same_id_elsewhere(first: &File, other: &File, vip: &VipEntry, problems: &mut Vec<Problem>) {
    let clash = first.settings.vips.iter().find(|it| it.router_id.value == vip.router_id.value);
    if let Some(clash) = clash {
        let text = format!(
            "router id {} is that of VIP {} in {}",
            vip.router_id.value,
            addresses(clash),
            first.name
        );
        problems.push(problem(other, vip.router_id.line, "vip.router_id", text));
    }
}

fn same_router(first: &File, other: &File, expected: &VipEntry, vip: &VipEntry, problems: &mut Vec<Problem>) {
    let mut differs = |key: &str, line: usize, here: String, there: String| {
        if here != there {
            let text = format!("VIP {} has {here} here, but {there} in {}", addresses(vip), first.name);
            problems.push(problem(other, line, &format!("vip.{key}"), text));
        }
    };
    let id = |vip: &VipEntry| format!("router id {}", vip.router_id.value);
    let version = |vip: &VipEntry| match vip.vrrp.version {
        VrrpVersion::V2 => "VRRP version 2".to_owned(),
        VrrpVersion::V3 => "VRRP version 3".to_owned(),
    };
    let advert = |vip: &VipEntry| format!("adverts every {} ms", vip.vrrp.advert.as_millis());
    let transport = |vip: &VipEntry| if vip.vrrp.unicast { "unicast" } else { "multicast" }.to_owned();
    let weight = |vip: &VipEntry| format!("weight {}", vip.vrrp.weight);
    let balance = |vip: &VipEntry| if vip.vrrp.balanced { "IPVS" } else { "no balance" }.to_owned();
    let accept = |vip: &VipEntry| format!("accept = {}", vip.vrrp.accept);
    let sync = |vip: &VipEntry| match &vip.vrrp.sync {
        Some(name) => format!("sync group {name}"),
        None => "no sync group".to_owned(),
    };
    differs("router_id", vip.router_id.line, id(vip), id(expected));
    differs("version", vip.line, version(vip), version(expected));
    differs("advert_ms", vip.line, advert(vip), advert(expected));
    differs("transport", vip.line, transport(vip), transport(expected));
    differs("weight", vip.line, weight(vip), weight(expected));
    differs("balance", vip.line, balance(vip), balance(expected));
    differs("accept", vip.line, accept(vip), accept(expected));
    differs("sync", vip.line, sync(vip), sync(expected));
    if vip.vrrp.auth_pass != expected.vrrp.auth_pass {
        let text = format!("VIP {} has another password in {}", addresses(vip), first.name);
        problems.push(problem(other, vip.line, "vip.auth_pass", text));
    }
}

/// A host's priority, and where it is said.
struct Claim<'a> {
    file: &'a File,
    line: usize,
    priority: u8,
}

/// Every host's priority on a VIP; hosts that the files tell nothing about are left out.
fn claims<'a>(
    files: &'a [File],
    vip: &VipEntry,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'a str, Claim<'a>> {
    let mut claims: BTreeMap<&str, Claim<'_>> = BTreeMap::new();
    for file in files {
        let Some(vip) = twin(file, vip) else {
            continue;
        };
        let said: Vec<(&str, usize, u8)> = match &vip.standing {
            Standing::Own { priority, .. } => {
                file.host().map(|host| (host, priority.line, priority.value)).into_iter().collect()
            }
            Standing::Everyone(all) => {
                all.iter().map(|(host, it)| (host.as_str(), it.line, it.value)).collect()
            }
        };
        for (host, line, priority) in said {
            let claim = Claim { file, line, priority };
            let Some(earlier) = claims.get(host) else {
                claims.insert(host, claim);
                continue;
            };
            if earlier.priority != priority {
                let text = format!(
                    "host {host} has priority {priority} on VIP {} here, but {} in {}",
                    addresses(vip),
                    earlier.priority,
                    earlier.file.name
                );
                problems.push(problem(file, line, "vip.priority", text));
            }
        }
    }
    claims
}

/// Equal priorities elect by address, not by the operator's wish.
fn distinct(first: &File, vip: &VipEntry, claims: &BTreeMap<&str, Claim<'_>>, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<u8, &str> = BTreeMap::new();
    for (host, claim) in claims {
        if let Some(other) = seen.insert(claim.priority, host) {
            let text = format!(
                "hosts {other} and {host} have the same priority {} on VIP {}",
                claim.priority,
                addresses(vip)
            );
            problems.push(problem(claim.file, claim.line, "vip.priority", text));
        }
    }
    let files_are_for_one_host = claims.len() > 1 && matches!(vip.standing, Standing::Own { .. });
    if files_are_for_one_host {
        for host in first.hosts().filter(|host| !claims.contains_key(host)) {
            let text = format!("no file of host {host} is among these");
            problems.push(problem(first, 0, "hosts", text));
        }
    }
}

fn row(vip: &VipEntry, claims: &BTreeMap<&str, Claim<'_>>) -> ReportRow {
    let mut places: Vec<Place> = claims
        .iter()
        .map(|(host, claim)| Place { host: (*host).to_owned(), priority: claim.priority })
        .collect();
    places.sort_by_key(|place| std::cmp::Reverse(place.priority));
    ReportRow { name: vip.name.clone(), router_id: vip.router_id.value, addresses: addresses(vip), places }
}

fn addresses(vip: &VipEntry) -> String {
    listed(vip.addresses.iter().map(|it| format!("{}/{}", it.value.0, it.value.1)))
}

impl fmt::Display for Report {
    /// A short table: one line for each VIP, hosts in order of preference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |cell: fn(&ReportRow) -> usize, title: &str| {
            self.rows.iter().map(cell).max().unwrap_or_default().max(title.len())
        };
        let name = width(|row| row.name.len(), "VIP");
        let address = width(|row| row.addresses.len(), "ADDRESS");
        writeln!(f, "{:name$}  {:address$}  ROUTER  HOSTS (priority)", "VIP", "ADDRESS")?;
        for row in &self.rows {
            let order = row.places.iter().map(|place| format!("{} ({})", place.host, place.priority));
            let order: Vec<_> = order.collect();
            writeln!(
                f,
                "{:name$}  {:address$}  {:>6}  {}",
                row.name,
                row.addresses,
                row.router_id,
                order.join(" > ")
            )?;
        }
        Ok(())
    }
}
