//! keepalived.conf as standfast.toml: the instances become `[[vip]]`s with the same numbers on the wire, so that a host can
//! be migrated while its peers still run keepalived. Pure but for the addresses that the caller passes in.

mod instance;
mod read;
mod scripts;
mod syntax;
#[cfg(test)]
mod tests;
mod write;

use std::fmt::Write as _;
use std::net::IpAddr;

use instance::Instance;
use read::Reader;
use scripts::Check;

use super::report::{Fate, Report};

/// What the file itself does not say.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    /// `--host NAME=ADDRESS`, in that order.
    pub hosts: Vec<(String, IpAddr)>,
    /// This machine's name.
    pub hostname: String,
    /// This machine's interfaces and their addresses.
    pub interfaces: Vec<(String, IpAddr)>,
}

/// The file as TOML without `[proxy]`, and what became of its lines. An error is a file that cannot be used at all.
pub(super) fn translate(file: &str, text: &str, around: &Surroundings) -> Result<(String, Report), String> {
    let statements =
        syntax::parse(text).map_err(|broken| format!("{file}:{}: {}", broken.line, broken.text))?;
    let mut reader = Reader::new(file);
    let instances = reader.instances(&statements);
    let mut report = reader.report;
    if instances.is_empty() {
        return Err(format!("{file}: there is no vrrp_instance in it"));
    }
    let (own, hosts) = hosts(file, &instances, around, &mut report)?;
    let mut out = format!("# Made by `standfast import` from {}.\n\n", one_line(file));
    let _ = writeln!(out, "host = {}", quoted(&own));
    for (name, address) in &hosts {
        let _ =
            writeln!(out, "\n[[hosts]]\nname = {}\naddress = {}", quoted(name), quoted(&address.to_string()));
    }
    for instance in &instances {
        write::vip(&mut out, file, instance, around, &mut report);
    }
    let mut written: Vec<&Check> = Vec::new();
    for check in instances.iter().flat_map(|instance| &instance.checks) {
        if !written.contains(&check) {
            check.write(&mut out);
            written.push(check);
        }
    }
    Ok((out, report))
}

/// This host's name, and all hosts: as they were given, or as the file's unicast addresses and this machine's tell.
fn hosts(
    file: &str,
    instances: &[Instance],
    around: &Surroundings,
    report: &mut Report,
) -> Result<(String, Vec<(String, IpAddr)>), String> {
    let is_local = |address: &IpAddr| around.interfaces.iter().any(|(_, local)| local == address);
    if let Some(first) = around.hosts.first() {
        let own = around.hosts.iter().find(|(_, address)| is_local(address)).unwrap_or(first);
        return Ok((own.0.clone(), around.hosts.clone()));
    }
    let on_interface = |instance: &Instance| {
        let name = instance.interface.as_deref()?;
        let family = instance.addresses.first().map(|address| address.contains(':'));
        let mut own = around.interfaces.iter().filter(|(interface, _)| interface == name);
        own.find(|(_, address)| family.is_none_or(|v6| address.is_ipv6() == v6)).map(|(_, address)| *address)
    };
    let own = instances.iter().find_map(|it| it.source).or_else(|| instances.iter().find_map(on_interface));
    let Some(own) = own else {
        return Err(format!(
            "{file}: which host is this? Its interface is not here, and there is no unicast_src_ip; give every host as --host NAME=ADDRESS"
        ));
    };
    let mut hosts = vec![(around.hostname.clone(), own)];
    for peer in instances.iter().flat_map(|it| &it.peers) {
        if !hosts.iter().any(|(_, address)| address == peer) {
            hosts.push((format!("host-{}", peer.to_string().replace(['.', ':'], "-")), *peer));
        }
    }
    report.add(
        Fate::Changed,
        file,
        format!("hosts: {}; their names are made up, --host NAME=ADDRESS gives others", hosts.len()),
    );
    Ok((around.hostname.clone(), hosts))
}

/// A TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            control if control.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

fn one_line(text: &str) -> String {
    text.replace(|letter: char| letter.is_control(), "?")
}
