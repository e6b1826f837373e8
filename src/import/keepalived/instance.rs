//! The statements of one `vrrp_instance`, with keepalived's defaults filled in. Pure.

use std::net::IpAddr;

use super::read::{BUILT_IN, NO_EFFECT, NOT_HANDED_OVER, Reader, is_announcement};
use super::scripts::{self, Check, Tracked};
use super::syntax::Statement;
use crate::import::report::Fate;

/// A `vrrp_instance`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instance {
    pub line: usize,
    pub name: String,
    pub version: u8,
    pub interface: Option<String>,
    pub router_id: Option<u8>,
    pub priority: u8,
    pub advert_ms: u32,
    pub preempt: Preempt,
    /// Addresses with their prefixes, ` dev …` behind those on another interface.
    pub addresses: Vec<String>,
    pub peers: Vec<IpAddr>,
    pub source: Option<IpAddr>,
    /// Other interfaces that must be up.
    pub track_interface: Vec<String>,
    /// Run at every change of state.
    pub notify: Option<String>,
    /// Run when one state is reached: the key, and the program with its arguments.
    pub notify_state: Vec<(&'static str, Vec<String>)>,
    /// The VIPs have the virtual router's MAC address.
    pub virtual_mac: bool,
    /// Whether packets to the VIPs are taken, if the file says so.
    pub accept: Option<bool>,
    /// `vrrp_strict`, or its own `strict_mode`.
    pub strict: bool,
    /// In the words of iproute2.
    pub routes: Vec<String>,
    pub rules: Vec<String>,
    /// The group that it moves with.
    pub sync: Option<String>,
    /// What it tracks beside the proxy.
    pub checks: Vec<Check>,
    pub auth_pass: Option<String>,
    /// What scripts that watch the proxy add while they succeed.
    pub weight: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Preempt {
    AtOnce,
    After(u32),
    Never,
}

impl Instance {
    fn new(statement: &Statement, version: u8, strict: bool) -> Instance {
        Instance {
            line: statement.line,
            name: statement.value().to_owned(),
            version,
            interface: None,
            router_id: None,
            priority: 100,
            advert_ms: 1000,
            preempt: Preempt::AtOnce,
            addresses: Vec::new(),
            peers: Vec::new(),
            source: None,
            track_interface: Vec::new(),
            notify: None,
            notify_state: Vec::new(),
            virtual_mac: false,
            accept: None,
            strict,
            routes: Vec::new(),
            rules: Vec::new(),
            sync: None,
            checks: Vec::new(),
            auth_pass: None,
            weight: 0,
        }
    }
}

impl Reader<'_> {
    pub(super) fn instance(&mut self, statement: &Statement) -> Instance {
        let mut it = Instance::new(statement, self.version, self.strict);
        // The version decides what an interval may be, the interface which `dev` says something, and strictness what counts at all.
        for inner in statement.inside() {
            match inner.keyword() {
                "version" if matches!(inner.value(), "2" | "3") => {
                    it.version = if inner.value() == "2" { 2 } else { 3 }
                }
                "interface" => it.interface = Some(inner.value().to_owned()),
                "strict_mode" => it.strict = !matches!(inner.value(), "off" | "false" | "no"),
                _ => {}
            }
        }
        for inner in statement.inside() {
            let known = self.election(&mut it, inner)
                || self.network(&mut it, inner)
                || self.watched(&mut it, inner)
                || self.told(&mut it, inner)
                || self.without_effect(inner);
            if !known {
                self.unknown(inner);
            }
        }
        // What they mean depends on the addresses' family.
        let is_routing = |it: &&Statement| matches!(it.keyword(), "virtual_routes" | "virtual_rules");
        for inner in statement.inside().iter().filter(is_routing) {
            self.routing(&mut it, inner);
        }
        if it.strict {
            self.strictness(&it, statement);
        }
        let addresses = it.addresses.len();
        self.report.add(
            Fate::Taken,
            self.place(statement),
            format!("vrrp_instance {}: {addresses} address(es), priority {}", it.name, it.priority),
        );
        it
    }

    /// Who is MASTER, and when. This and the next three say whether the statement is one of theirs.
    fn election(&mut self, it: &mut Instance, statement: &Statement) -> bool {
        match statement.keyword() {
            "version" if matches!(statement.value(), "2" | "3") => {}
            "strict_mode" => {}
            "state" => self.note(Fate::Taken, statement, "dropped: every host starts as BACKUP"),
            "virtual_router_id" => match statement.value().parse().ok().filter(|id| *id > 0) {
                Some(id) => it.router_id = Some(id),
                None => self.note(Fate::Left, statement, "is no number from 1 to 255"),
            },
            "priority" => self.priority(it, statement),
            "advert_int" => self.interval(it, statement),
            "nopreempt" => it.preempt = Preempt::Never,
            "preempt" => it.preempt = Preempt::AtOnce,
            "preempt_delay" => self.preempt_delay(it, statement),
            "authentication" => self.authentication(it, statement),
            _ => return false,
        }
        true
    }

    /// Where the VIPs are, and who the others are.
    fn network(&mut self, it: &mut Instance, statement: &Statement) -> bool {
        match statement.keyword() {
            "interface" | "virtual_routes" | "virtual_rules" => {}
            "virtual_ipaddress" => {
                for address in statement.inside() {
                    self.address(it, address);
                }
            }
            "virtual_ipaddress_excluded" => {
                let text = "every address of a VIP is in the adverts: list it under its own [[vip]]";
                self.note(Fate::Left, statement, text);
            }
            "unicast_peer" => {
                for peer in statement.inside() {
                    match peer.keyword().parse() {
                        Ok(address) => it.peers.push(address),
                        Err(_) => self.note(Fate::Left, peer, "is no address"),
                    }
                }
            }
            "unicast_src_ip" | "mcast_src_ip" => match statement.value().parse() {
                Ok(address) => it.source = Some(address),
                Err(_) => self.note(Fate::Left, statement, "is no address"),
            },
            "use_vmac" => {
                it.virtual_mac = true;
                if statement.words.len() > 1 {
                    self.note(Fate::Changed, statement, "the interface has keepalived's usual name");
                }
            }
            "use_ipvlan" => {
                self.note(Fate::Left, statement, "VIPs are on a macvlan or on the interface itself");
            }
            "accept" => it.accept = Some(true),
            "no_accept" => {
                it.accept = Some(false);
                self.note(Fate::Taken, statement, "`accept = false`: no proxy answers on these VIPs");
            }
            _ => return false,
        }
        true
    }

    /// What must hold beside it, or changes its priority.
    fn watched(&mut self, it: &mut Instance, statement: &Statement) -> bool {
        match statement.keyword() {
            "track_script" | "track_process" | "track_file" => {
                for script in statement.inside() {
                    self.tracked(it, script);
                }
            }
            "track_interface" => {
                let own = it.interface.clone();
                for other in statement.inside().iter().filter(|name| Some(name.keyword()) != own.as_deref()) {
                    if other.words.len() > 1 {
                        self.note(Fate::Changed, other, "without its weight: FAULT while it is down");
                    }
                    it.track_interface.push(other.keyword().to_owned());
                }
            }
            _ => return false,
        }
        true
    }

    /// Programs that are told of changes.
    fn told(&mut self, it: &mut Instance, statement: &Statement) -> bool {
        match statement.keyword() {
            "notify" if statement.words.len() == 2 && statement.value().starts_with('/') => {
                it.notify = Some(statement.value().to_owned());
            }
            "notify_master" => self.notify_state(it, statement, "notify_master"),
            "notify_backup" => self.notify_state(it, statement, "notify_backup"),
            "notify_fault" => self.notify_state(it, statement, "notify_fault"),
            "notify_stop" => self.notify_state(it, statement, "notify_stop"),
            keyword if keyword.starts_with("notify") || keyword == "smtp_alert" => self.note(
                Fate::Left,
                statement,
                "programs are told of changes by `notify` (one program, no arguments of its own) and `notify_master` and its kin, see standfast.toml(5)",
            ),
            _ => return false,
        }
        true
    }

    /// What needs no word here, or has none.
    fn without_effect(&mut self, statement: &Statement) -> bool {
        match statement.keyword() {
            "garp_lower_prio_repeat" | "garp_lower_prio_delay" | "skip_check_adv_addr" | "native_ipv6" => {
                self.note(Fate::Taken, statement, BUILT_IN);
            }
            "promote_secondaries" | "lower_prio_no_advert" | "higher_prio_send_advert" => {
                self.note(Fate::Taken, statement, BUILT_IN);
            }
            "check_unicast_src" | "old_unicast_checksum" | "vmac_xmit_base" => {
                self.note(Fate::Taken, statement, BUILT_IN);
            }
            keyword if is_announcement(keyword) => self.note(Fate::Taken, statement, BUILT_IN),
            "debug" | "dont_track_primary" | "linkbeat_use_polling" => {
                self.note(Fate::Taken, statement, NO_EFFECT);
            }
            "lvs_sync_daemon_interface" => self.note(Fate::Left, statement, NOT_HANDED_OVER),
            _ => return false,
        }
        true
    }

    /// A strict keepalived drops what comes for the VIPs unless their address is the host's own, or `accept` says otherwise, which version
    /// 2 does not know. A VIP at which no proxy answers would be of no use, so that is said and not taken over.
    fn strictness(&mut self, it: &Instance, statement: &Statement) {
        let takes = match it.accept {
            None => it.priority == 255,
            Some(true) => it.priority == 255 || it.version == 3,
            Some(false) => return,
        };
        if !takes {
            self.note(
                Fate::Changed,
                statement,
                "a strict keepalived drops packets to these VIPs; here the proxy answers them, or not with `accept = false`",
            );
        }
    }

    fn priority(&mut self, it: &mut Instance, statement: &Statement) {
        match statement.value().parse::<u32>() {
            Ok(number @ 1..=255) => it.priority = u8::try_from(number).unwrap_or(100),
            _ => self.note(
                Fate::Changed,
                statement,
                "is no number from 1 to 255: keepalived's default is used, 100; give each host its own `priority`",
            ),
        }
    }

    /// Version 2 has whole seconds on the wire, version 3 hundredths.
    fn interval(&mut self, it: &mut Instance, statement: &Statement) {
        let Some(seconds) = statement.value().parse::<f64>().ok().filter(|it| *it > 0.0 && *it <= 255.0)
        else {
            return self.note(Fate::Left, statement, "is no interval: one second is used");
        };
        let step = if it.version == 2 { 1000.0 } else { 10.0 };
        let most = if it.version == 2 { 255_000.0 } else { 40_950.0 };
        let ms = ((seconds * 1000.0 / step).round() * step).clamp(step, most);
        if (ms - seconds * 1000.0).abs() > 0.5 {
            let version = it.version;
            self.note(Fate::Changed, statement, &format!("{ms:.0} ms, as VRRP version {version} has it"));
        }
        // Between 10 and 255000 by the clamp.
        it.advert_ms = ms as u32;
    }

    fn preempt_delay(&mut self, it: &mut Instance, statement: &Statement) {
        if it.strict {
            return self.note(Fate::Taken, statement, "dropped: keepalived knows none where it is strict");
        }
        match statement.value().parse::<f64>() {
            Ok(seconds) if (0.0..=3600.0).contains(&seconds) => {
                let ms = (seconds * 1000.0) as u32;
                it.preempt = if ms == 0 { Preempt::AtOnce } else { Preempt::After(ms) };
            }
            _ => self.note(Fate::Left, statement, "is no time up to an hour"),
        }
    }

    fn address(&mut self, it: &mut Instance, statement: &Statement) {
        let (address, prefix) = statement.keyword().split_once('/').unwrap_or((statement.keyword(), ""));
        let Ok(parsed) = address.parse::<IpAddr>() else {
            return self.note(Fate::Left, statement, "is no address");
        };
        let longest = if parsed.is_ipv6() { "128" } else { "32" };
        let prefix = if prefix.is_empty() { longest } else { prefix };
        let mut words = statement.words.iter().skip(1).map(String::as_str);
        let mut device = None;
        while let Some(word) = words.next() {
            match word {
                "dev" => device = words.next().filter(|name| Some(*name) != it.interface.as_deref()),
                "brd" | "broadcast" | "scope" | "label" | "preferred_lft" => {
                    words.next();
                    self.note(Fate::Changed, statement, &format!("without its {word}"));
                }
                other => self.note(Fate::Changed, statement, &format!("without its {other}")),
            }
        }
        let device = device.map(|name| format!(" dev {name}")).unwrap_or_default();
        it.addresses.push(format!("{parsed}/{prefix}{device}"));
    }

    /// Lines in the words of iproute2; the product's own reader says which of them it knows.
    fn routing(&mut self, it: &mut Instance, statement: &Statement) {
        let is_ipv6 = it.addresses.first().is_some_and(|address| address.contains(':'));
        for line in statement.inside() {
            let text = line.words.join(" ");
            let (list, known) = match statement.keyword() {
                "virtual_routes" => (&mut it.routes, configs::Route::parse(&text, is_ipv6).map(drop)),
                _ => (&mut it.rules, configs::Rule::parse(&text, is_ipv6).map(drop)),
            };
            match known {
                Ok(()) => list.push(text),
                Err(why) => self.note(Fate::Left, line, &why),
            }
        }
    }

    fn authentication(&mut self, it: &mut Instance, statement: &Statement) {
        let inner = |name: &str| statement.inside().iter().find(|inner| inner.keyword() == name);
        let kind = inner("auth_type").map_or("PASS", Statement::value);
        let Some(pass) = inner("auth_pass") else { return };
        if it.version == 3 {
            return self.note(Fate::Taken, statement, "dropped: VRRP version 3 has no authentication");
        }
        if it.strict {
            return self.note(Fate::Taken, statement, "dropped: keepalived sends none where it is strict");
        }
        if kind.eq_ignore_ascii_case("AH") {
            return self.note(Fate::Left, statement, "AH is not offered: the peers must use PASS or none");
        }
        let mut text = pass.value().to_owned();
        if text.len() > 8 {
            let end = (0..=8).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            self.note(Fate::Changed, pass, "its first 8 bytes, which is what keepalived sends");
        }
        it.auth_pass = Some(text).filter(|text| !text.is_empty());
    }

    fn notify_state(&mut self, it: &mut Instance, statement: &Statement, key: &'static str) {
        // Behind the program and its arguments there may be who runs it.
        match scripts::command(statement.words.get(1..2).unwrap_or_default()) {
            Some(words) => it.notify_state.push((key, words)),
            None => self.note(Fate::Left, statement, "begins with no whole path"),
        }
    }

    /// One line of `track_script`: a name, and perhaps a weight of its own.
    fn tracked(&mut self, it: &mut Instance, statement: &Statement) {
        let own = statement.words.iter().skip_while(|word| *word != "weight").nth(1);
        let own = own.and_then(|text| text.parse::<i32>().ok());
        match self.scripts.get(statement.keyword()) {
            None => self.note(Fate::Left, statement, "there is no script, process or file of this name"),
            Some(Tracked::Proxy(weight)) => {
                if let Some(weight) = Some(own.unwrap_or(*weight)).filter(|weight| *weight > 0) {
                    it.weight = u8::try_from(weight.min(253)).unwrap_or(0);
                }
            }
            Some(Tracked::Check(check)) => it.checks.push(check.weighing(own)),
            // Said where it stands.
            Some(Tracked::No(_)) => {}
        }
    }
}
