//! The last transaction that a session has committed in each hostgroup, as its server has named it. Pure.

use crate::snapshot::HostgroupId;

/// What a server may call one commit's transactions; a longer text is no name of one.
const LONGEST: usize = 4096;

/// GTIDs as text (`uuid:number` or `uuid:tag:number` of MySQL, `domain-server-number` of MariaDB), by hostgroup: several clusters in one
/// session are kept apart.
#[derive(Debug, Default)]
pub struct LastGtids {
    last: Vec<(HostgroupId, String)>,
    /// The place of the newest.
    newest: usize,
}

impl LastGtids {
    /// A server of this hostgroup has committed something for this session.
    pub fn learn(&mut self, hostgroup: HostgroupId, gtid: &[u8]) {
        let Some(gtid) = std::str::from_utf8(gtid).ok().filter(|text| text.len() <= LONGEST) else { return };
        let at = self.last.iter().position(|(known, _)| *known == hostgroup).unwrap_or_else(|| {
            self.last.push((hostgroup, String::new()));
            self.last.len() - 1
        });
        self.newest = at;
        let text = &mut self.last[at].1;
        text.clear();
        text.push_str(gtid);
    }

    /// The last one of all hostgroups.
    pub fn newest(&self) -> Option<&str> {
        self.last.get(self.newest).map(|(_, gtid)| &**gtid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_hostgroup_is_kept() {
        let mut gtids = LastGtids::default();
        gtids.learn(1, b"0-1-7");
        gtids.learn(2, b"3E11FA47-71CA-11E1-9E33-C80AA9429562:23");
        gtids.learn(1, b"0-1-8");
        gtids.learn(1, &[0xff]);
        gtids.learn(1, &[b'1'; LONGEST + 1]);
        assert_eq!(gtids.newest(), Some("0-1-8"));
        assert_eq!(gtids.last.len(), 2);
    }
}
