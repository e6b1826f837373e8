//! Asking a member of a replication group how it is: the statements, and what their answers say. Pure.

use crate::admin::GroupSeen;
use crate::backend::Table;
use crate::runtime::{Address, NodeReport, Part, Peer};

/// The two sources: the performance schema since MySQL 8.0, before that the view that operators had to add for ProxySQL.
/// Whichever is there is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    #[default]
    PerformanceSchema,
    SysView,
}

impl Source {
    pub fn sql(self) -> &'static str {
        match self {
            Source::PerformanceSchema => {
                "SELECT me.MEMBER_STATE, me.MEMBER_ROLE, @@global.read_only | @@global.super_read_only, \
                 (SELECT COUNT(*) FROM performance_schema.replication_group_members), \
                 (SELECT COUNT(*) FROM performance_schema.replication_group_members \
                 WHERE MEMBER_STATE IN ('ONLINE', 'RECOVERING')), \
                 COALESCE(st.COUNT_TRANSACTIONS_REMOTE_IN_APPLIER_QUEUE, 0), me.MEMBER_ID, \
                 (SELECT GROUP_CONCAT(MEMBER_ID, ' ', MEMBER_PORT, ' ', MEMBER_HOST) \
                 FROM performance_schema.replication_group_members WHERE MEMBER_HOST <> '') \
                 FROM performance_schema.replication_group_members me \
                 LEFT JOIN performance_schema.replication_group_member_stats st USING (MEMBER_ID) \
                 WHERE me.MEMBER_ID = @@global.server_uuid"
            }
            Source::SysView => {
                "SELECT viable_candidate, read_only, transactions_behind FROM sys.gr_member_routing_candidate_status"
            }
        }
    }

    pub fn other(self) -> Source {
        match self {
            Source::PerformanceSchema => Source::SysView,
            Source::SysView => Source::PerformanceSchema,
        }
    }
}

/// A member's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// What is logged of it.
    pub seen: GroupSeen,
    /// Why it is no viable candidate.
    unfit: String,
    /// The members that it reaches; 0 when they are no majority, or when its source does not say.
    reachable: u32,
    /// Its own UUID, and all members; nothing when its source does not say, or when it speaks for nobody.
    pub members: Option<(Box<str>, Vec<Peer>)>,
}

/// The server cuts longer texts of GROUP_CONCAT off: the last name could be half a one.
const LONGEST: usize = 1023;

impl GroupStatus {
    /// Reads the answer of either source; an error for a server that is no member of a group.
    pub fn read(source: Source, table: &Table) -> Result<GroupStatus, String> {
        let row = table.rows.first().ok_or("it is no member of a replication group")?;
        let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect();
        let status = match (source, cells.as_slice()) {
            (Source::PerformanceSchema, [state, role, read_only, all, reachable, behind, own, members]) => {
                of_member(state, role, read_only, [all, reachable, behind])
                    .map(|status| status.among(own, members))
            }
            (Source::SysView, [viable, read_only, behind]) => of_view(viable, read_only, behind),
            _ => None,
        };
        status.ok_or_else(|| "its answer about the replication group cannot be read".to_owned())
    }

    fn among(mut self, own: &str, members: &str) -> GroupStatus {
        if self.reachable > 0 && !own.is_empty() && members.len() < LONGEST {
            self.members = Some((own.into(), members.split(',').filter_map(peer).collect()));
        }
        self
    }

    /// What follows for its place; `for_read_only` is `…_max_transactions_behind_for_read_only`.
    pub fn report(&self, for_read_only: u32) -> NodeReport {
        let counts = match for_read_only {
            0 => !self.seen.read_only,
            1 => self.seen.read_only,
            _ => true,
        };
        let part = match (self.seen.viable, self.seen.read_only) {
            (false, _) => Part::Unfit(self.unfit.clone()),
            (true, true) => Part::ReadOnly,
            (true, false) => Part::Writable,
        };
        let behind = if counts { self.seen.transactions_behind } else { 0 };
        NodeReport { part, behind, members: self.reachable }
    }
}

/// A member is viable when it is ONLINE and reaches a majority: in a lost one it still says PRIMARY, and writes hang. A primary that hands
/// over is `read_only` first and `super_read_only` later: either is enough, as in the view.
fn of_member(state: &str, role: &str, read_only: &str, numbers: [&str; 3]) -> Option<GroupStatus> {
    let [all, reachable, behind] = numbers.map(|number| number.parse::<u64>().ok());
    let (all, reachable) = (all?, reachable?);
    let majority = reachable * 2 > all;
    let online = state == "ONLINE";
    let unfit = match (online, majority) {
        (false, _) => format!("its state in the group is {state}"),
        (true, false) => format!("it reaches {reachable} of {all} members of its group"),
        (true, true) => String::new(),
    };
    let speaks = majority && matches!(state, "ONLINE" | "RECOVERING");
    Some(GroupStatus {
        seen: GroupSeen {
            viable: online && majority,
            read_only: role != "PRIMARY" || super::decide::read_only_value(read_only)?,
            transactions_behind: behind?,
        },
        unfit,
        reachable: if speaks { u32::try_from(reachable).ok()? } else { 0 },
        members: None,
    })
}

fn of_view(viable: &str, read_only: &str, behind: &str) -> Option<GroupStatus> {
    let seen = GroupSeen {
        viable: yes(viable)?,
        read_only: yes(read_only)?,
        transactions_behind: behind.parse().ok()?,
    };
    Some(GroupStatus { seen, unfit: "viable_candidate is NO".into(), reachable: 0, members: None })
}

/// `UUID port host`.
fn peer(text: &str) -> Option<Peer> {
    let mut words = text.splitn(3, ' ');
    let (id, port, hostname) = (words.next()?, words.next()?, words.next()?);
    let is_name = !hostname.is_empty() && hostname.bytes().all(|byte| byte.is_ascii_graphic());
    let address = Address { hostname: hostname.into(), port: port.parse().ok().filter(|port| *port > 0)? };
    is_name.then(|| Peer { id: id.into(), address })
}

fn yes(word: &str) -> Option<bool> {
    match word {
        "YES" => Some(true),
        "NO" => Some(false),
        _ => None,
    }
}
