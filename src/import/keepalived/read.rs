//! The statements of keepalived.conf as virtual routers; what has no counterpart is noted, each with its line. Pure.

use super::instance::Instance;
use super::scripts::{self, Scripts, Tracked};
use super::syntax::Statement;
use crate::import::report::{Fate, Report};

/// Said about what is dropped without a loss.
pub(super) const BUILT_IN: &str = "dropped: built in";
pub(super) const NOT_HANDED_OVER: &str = "connections that IPVS has passed on are reset when the VIP moves";
pub(super) const NO_EFFECT: &str = "dropped: it has no meaning here";

pub(super) struct Reader<'a> {
    file: &'a str,
    pub(super) version: u8,
    /// `vrrp_strict`.
    pub(super) strict: bool,
    pub(super) scripts: Scripts,
    pub report: Report,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a str) -> Reader<'a> {
        Reader { file, version: 2, strict: false, scripts: Scripts::new(), report: Report::default() }
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
                | "dynamic_interfaces"
                | "process_names"
                | "max_auto_priority" => {
                    self.note(Fate::Taken, statement, NO_EFFECT);
                }
                "vrrp_strict" => self.strict = true,
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

    pub(super) fn unknown(&mut self, statement: &Statement) {
        self.note(Fate::Left, statement, "not known here");
    }

    pub(super) fn place(&self, statement: &Statement) -> String {
        format!("{}:{}", self.file, statement.line)
    }

    pub(super) fn note(&mut self, fate: Fate, statement: &Statement, text: &str) {
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
pub(super) fn is_announcement(keyword: &str) -> bool {
    ["garp_", "gna_", "vrrp_garp", "vrrp_gna", "vrrp_min_garp"].iter().any(|start| keyword.starts_with(start))
}
