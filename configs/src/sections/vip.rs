//! `[vrrp]` and `[[vip]]`: the virtual routers. What `[vrrp]` says holds for every VIP that says nothing else.

use std::net::IpAddr;
use std::time::Duration;

use super::hosts::{HostEntry, missing};
use super::notify;
use super::standing::{self, Standing};
use crate::appliance::{Check, Failback, MacAddress, Notify, VrrpVersion};
use crate::problem::suggestion;
use crate::reader::{Located, Section};
use crate::routing::{Route, Rule, is_interface};

/// One `[[vip]]`, with what `[vrrp]` adds to it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VipEntry {
    pub line: usize,
    pub name: String,
    pub addresses: Vec<Located<Virtual>>,
    pub router_id: Located<u8>,
    pub standing: Standing,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub vrrp: Vrrp,
}

/// Address, prefix, and the interface that carries it if not the router's own.
pub(crate) type Virtual = (IpAddr, u8, Option<String>);

/// What may stand in `[vrrp]` and in a `[[vip]]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Vrrp {
    pub version: VrrpVersion,
    pub advert: Duration,
    pub unicast: bool,
    pub interface: Option<String>,
    pub mac: MacAddress,
    pub accept: bool,
    pub balanced: bool,
    pub auth_pass: Option<String>,
    pub failback: Failback,
    pub sync: Option<String>,
    pub weight: u8,
    pub notify: Notify,
    pub track_interface: Vec<String>,
    pub checks: Vec<String>,
}

/// The same, as far as it is written.
#[derive(Clone, Default)]
struct Written {
    version: Option<Located<VrrpVersion>>,
    advert_ms: Option<Located<i64>>,
    unicast: Option<Located<bool>>,
    interface: Option<Located<String>>,
    mac: Option<Located<MacAddress>>,
    accept: Option<Located<bool>>,
    balanced: Option<Located<bool>>,
    auth_pass: Option<Located<String>>,
    failback: Option<Located<Failback>>,
    sync: Option<Located<String>>,
    weight: Option<Located<i64>>,
    notify: notify::Written,
    track_interface: Option<Vec<String>>,
    checks: Option<Vec<String>>,
}

const FIRST_ROUTER_ID: i64 = 51;
/// With several VIPs: home after the host has been healthy for so long.
const SETTLED: Duration = Duration::from_secs(30);
const MOST_VIPS: usize = 255;
/// Every one is a system call on the way to being MASTER.
const MOST_ROUTES: usize = 64;
/// The priority that nobody preempts (RFC 9568 §5.2.4).
const OWNER: u8 = 255;

pub(super) fn read(root: &Section<'_>, hosts: &[HostEntry], checks: &[Located<Check>]) -> Vec<VipEntry> {
    let section = root.section("vrrp");
    let common = written(&section, checks);
    section.finish();
    let sections = root.sections("vip");
    if sections.len() > MOST_VIPS {
        root.problem(None, "vip", format!("{} virtual addresses; at most {MOST_VIPS}", sections.len()));
    }
    let several = sections.len() > 1;
    let mut vips: Vec<VipEntry> = Vec::new();
    for (index, section) in sections.into_iter().take(MOST_VIPS).enumerate() {
        let vip = one(&section, index, &common, several, hosts, checks);
        for earlier in &vips {
            not_twice(&section, &vip, earlier);
            one_group(&section, &vip, earlier);
        }
        section.finish();
        vips.push(vip);
    }
    vips
}

fn one(
    section: &Section<'_>,
    index: usize,
    common: &Written,
    several: bool,
    hosts: &[HostEntry],
    checks: &[Located<Check>],
) -> VipEntry {
    let line = section.line.unwrap_or_default();
    // `name`: for logs and status; VI_1, VI_2, … by default.
    let name = section.text("name").map_or_else(|| format!("VI_{}", index + 1), |it| it.value.to_owned());
    // `address`: the virtual address, or several that move together; "/prefix" is /32 (IPv6: /128) if left out. "… dev eth1"
    // puts it on another interface than that of the adverts.
    let addresses = addresses(section);
    // `router_id`: VRID on the wire; 51, 52, … in the order of the file by default.
    let derived = FIRST_ROUTER_ID + i64::try_from(index).unwrap_or_default();
    let router_id = section.integer("router_id", 1..=255, "");
    if router_id.is_none() && derived > 255 {
        section.problem(None, "router_id", "missing; only the first 205 VIPs have one derived");
    }
    let router_id = router_id.unwrap_or(Located { value: derived, line });
    // `routes`, `rules`: there while this host is MASTER, as "default via 192.0.2.1 dev eth1 table 100" and
    // "from 192.0.2.88 table 100 priority 1000".
    let is_ipv6 = addresses.first().is_some_and(|it| it.value.0.is_ipv6());
    let routes = listed(section, "routes", |text| Route::parse(text, is_ipv6));
    let rules = listed(section, "rules", |text| Rule::parse(text, is_ipv6));
    let own = written(section, checks);
    let vrrp = settle(section, own, common, several, &addresses);
    let standing = standing::read(section, hosts);
    room_for_weight(section, &standing, vrrp.weight);
    owner_takes_it_back(section, &standing, vrrp.failback);
    one_family(section, &addresses, hosts, vrrp.unicast || vrrp.balanced);
    let router_id = Located { value: u8::try_from(router_id.value).unwrap_or(0), line: router_id.line };
    VipEntry { line, name, addresses, router_id, standing, routes, rules, vrrp }
}

/// A list of things that are written as one text each.
fn listed<T>(section: &Section<'_>, key: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
    let mut found = Vec::new();
    for text in section.texts(key).unwrap_or_default() {
        match parse(text.value) {
            Ok(one) => found.push(one),
            Err(why) => section.problem(Some(text.line), key, format!("{:?} {why}", text.value)),
        }
    }
    if found.len() > MOST_ROUTES {
        section.problem(None, key, format!("{} of them; at most {MOST_ROUTES}", found.len()));
    }
    found
}

/// The keys that `[vrrp]` and `[[vip]]` share.
fn written(section: &Section<'_>, checks: &[Located<Check>]) -> Written {
    let owned = |it: Located<&str>| Located { value: it.value.to_owned(), line: it.line };
    Written {
        // `version`: 3 (RFC 9568) by default, or 2 (RFC 3768).
        version: section.integer("version", 2..=3, "").map(|it| Located {
            value: if it.value == 2 { VrrpVersion::V2 } else { VrrpVersion::V3 },
            line: it.line,
        }),
        // `advert_ms`: 100 by default (version 2: 1000). 10 to 40950 in steps of 10, or whole seconds to 255 s in version 2.
        advert_ms: section.integer("advert_ms", 10..=255_000, "ms"),
        // `transport`: "unicast" to the other hosts' addresses (default), or "multicast" to 224.0.0.18 (IPv6: ff02::12).
        unicast: section.choice("transport", &[("unicast", true), ("multicast", false)]),
        // `interface`: carries VIP and adverts; the one with this host's address by default.
        interface: interface(section).map(owned),
        // `mac`: "own", the interface's (default), or "virtual", 00:00:5e:00:01:ID (IPv6: 02:ID) on an interface vrrp.ID.
        mac: section.choice("mac", &[("own", MacAddress::Own), ("virtual", MacAddress::Virtual)]),
        // `accept`: whether the MASTER takes packets to the address for its own; true by default, for a proxy is behind it. With false
        // it only forwards (keepalived's no_accept), and drops them with a rule of nftables.
        accept: section.flag("accept"),
        // `balance`: "none" (default), or "ipvs": the owner of the VIP spreads new connections over the proxies of all hosts.
        balanced: section.choice("balance", &[("none", false), ("ipvs", true)]),
        // `auth_pass`: simple password of version 2, 1 to 8 bytes; it travels in the clear.
        auth_pass: section.text("auth_pass").map(owned),
        // `failback`: when a VIP goes back to a host that it prefers. "never" (default with one VIP),
        // "after 30s healthy" (default with several), "at once", or "manual".
        failback: failback(section),
        // `sync`: a name; VIPs with the same one are on one host together or not at all.
        sync: section.text("sync").map(owned),
        // `weight`: added to the priority while the proxy is live, as keepalived's track_script does; 0 by default.
        weight: section.integer("weight", 0..=253, ""),
        notify: notify::read(section),
        // `track_interface`: FAULT while one of these interfaces is missing or down.
        track_interface: tracked(section),
        // `checks`: names of [[check]]s that must be good, or that change the priority.
        checks: known_checks(section, checks),
    }
}

fn tracked(section: &Section<'_>) -> Option<Vec<String>> {
    let names = section.texts("track_interface")?;
    for name in names.iter().filter(|name| !is_interface(name.value)) {
        let text = format!("{:?} is not an interface's name", name.value);
        section.problem(Some(name.line), "track_interface", text);
    }
    Some(names.into_iter().map(|name| name.value.to_owned()).collect())
}

fn known_checks(section: &Section<'_>, checks: &[Located<Check>]) -> Option<Vec<String>> {
    let names = section.texts("checks")?;
    for name in names.iter().filter(|name| !checks.iter().any(|check| check.value.name == name.value)) {
        let known = checks.iter().map(|check| check.value.name.as_str());
        let text = format!("no [[check]] is named {:?}{}", name.value, suggestion(name.value, known));
        section.problem(Some(name.line), "checks", text);
    }
    Some(names.into_iter().map(|name| name.value.to_owned()).collect())
}

fn interface<'a>(section: &Section<'a>) -> Option<Located<&'a str>> {
    let name = section.text("interface")?;
    if !is_interface(name.value) {
        section.problem(Some(name.line), "interface", format!("{:?} is not an interface's name", name.value));
    }
    Some(name)
}

fn failback(section: &Section<'_>) -> Option<Located<Failback>> {
    let text = section.text("failback")?;
    let line = text.line;
    let value = match text.value {
        "at once" => Some(Failback::AtOnce),
        "never" => Some(Failback::Never),
        "manual" => Some(Failback::Manual),
        other => after_healthy(other).map(Failback::AfterHealthy),
    };
    if value.is_none() {
        let text = format!(
            "{:?} is none of \"never\", \"at once\", \"manual\" and \"after 30s healthy\" (1s to 3600s, or in ms)",
            text.value
        );
        section.problem(Some(line), "failback", text);
    }
    value.map(|value| Located { value, line })
}

/// "after 30s healthy", "after 500ms healthy"; up to an hour.
fn after_healthy(text: &str) -> Option<Duration> {
    let time = text.strip_prefix("after ")?.strip_suffix(" healthy")?.trim();
    let ms = match time.strip_suffix("ms") {
        Some(number) => number.trim().parse::<u64>().ok()?,
        None => time.strip_suffix('s')?.trim().parse::<u64>().ok()?.checked_mul(1000)?,
    };
    (1..=3_600_000).contains(&ms).then(|| Duration::from_millis(ms))
}

fn addresses(section: &Section<'_>) -> Vec<Located<Virtual>> {
    let Some(texts) = section.texts("address") else {
        missing(section, "address");
        return Vec::new();
    };
    if texts.is_empty() {
        section.problem(None, "address", "is empty; a VIP needs an address");
    }
    texts.iter().filter_map(|text| address(section, text)).collect()
}

fn address(section: &Section<'_>, text: &Located<&str>) -> Option<Located<Virtual>> {
    let (words, interface) = match text.value.split_once(" dev ") {
        Some((words, name)) => (words.trim(), Some(name.trim())),
        None => (text.value, None),
    };
    if let Some(name) = interface.filter(|name| !is_interface(name)) {
        section.problem(Some(text.line), "address", format!("{name:?} is not an interface's name"));
        return None;
    }
    let (address, prefix) = match words.split_once('/') {
        Some((address, prefix)) => (address.parse::<IpAddr>().ok(), prefix.parse::<u8>().ok()),
        None => (words.parse().ok(), Some(u8::MAX)),
    };
    let longest = if address.is_some_and(|it| it.is_ipv6()) { 128 } else { 32 };
    let prefix = prefix.map(|prefix| if prefix == u8::MAX { longest } else { prefix });
    match (address, prefix) {
        (Some(address), Some(prefix)) if (1..=longest).contains(&prefix) && !special(address) => {
            Some(Located { value: (address, prefix, interface.map(str::to_owned)), line: text.line })
        }
        _ => {
            let wanted = "is not a virtual address; expected \"address\" or \"address/prefix\", prefix 1 to 32 (IPv6: 128)";
            section.problem(Some(text.line), "address", format!("{:?} {wanted}", text.value));
            None
        }
    }
}

fn special(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast
}

/// Own value, else the common one, else the default; and what does not go together.
fn settle(
    section: &Section<'_>,
    own: Written,
    common: &Written,
    several: bool,
    addresses: &[Located<Virtual>],
) -> Vrrp {
    let version = own.version.or(common.version.clone()).map_or(VrrpVersion::V3, |it| it.value);
    let advert = own.advert_ms.or(common.advert_ms.clone());
    let auth_pass = own.auth_pass.or(common.auth_pass.clone());
    if let Some(pass) = &auth_pass {
        check_password(section, pass, version);
    }
    if version == VrrpVersion::V2 && addresses.iter().any(|it| it.value.0.is_ipv6()) {
        section.problem(None, "version", "VRRP version 2 has no IPv6; this VIP needs version 3");
    }
    let mac = own.mac.or(common.mac.clone());
    let elsewhere = addresses.iter().find(|it| it.value.2.is_some());
    if let (Some(MacAddress::Virtual), Some(address)) = (mac.as_ref().map(|it| it.value), elsewhere) {
        let text = "contradiction: with mac = \"virtual\" every address is on the router's own interface";
        section.problem(Some(address.line), "address", text);
    }
    let balanced = own.balanced.or(common.balanced.clone()).filter(|it| it.value);
    if let (Some(balanced), Some(MacAddress::Virtual)) = (&balanced, mac.as_ref().map(|it| it.value)) {
        let text = "contradiction: IPVS leaves packets their MAC addresses; it needs mac = \"own\"";
        section.problem(Some(balanced.line), "balance", text);
    }
    let accept = own.accept.or(common.accept.clone()).filter(|it| !it.value);
    if let (Some(_), Some(accept)) = (&balanced, &accept) {
        let text = "contradiction: hosts that take nothing for the VIP have no connections to balance";
        section.problem(Some(accept.line), "accept", text);
    }
    let usual = if several { Failback::AfterHealthy(SETTLED) } else { Failback::Never };
    let weight = own.weight.or(common.weight.clone()).map_or(0, |it| it.value);
    Vrrp {
        version,
        advert: advert_interval(section, advert, version),
        unicast: own.unicast.or(common.unicast.clone()).is_none_or(|it| it.value),
        interface: own.interface.or(common.interface.clone()).map(|it| it.value),
        mac: mac.map_or(MacAddress::Own, |it| it.value),
        accept: accept.is_none(),
        balanced: balanced.is_some(),
        auth_pass: auth_pass.map(|it| it.value),
        failback: own.failback.or(common.failback.clone()).map_or(usual, |it| it.value),
        sync: own.sync.or(common.sync.clone()).map(|it| it.value),
        weight: u8::try_from(weight).unwrap_or_default(),
        notify: own.notify.or(&common.notify),
        track_interface: own.track_interface.or(common.track_interface.clone()).unwrap_or_default(),
        checks: own.checks.or(common.checks.clone()).unwrap_or_default(),
    }
}

fn check_password(section: &Section<'_>, pass: &Located<String>, version: VrrpVersion) {
    if version == VrrpVersion::V3 {
        let text = "contradiction: VRRP version 3 has no authentication; leave it out or set version = 2";
        section.problem(Some(pass.line), "auth_pass", text);
    }
    if !(1..=8).contains(&pass.value.len()) {
        let text = format!("has {} bytes; expected 1 to 8", pass.value.len());
        section.problem(Some(pass.line), "auth_pass", text);
    }
}

fn advert_interval(section: &Section<'_>, advert: Option<Located<i64>>, version: VrrpVersion) -> Duration {
    let usual = if version == VrrpVersion::V2 { 1000 } else { 100 };
    let ms = advert.as_ref().map_or(usual, |it| it.value);
    let (fits, wanted) = match version {
        VrrpVersion::V2 => (ms % 1000 == 0, "1000 to 255000 ms in steps of 1000 in version 2"),
        VrrpVersion::V3 => (ms % 10 == 0 && ms <= 40_950, "10 to 40950 ms in steps of 10 in version 3"),
    };
    if !fits {
        let text = format!("{ms} is out of range; expected {wanted}");
        section.problem(advert.map(|it| it.line), "advert_ms", text);
    }
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// RFC 9568 §5.2.4: priority and weight together stay below the address owner's 255.
fn room_for_weight(section: &Section<'_>, standing: &Standing, weight: u8) {
    let highest = match standing {
        Standing::Everyone(priorities) => priorities.values().max_by_key(|it| it.value),
        Standing::Own { priority, .. } => Some(priority),
    };
    let too_much =
        |it: &&Located<u8>| it.value < OWNER && it.value.checked_add(weight).is_none_or(|sum| sum > 254);
    if let Some(highest) = highest.filter(too_much) {
        let text = format!("priority {} and weight {weight} are more than 254 together", highest.value);
        section.problem(Some(highest.line), "weight", text);
    }
}

/// RFC 9568 §6.1, Preempt_Mode: the owner preempts whatever that says.
fn owner_takes_it_back(section: &Section<'_>, standing: &Standing, failback: Failback) {
    let owner = match standing {
        Standing::Everyone(priorities) => priorities.values().find(|it| it.value == OWNER),
        Standing::Own { priority, .. } => Some(priority).filter(|it| it.value == OWNER),
    };
    if let Some(owner) = owner.filter(|_| failback != Failback::AtOnce) {
        let text =
            "contradiction: priority 255 takes the VIP whenever it can; that needs failback = \"at once\"";
        section.problem(Some(owner.line), "failback", text);
    }
}

/// A virtual router is of one address family (RFC 9568 §1.2). Unicast adverts go to the hosts' addresses, so those are
/// of that family, too; multicast ones come from any address that the interface has.
fn one_family(section: &Section<'_>, addresses: &[Located<Virtual>], hosts: &[HostEntry], unicast: bool) {
    let Some(first) = addresses.first().map(|it| it.value.0) else {
        return;
    };
    for other in addresses {
        if other.value.0.is_ipv4() != first.is_ipv4() {
            section.problem(Some(other.line), "address", "IPv4 and IPv6 addresses need a VIP each");
        }
    }
    let stranger = hosts.iter().find(|host| host.address.value.is_ipv4() != first.is_ipv4());
    if let Some(host) = stranger.filter(|host| unicast && !host.address.value.is_unspecified()) {
        let text = format!(
            "{first} and host {}'s address are of different families; that needs transport = \"multicast\"",
            host.name.value
        );
        section.problem(addresses.first().map(|it| it.line), "address", text);
    }
}

/// Members of a sync group that liked different hosts best would pull each other to and fro.
fn one_group(section: &Section<'_>, vip: &VipEntry, earlier: &VipEntry) {
    if vip.vrrp.sync.is_none() || vip.vrrp.sync != earlier.vrrp.sync {
        return;
    }
    let alike = vip.standing.numbers() == earlier.standing.numbers();
    if !alike || (vip.vrrp.weight, vip.vrrp.failback) != (earlier.vrrp.weight, earlier.vrrp.failback) {
        let text = format!(
            "moves together with the VIP on line {}, so it needs the same priorities, weight and failback",
            earlier.line
        );
        section.problem(None, "sync", text);
    }
}

fn not_twice(section: &Section<'_>, vip: &VipEntry, earlier: &VipEntry) {
    if vip.name == earlier.name {
        section.problem(None, "name", format!("{:?} is already the VIP on line {}", vip.name, earlier.line));
    }
    for address in &vip.addresses {
        if earlier.addresses.iter().any(|it| it.value.0 == address.value.0) {
            let text = format!("{} is already the VIP on line {}", address.value.0, earlier.line);
            section.problem(Some(address.line), "address", text);
        }
    }
    let family = |vip: &VipEntry| vip.addresses.first().map(|it| it.value.0.is_ipv4());
    let both_virtual = [vip, earlier].iter().all(|it| it.vrrp.mac == MacAddress::Virtual);
    let one_link = both_virtual && family(vip) == family(earlier)
        || vip.vrrp.interface == earlier.vrrp.interface && family(vip) == family(earlier);
    if one_link && vip.router_id.value == earlier.router_id.value {
        let text = format!(
            "router id {} is already that of the VIP on line {}, on the same link",
            vip.router_id.value, earlier.line
        );
        section.problem(Some(vip.router_id.line), "router_id", text);
    }
}
