//! What a backend says that a statement has changed of its session.

use proxyd_wire::response::Outcome;
use proxyd_wire::response::session_track::{Change, changes};

use super::Session;

impl Session {
    /// Takes in the session state changes of an answer.
    pub(super) fn learn(&mut self, outcome: &Outcome) {
        let Some(block) = outcome.session_track.as_deref() else { return };
        let Some(held) = self.attached.last_mut() else { return };
        for change in changes(block).map_while(Result::ok) {
            match change {
                Change::Gtids(gtid) | Change::SystemVariable { name: b"last_gtid", value: gtid } => {
                    self.record.gtids.borrow_mut().learn(held.hostgroup(), gtid);
                }
                _ => {}
            }
        }
    }
}
