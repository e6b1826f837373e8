//! One combination, and all of them. Pure.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Protocol {
    V2,
    V3,
    V3OnIpv6,
}

/// Version 2's simple password. Version 3 has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Password {
    None,
    Same,
    Different,
    OnlyOurs,
    OnlyTheirs,
}

impl Password {
    pub(crate) fn fits(self) -> bool {
        matches!(self, Password::None | Password::Same)
    }

    pub(crate) fn ours(self) -> Option<&'static str> {
        matches!(self, Password::Same | Password::Different | Password::OnlyOurs).then_some("standfst")
    }

    pub(crate) fn theirs(self) -> Option<&'static str> {
        match self {
            Password::Same => Some("standfst"),
            Password::Different | Password::OnlyTheirs => Some("mistaken"),
            Password::None | Password::OnlyOurs => None,
        }
    }
}

/// Which keepalived is the neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Neighbour {
    /// Of this machine's Debian.
    V2_2,
    /// Of Debian sid.
    V2_3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub neighbour: Neighbour,
    pub protocol: Protocol,
    pub unicast: bool,
    pub password: Password,
    /// Whose priority is higher.
    pub we_lead: bool,
    pub preempt: bool,
}

impl Cell {
    pub(crate) fn all() -> Vec<Cell> {
        [Neighbour::V2_2, Neighbour::V2_3].into_iter().flat_map(Cell::beside).collect()
    }

    fn beside(neighbour: Neighbour) -> Vec<Cell> {
        let mut all = Vec::new();
        for protocol in [Protocol::V2, Protocol::V3, Protocol::V3OnIpv6] {
            let password = if protocol == Protocol::V2 { Password::Same } else { Password::None };
            for unicast in [false, true] {
                for (we_lead, preempt) in [(true, true), (true, false), (false, true), (false, false)] {
                    all.push(Cell { neighbour, protocol, unicast, password, we_lead, preempt });
                }
                if protocol == Protocol::V2 {
                    let rest =
                        [Password::None, Password::Different, Password::OnlyOurs, Password::OnlyTheirs];
                    let cell = |password| Cell {
                        neighbour,
                        protocol,
                        unicast,
                        password,
                        we_lead: true,
                        preempt: true,
                    };
                    all.extend(rest.map(cell));
                }
            }
        }
        all
    }

    pub(crate) fn is_slow(&self) -> bool {
        self.protocol == Protocol::V2
    }

    /// Version 2 counts in seconds.
    pub(crate) fn advert(self) -> Duration {
        Duration::from_millis(if self.is_slow() { 1000 } else { 100 })
    }

    pub(crate) fn name(self) -> String {
        format!("interop/{}", self.words().join(" "))
    }

    /// As the table's columns have it.
    pub(crate) fn words(self) -> [&'static str; 6] {
        [
            match self.neighbour {
                Neighbour::V2_2 => "2.2",
                Neighbour::V2_3 => "2.3",
            },
            match self.protocol {
                Protocol::V2 => "v2 IPv4",
                Protocol::V3 => "v3 IPv4",
                Protocol::V3OnIpv6 => "v3 IPv6",
            },
            if self.unicast { "unicast" } else { "multicast" },
            match self.password {
                Password::None => "none",
                Password::Same => "right",
                Password::Different => "wrong",
                Password::OnlyOurs => "only ours",
                Password::OnlyTheirs => "only theirs",
            },
            if self.we_lead { "vrrpd" } else { "keepalived" },
            if self.preempt { "preempt" } else { "no preempt" },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_there_once() {
        let mut all = Cell::all();
        assert_eq!(all.len(), 64);
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 64);
        assert_eq!(all.iter().filter(|cell| !cell.password.fits()).count(), 12);
        assert_eq!(all[0].name(), "interop/2.2 v2 IPv4 multicast none vrrpd preempt");
    }
}
