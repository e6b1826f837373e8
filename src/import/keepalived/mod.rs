//! keepalived.conf as standfast.toml: the instances become `[[vip]]`s with the same numbers on the wire, so that a host can
//! be migrated while its peers still run keepalived. Pure but for the addresses that the caller passes in.

mod read;
mod scripts;
mod syntax;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::IpAddr;

use read::{Instance, Preempt, Reader};
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
        vip(&mut out, file, instance, around, &mut report);
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

fn vip(out: &mut String, file: &str, it: &Instance, around: &Surroundings, report: &mut Report) {
    let place = format!("{file}:{}", it.line);
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n[[vip]]\nname = {}", quoted(&it.name));
    let list: Vec<_> = it.addresses.iter().map(|address| quoted(address)).collect();
    let _ = match list.as_slice() {
        [one] => writeln!(out, "address = {one}"),
        several => writeln!(out, "address = [{}]", several.join(", ")),
    };
    if let Some(id) = it.router_id {
        let _ = writeln!(out, "router_id = {id}");
    } else {
        report.add(Fate::Changed, &place, "virtual_router_id: missing, so one is chosen: make it the peers'");
    }
    let _ = writeln!(out, "version = {}\nadvert_ms = {}", it.version, it.advert_ms);
    let transport = if it.peers.is_empty() { "multicast" } else { "unicast" };
    let _ = writeln!(out, "transport = \"{transport}\"\npriority = {}", it.priority);
    let weight = it.weight.min(254 - it.priority.min(254));
    // Nothing is added to 255, by keepalived either.
    if weight != it.weight && it.priority < 255 {
        report.add(
            Fate::Changed,
            &place,
            format!("weight {weight} instead of {}: the sum ends at 254", it.weight),
        );
    }
    if weight > 0 {
        let _ = writeln!(
            out,
            "# What the script added while it succeeded: a live proxy adds it here.\nweight = {weight}"
        );
    }
    if it.priority == 255 && it.preempt != Preempt::AtOnce {
        report.add(
            Fate::Changed,
            &place,
            "fail-back \"at once\": priority 255 preempts always, in keepalived too",
        );
    }
    let failback = match it.preempt {
        _ if it.priority == 255 => "at once".to_owned(),
        Preempt::AtOnce => "at once".to_owned(),
        Preempt::After(ms) => format!("after {ms}ms healthy"),
        Preempt::Never => "never".to_owned(),
    };
    let _ = writeln!(out, "failback = \"{failback}\"");
    if it.virtual_mac {
        out.push_str("mac = \"virtual\"\n");
    }
    if !it.accept {
        out.push_str("accept = false\n");
    }
    for (key, lines) in [("routes", &it.routes), ("rules", &it.rules)] {
        if !lines.is_empty() {
            let lines: Vec<_> = lines.iter().map(|line| quoted(line)).collect();
            let _ = writeln!(out, "{key} = [{}]", lines.join(", "));
        }
    }
    if let Some(group) = &it.sync {
        let _ = writeln!(out, "sync = {}", quoted(group));
    }
    if let Some(name) = it.interface.as_deref() {
        interface(out, &place, name, around, report);
    }
    if !it.track_interface.is_empty() {
        let list: Vec<_> = it.track_interface.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(out, "track_interface = [{}]", list.join(", "));
    }
    if let Some(program) = &it.notify {
        let _ = writeln!(out, "notify = {}", quoted(program));
    }
    for (key, words) in &it.notify_state {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        let _ = writeln!(out, "{key} = [{}]", words.join(", "));
    }
    if !it.checks.is_empty() {
        let names: Vec<_> = it.checks.iter().map(|check| quoted(&check.name)).collect();
        let _ = writeln!(out, "checks = [{}]", names.join(", "));
    }
    if let Some(pass) = &it.auth_pass {
        let _ = writeln!(out, "auth_pass = {}", quoted(pass));
    }
}

/// A host that has been installed anew may name its interfaces otherwise: then the one with the host's address is taken.
fn interface(out: &mut String, place: &str, name: &str, around: &Surroundings, report: &mut Report) {
    let here = around.interfaces.iter().any(|(interface, _)| interface == name);
    let on_host = around.hosts.iter().any(|(_, host)| around.interfaces.iter().any(|(_, own)| own == host));
    if on_host && !here {
        report.add(
            Fate::Changed,
            place,
            format!(
                "interface: there is no {} here; the one with this host's address is used",
                one_line(name)
            ),
        );
    } else {
        let _ = writeln!(out, "interface = {}", quoted(name));
    }
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
