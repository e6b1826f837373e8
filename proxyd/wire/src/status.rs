//! Status flags: what a server says of its session in every OK and EOF.
//!
//! Source: MySQL, "SERVER_STATUS_flags_enum".

bitflags::bitflags! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Status: u16 {
        const IN_TRANS = 0x0001;
        const AUTOCOMMIT = 0x0002;
        const MORE_RESULTS_EXISTS = 0x0008;
        const NO_GOOD_INDEX_USED = 0x0010;
        const NO_INDEX_USED = 0x0020;
        const CURSOR_EXISTS = 0x0040;
        const LAST_ROW_SENT = 0x0080;
        const DB_DROPPED = 0x0100;
        const NO_BACKSLASH_ESCAPES = 0x0200;
        const METADATA_CHANGED = 0x0400;
        const QUERY_WAS_SLOW = 0x0800;
        const PS_OUT_PARAMS = 0x1000;
        const IN_TRANS_READONLY = 0x2000;
        const SESSION_STATE_CHANGED = 0x4000;
        /// MariaDB's: `"` quotes names.
        const ANSI_QUOTES = 0x8000;

        const _ = !0;
    }
}

impl Status {
    /// How the server reads SQL: clients escape by it.
    pub const MODES: Status = Status::NO_BACKSLASH_ESCAPES.union(Status::ANSI_QUOTES);
}
