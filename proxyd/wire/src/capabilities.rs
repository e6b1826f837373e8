//! Capability flags: what a client and a server agree to use on one connection.
//!
//! Sources: MySQL, "Capabilities Flags"; MariaDB, "Connection" (its own flags stand in the upper 32 bits here).

bitflags::bitflags! {
    /// The lower 32 bits are MySQL's flags, the upper 32 MariaDB's extended ones.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub struct Capabilities: u64 {
        /// MySQL's servers set it; MariaDB's leave it out to say that the extended flags are theirs.
        const LONG_PASSWORD = 1;
        const FOUND_ROWS = 1 << 1;
        const LONG_FLAG = 1 << 2;
        const CONNECT_WITH_DB = 1 << 3;
        const NO_SCHEMA = 1 << 4;
        const COMPRESS = 1 << 5;
        const ODBC = 1 << 6;
        const LOCAL_FILES = 1 << 7;
        const IGNORE_SPACE = 1 << 8;
        const PROTOCOL_41 = 1 << 9;
        const INTERACTIVE = 1 << 10;
        const SSL = 1 << 11;
        const IGNORE_SIGPIPE = 1 << 12;
        const TRANSACTIONS = 1 << 13;
        const RESERVED = 1 << 14;
        /// Passwords are answered with 20 bytes of random data, not with 8.
        const SECURE_CONNECTION = 1 << 15;
        const MULTI_STATEMENTS = 1 << 16;
        const MULTI_RESULTS = 1 << 17;
        const PS_MULTI_RESULTS = 1 << 18;
        const PLUGIN_AUTH = 1 << 19;
        const CONNECT_ATTRS = 1 << 20;
        const PLUGIN_AUTH_LENENC_CLIENT_DATA = 1 << 21;
        const CAN_HANDLE_EXPIRED_PASSWORDS = 1 << 22;
        const SESSION_TRACK = 1 << 23;
        /// No EOF after column definitions; an OK with header 0xFE ends the rows.
        const DEPRECATE_EOF = 1 << 24;
        const OPTIONAL_RESULTSET_METADATA = 1 << 25;
        const ZSTD_COMPRESSION_ALGORITHM = 1 << 26;
        /// COM_QUERY and COM_STMT_EXECUTE carry attributes before the statement.
        const QUERY_ATTRIBUTES = 1 << 27;
        const MULTI_FACTOR_AUTHENTICATION = 1 << 28;
        const CAPABILITY_EXTENSION = 1 << 29;
        const SSL_VERIFY_SERVER_CERT = 1 << 30;
        const REMEMBER_OPTIONS = 1 << 31;

        const MARIADB_PROGRESS = 1 << 32;
        const MARIADB_COM_MULTI = 1 << 33;
        const MARIADB_STMT_BULK_OPERATIONS = 1 << 34;
        const MARIADB_EXTENDED_METADATA = 1 << 35;
        /// Column definitions may be left out of a COM_STMT_EXECUTE answer: never negotiate it, the response tracker
        /// does not follow it.
        const MARIADB_CACHE_METADATA = 1 << 36;
        const MARIADB_BULK_UNIT_RESULTS = 1 << 37;

        // Flags of a newer peer are carried along.
        const _ = !0;
    }
}

impl Capabilities {
    /// The 32 bits of MySQL's own flags.
    pub fn lower(self) -> u32 {
        self.bits() as u32
    }

    /// The 32 bits of MariaDB's extended flags.
    pub fn mariadb(self) -> u32 {
        (self.bits() >> 32) as u32
    }

    pub fn from_parts(lower: u32, mariadb: u32) -> Capabilities {
        Capabilities::from_bits_retain(u64::from(mariadb) << 32 | u64::from(lower))
    }
}
