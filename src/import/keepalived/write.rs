//! A virtual router as a `[[vip]]` of standfast.toml; what had to be said otherwise is noted. Pure.

use std::fmt::Write as _;

use super::instance::{Instance, Preempt};
use super::{Surroundings, one_line, quoted};
use crate::import::report::{Fate, Report};

/// Writing to a String cannot fail, so what `writeln!` returns is not looked at here.
pub(super) fn vip(out: &mut String, file: &str, it: &Instance, around: &Surroundings, report: &mut Report) {
    let place = format!("{file}:{}", it.line);
    identity(out, &place, it, report);
    election(out, &place, it, report);
    if it.virtual_mac {
        out.push_str("mac = \"virtual\"\n");
    }
    if it.accept == Some(false) {
        out.push_str("accept = false\n");
    }
    list(out, "routes", &it.routes);
    list(out, "rules", &it.rules);
    if let Some(group) = &it.sync {
        let _ = writeln!(out, "sync = {}", quoted(group));
    }
    if let Some(name) = it.interface.as_deref() {
        interface(out, &place, name, around, report);
    }
    list(out, "track_interface", &it.track_interface);
    if let Some(program) = &it.notify {
        let _ = writeln!(out, "notify = {}", quoted(program));
    }
    for (key, words) in &it.notify_state {
        list(out, key, words);
    }
    let checks: Vec<_> = it.checks.iter().map(|check| check.name.clone()).collect();
    list(out, "checks", &checks);
    if let Some(pass) = &it.auth_pass {
        let _ = writeln!(out, "auth_pass = {}", quoted(pass));
    }
}

/// What its peers know it by: its addresses, and what is in its adverts.
fn identity(out: &mut String, place: &str, it: &Instance, report: &mut Report) {
    let _ = writeln!(out, "\n[[vip]]\nname = {}", quoted(&it.name));
    match it.addresses.as_slice() {
        [one] => {
            let _ = writeln!(out, "address = {}", quoted(one));
        }
        several => {
            let several: Vec<_> = several.iter().map(|address| quoted(address)).collect();
            let _ = writeln!(out, "address = [{}]", several.join(", "));
        }
    }
    if let Some(id) = it.router_id {
        let _ = writeln!(out, "router_id = {id}");
    } else {
        report.add(Fate::Changed, place, "virtual_router_id: missing, so one is chosen: make it the peers'");
    }
    let _ = writeln!(out, "version = {}\nadvert_ms = {}", it.version, it.advert_ms);
    let transport = if it.peers.is_empty() { "multicast" } else { "unicast" };
    let _ = writeln!(out, "transport = \"{transport}\"");
}

/// When it is the one that serves.
fn election(out: &mut String, place: &str, it: &Instance, report: &mut Report) {
    let _ = writeln!(out, "priority = {}", it.priority);
    let weight = it.weight.min(254 - it.priority.min(254));
    // Nothing is added to 255, by keepalived either.
    if weight != it.weight && it.priority < 255 {
        report.add(
            Fate::Changed,
            place,
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
            place,
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
}

/// A list of texts, if there are any.
fn list(out: &mut String, key: &str, texts: &[String]) {
    if !texts.is_empty() {
        let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
        let _ = writeln!(out, "{key} = [{}]", texts.join(", "));
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
