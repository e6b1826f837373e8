//! What a finished response told: the relay's and the session's view of it.

use super::{ErrPacket, SchemaDebt};
use crate::capabilities::Capabilities;
use crate::lenenc::{Malformed, Reader};
use crate::status::Status;

/// How the bytes of a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The backend waits for the next command.
    Complete,
    /// The backend waits for a file from the client: packets up to and with an empty one, then it answers.
    LocalInfile,
}

/// What the first packet of a response was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    Ok,
    Err,
    ResultSet,
    LocalInfile,
    Text,
}

/// A statement as COM_STMT_PREPARE's answer describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    pub statement: u32,
    pub columns: u16,
    pub parameters: u16,
}

/// A response at its end. Numbers are those of the last OK, sums where there were several results.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// `None` only while the response is under way.
    pub end: Option<End>,
    pub first: Option<First>,
    /// The last status flags; `None` after an ERR, which has none.
    pub status: Option<Status>,
    pub error: Option<ErrPacket>,
    /// Sum over all results.
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub warnings: u16,
    /// Rows that went by, over all results.
    pub rows: u64,
    /// Results that ended without an ERR.
    pub results: u32,
    pub prepared: Option<Prepared>,
    /// Session state changes of all results, one after the other, for [`super::session_track::changes`].
    pub session_track: Option<Box<[u8]>>,
    /// An OK or ERR was longer than what is kept of one: session state changes may be missing.
    pub tail_lost: bool,
    /// What its client is owed after it.
    pub schema_debt: SchemaDebt,
}

impl Outcome {
    pub fn is_err(&self) -> bool {
        self.error.is_some()
    }

    /// Takes in an OK; gives back its status and warnings.
    pub(super) fn take_ok(
        &mut self,
        payload: &[u8],
        capabilities: Capabilities,
    ) -> Result<(Status, u16), Malformed> {
        let mut reader = Reader::new(payload);
        reader.try_u8()?;
        self.affected_rows = self.affected_rows.saturating_add(reader.try_lenenc_int()?);
        self.last_insert_id = reader.try_lenenc_int()?;
        let status = Status::from_bits_retain(reader.try_u16()?);
        let warnings = reader.try_u16()?;
        let tracks = status.contains(Status::SESSION_STATE_CHANGED)
            && capabilities.contains(Capabilities::SESSION_TRACK);
        if tracks {
            let changes = reader.try_lenenc_bytes().and_then(|_info| reader.try_lenenc_bytes());
            match changes {
                Ok(changes) => self.append_changes(changes),
                Err(_) => self.tail_lost = true,
            }
        }
        Ok((status, warnings))
    }

    fn append_changes(&mut self, changes: &[u8]) {
        let earlier = self.session_track.take().unwrap_or_default();
        self.session_track = Some([&earlier, changes].concat().into());
    }
}
