//! The last transaction that a session has committed in each hostgroup, as its server has named it. Pure.

use crate::snapshot::HostgroupId;

/// What a server may call one commit's transactions; a longer text is no name of one.
const LONGEST: usize = 4096;

/// GTIDs as text (`uuid:number` or `uuid:tag:number` of MySQL, `domain-server-number` of MariaDB), by hostgroup: several clusters in one
/// session are kept apart. In a box: most sessions have none, and every session has the room.
#[derive(Debug, Default)]
pub struct LastGtids(Option<Box<Commits>>);

#[derive(Debug, Default)]
struct Commits {
    /// An empty text: something may have been committed, and nobody knows what.
    last: Vec<(HostgroupId, String)>,
    /// The place of the newest.
    newest: usize,
}

/// What a session has committed last in a hostgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastCommit<'a> {
    Nothing,
    /// Something, perhaps, that the server has not named.
    Unnamed,
    Named(&'a str),
}

impl LastGtids {
    /// A server of this hostgroup has committed something for this session.
    pub fn learn(&mut self, hostgroup: HostgroupId, gtid: &[u8]) {
        let gtid = std::str::from_utf8(gtid).ok().filter(|text| text.len() <= LONGEST);
        let commits = self.0.get_or_insert_default();
        let at = commits.last.iter().position(|(known, _)| *known == hostgroup).unwrap_or_else(|| {
            commits.last.push((hostgroup, String::new()));
            commits.last.len() - 1
        });
        commits.newest = at;
        let text = &mut commits.last[at].1;
        text.clear();
        text.push_str(gtid.unwrap_or_default());
    }

    /// A server of this hostgroup may have committed something, and has not said what.
    pub fn doubt(&mut self, hostgroup: HostgroupId) {
        self.learn(hostgroup, b"");
    }

    pub fn of(&self, hostgroup: HostgroupId) -> LastCommit<'_> {
        let mut last = self.0.iter().flat_map(|commits| &commits.last);
        match last.find(|(known, _)| *known == hostgroup) {
            None => LastCommit::Nothing,
            Some((_, text)) if text.is_empty() => LastCommit::Unnamed,
            Some((_, text)) => LastCommit::Named(text),
        }
    }

    /// The last one of all hostgroups.
    pub fn newest(&self) -> Option<&str> {
        let commits = self.0.as_ref()?;
        commits.last.get(commits.newest).map(|(_, gtid)| &**gtid).filter(|gtid| !gtid.is_empty())
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
        assert_eq!(gtids.newest(), Some("0-1-8"));
        assert_eq!(gtids.of(1), LastCommit::Named("0-1-8"));
        assert_eq!(gtids.of(2), LastCommit::Named("3E11FA47-71CA-11E1-9E33-C80AA9429562:23"));
        assert_eq!(gtids.of(3), LastCommit::Nothing);
    }

    #[test]
    fn what_cannot_be_a_name_is_a_doubt() {
        let mut gtids = LastGtids::default();
        for doubtful in [&[0xff][..], &[b'1'; LONGEST + 1]] {
            gtids.learn(1, b"0-1-7");
            gtids.learn(1, doubtful);
            assert_eq!((gtids.of(1), gtids.newest()), (LastCommit::Unnamed, None));
        }
        gtids.learn(1, b"0-1-9");
        gtids.doubt(1);
        assert_eq!(gtids.of(1), LastCommit::Unnamed);
    }
}
