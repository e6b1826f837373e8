//! The statements of keepalived.conf as virtual routers; what has no counterpart is noted, each with its line. Pure.

use std::net::IpAddr;

use super::scripts::{self, Check, Scripts, Tracked};
use super::syntax::Statement;
use crate::import::report::{Fate, Report};

/// A `vrrp_instance`, with keepalived's defaults filled in.
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
    /// Packets to the VIPs are taken.
    pub accept: bool,
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

/// Said about what is dropped without a loss.
const BUILT_IN: &str = "dropped: built in";
const NOT_HANDED_OVER: &str = "connections that IPVS has passed on are reset when the VIP moves";
const NO_EFFECT: &str = "dropped: it has no meaning here";

pub(super) struct Reader<'a> {
    file: &'a str,
    version: u8,
    scripts: Scripts,
    pub report: Report,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str) -> Reader<'a> {
        Reader { file, version: 2, scripts: Scripts::new(), report: Report::default() }
    }

    /// All instances of the file.
    pub(super) fn instances(&mut self, statements: &[Statement]) -> Vec<Instance> {
        // What instances refer to may stand behind them.
        for statement in statements {
            match statement.keyword() {
                "global_defs" => self.global(statement.inside()),
                keyword if is_tracked(keyword) => self.script(statement),
                _ => {}
            }
        }
        let mut instances = Vec::new();
        for statement in statements {
            match statement.keyword() {
                "global_defs" => {}
                keyword if is_tracked(keyword) => {}
                "vrrp_instance" => instances.push(self.instance(statement)),
                "vrrp_sync_group" => {}
                "virtual_server" | "virtual_server_group" | "real_server" => {
                    self.note(
                        Fate::Left,
                        statement,
                        "LVS: queries are balanced by the proxy's hostgroups, and connections over the proxies by `balance = \"ipvs\"`, see standfast.toml(5)",
                    );
                }
                keyword if keyword.starts_with("include") => {
                    self.note(Fate::Left, statement, "the included file is not read: import it as well");
                }
                keyword if keyword.starts_with(['$', '@']) => {
                    self.note(Fate::Left, statement, "variables and conditions are not evaluated");
                }
                "" => {}
                _ => self.unknown(statement),
            }
        }
        for group in statements.iter().filter(|it| it.keyword() == "vrrp_sync_group") {
            self.sync_group(group, &mut instances);
        }
        instances
    }

    /// Instances by their names, in a block `group { … }`; programs of the group's own are told of each instance.
    fn sync_group(&mut self, statement: &Statement, instances: &mut [Instance]) {
        for inner in statement.inside() {
            match inner.keyword() {
                "group" => {
                    for member in inner.inside() {
                        match instances.iter_mut().find(|it| it.name == member.keyword()) {
                            Some(instance) => instance.sync = Some(statement.value().to_owned()),
                            None => self.note(Fate::Left, member, "there is no vrrp_instance of this name"),
                        }
                    }
                }
                keyword if keyword.starts_with("notify") => {
                    self.note(Fate::Left, inner, "programs are told of each instance: write it there");
                }
                _ => self.unknown(inner),
            }
        }
        self.note(Fate::Taken, statement, "`sync` of its instances");
    }

    fn global(&mut self, inside: &[Statement]) {
        for statement in inside {
            match statement.keyword() {
                "vrrp_version" => match statement.value() {
                    "2" => self.version = 2,
                    "3" => self.version = 3,
                    _ => self.note(Fate::Left, statement, "is neither 2 nor 3"),
                },
                "lvs_id"
                | "router_id"
                | "enable_script_security"
                | "script_user"
                | "vrrp_skip_check_adv_addr"
                | "vrrp_strict"
                | "dynamic_interfaces"
                | "process_names"
                | "max_auto_priority" => {
                    self.note(Fate::Taken, statement, NO_EFFECT);
                }
                "lvs_sync_daemon" => self.note(Fate::Left, statement, NOT_HANDED_OVER),
                keyword if is_announcement(keyword) || keyword.starts_with("vrrp_rt") => {
                    self.note(Fate::Taken, statement, BUILT_IN);
                }
                keyword if keyword.starts_with("notification_email") || keyword.starts_with("smtp_") => {
                    self.note(Fate::Left, statement, "no mail is sent: watch the journal of standfast-vrrpd");
                }
                _ => self.unknown(statement),
            }
        }
    }

    /// Scripts that see to the proxy do what the angel does; the others become checks of the instances that track them.
    fn script(&mut self, statement: &Statement) {
        let found = scripts::read(statement);
        match &found {
            Tracked::Proxy(_) => self.note(
                Fate::Changed,
                statement,
                "replaced by the proxy's own liveness: a host whose proxy is not live is out, whatever its priority",
            ),
            Tracked::Check(_) => self.note(Fate::Taken, statement, "a [[check]], run without any rights of vrrpd's"),
            Tracked::No(why) => self.note(Fate::Left, statement, why),
        }
        self.scripts.insert(statement.value().to_owned(), found);
    }

    fn instance(&mut self, statement: &Statement) -> Instance {
        let mut it = Instance {
            line: statement.line,
            name: statement.value().to_owned(),
            version: self.version,
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
            accept: true,
            routes: Vec::new(),
            rules: Vec::new(),
            sync: None,
            checks: Vec::new(),
            auth_pass: None,
            weight: 0,
        };
        // The version decides what an interval may be, and the interface which `dev` says something.
        for inner in statement.inside() {
            match inner.keyword() {
                "version" if matches!(inner.value(), "2" | "3") => {
                    it.version = if inner.value() == "2" { 2 } else { 3 }
                }
                "interface" => it.interface = Some(inner.value().to_owned()),
                _ => {}
            }
        }
        for inner in statement.inside() {
            self.setting(&mut it, inner);
        }
        // What they mean depends on the addresses' family.
        let is_routing = |it: &&Statement| matches!(it.keyword(), "virtual_routes" | "virtual_rules");
        for inner in statement.inside().iter().filter(is_routing) {
            self.routing(&mut it, inner);
        }
        let addresses = it.addresses.len();
        self.report.add(
            Fate::Taken,
            self.place(statement),
            format!("vrrp_instance {}: {addresses} address(es), priority {}", it.name, it.priority),
        );
        it
    }

    fn setting(&mut self, it: &mut Instance, statement: &Statement) {
        match statement.keyword() {
            "interface" => {}
            "version" if matches!(statement.value(), "2" | "3") => {}
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
            "virtual_ipaddress" => {
                for address in statement.inside() {
                    self.address(it, address);
                }
            }
            "virtual_ipaddress_excluded" => {
                self.note(Fate::Left, statement, "every address of a VIP is in the adverts: list it under its own [[vip]]");
            }
            "virtual_routes" | "virtual_rules" => {}
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
            "authentication" => self.authentication(it, statement),
            "track_script" | "track_process" | "track_file" => {
                for script in statement.inside() {
                    self.tracked(it, script);
                }
            }
            "track_interface" => {
                for other in statement.inside().iter().filter(|name| Some(name.keyword()) != it.interface.as_deref()) {
                    if other.words.len() > 1 {
                        self.note(Fate::Changed, other, "without its weight: FAULT while it is down");
                    }
                    it.track_interface.push(other.keyword().to_owned());
                }
            }
            "garp_lower_prio_repeat" | "garp_lower_prio_delay" | "skip_check_adv_addr" | "promote_secondaries" | "native_ipv6" | "lower_prio_no_advert" | "higher_prio_send_advert"
            | "check_unicast_src" | "old_unicast_checksum" => self.note(Fate::Taken, statement, BUILT_IN),
            "debug" | "strict_mode" | "dont_track_primary" | "linkbeat_use_polling" => {
                self.note(Fate::Taken, statement, NO_EFFECT);
            }
            keyword if is_announcement(keyword) => self.note(Fate::Taken, statement, BUILT_IN),
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
            "use_vmac" => {
                it.virtual_mac = true;
                if statement.words.len() > 1 {
                    self.note(Fate::Changed, statement, "the interface has keepalived's usual name");
                }
            }
            "vmac_xmit_base" => self.note(Fate::Taken, statement, BUILT_IN),
            "accept" => it.accept = true,
            "no_accept" => {
                it.accept = false;
                self.note(Fate::Taken, statement, "`accept = false`: no proxy answers on these VIPs");
            }
            "lvs_sync_daemon_interface" => self.note(Fate::Left, statement, NOT_HANDED_OVER),
            "use_ipvlan" => self.note(Fate::Left, statement, "VIPs are on a macvlan or on the interface itself"),
            _ => self.unknown(statement),
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

    fn unknown(&mut self, statement: &Statement) {
        self.note(Fate::Left, statement, "not known here");
    }

    fn place(&self, statement: &Statement) -> String {
        format!("{}:{}", self.file, statement.line)
    }

    fn note(&mut self, fate: Fate, statement: &Statement, text: &str) {
        // Values may be passwords, so only the keyword is shown.
        let place = self.place(statement);
        self.report.add(fate, place, format!("{}: {text}", statement.keyword()));
    }
}

/// What an instance may track by a name.
fn is_tracked(keyword: &str) -> bool {
    matches!(
        keyword,
        "vrrp_script" | "vrrp_track_process" | "track_process" | "vrrp_track_file" | "track_file"
    )
}

/// Gratuitous ARP and neighbour advertisements.
fn is_announcement(keyword: &str) -> bool {
    ["garp_", "gna_", "vrrp_garp", "vrrp_gna", "vrrp_min_garp"].iter().any(|start| keyword.starts_with(start))
}
