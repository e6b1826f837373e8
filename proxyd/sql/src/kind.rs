//! The kinds of statement that `stats_mysql_commands_counters` counts, under its names.

/// Declares the kinds with the name of each.
macro_rules! kinds {
    ($($kind:ident => $name:literal,)*) => {
        /// What a statement is, as `stats_mysql_commands_counters.Command` says it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            /// The name in `stats_mysql_commands_counters`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Kind::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    AlterTable => "ALTER_TABLE",
    AlterView => "ALTER_VIEW",
    AnalyzeTable => "ANALYZE_TABLE",
    Begin => "BEGIN",
    Call => "CALL",
    ChangeMaster => "CHANGE_MASTER",
    Commit => "COMMIT",
    CreateDatabase => "CREATE_DATABASE",
    CreateIndex => "CREATE_INDEX",
    CreateTable => "CREATE_TABLE",
    CreateTemporary => "CREATE_TEMPORARY",
    CreateTrigger => "CREATE_TRIGGER",
    CreateUser => "CREATE_USER",
    CreateView => "CREATE_VIEW",
    Deallocate => "DEALLOCATE",
    Delete => "DELETE",
    Describe => "DESCRIBE",
    DropDatabase => "DROP_DATABASE",
    DropIndex => "DROP_INDEX",
    DropTable => "DROP_TABLE",
    DropTrigger => "DROP_TRIGGER",
    DropUser => "DROP_USER",
    DropView => "DROP_VIEW",
    Grant => "GRANT",
    Execute => "EXECUTE",
    Explain => "EXPLAIN",
    Flush => "FLUSH",
    Insert => "INSERT",
    Kill => "KILL",
    Load => "LOAD",
    LockTable => "LOCK_TABLE",
    Optimize => "OPTIMIZE",
    Prepare => "PREPARE",
    Purge => "PURGE",
    ReleaseSavepoint => "RELEASE_SAVEPOINT",
    RenameTable => "RENAME_TABLE",
    ResetMaster => "RESET_MASTER",
    ResetSlave => "RESET_SLAVE",
    Replace => "REPLACE",
    Revoke => "REVOKE",
    Rollback => "ROLLBACK",
    RollbackSavepoint => "ROLLBACK_SAVEPOINT",
    Savepoint => "SAVEPOINT",
    Select => "SELECT",
    SelectForUpdate => "SELECT_FOR_UPDATE",
    Set => "SET",
    ShowTableStatus => "SHOW_TABLE_STATUS",
    StartTransaction => "START_TRANSACTION",
    TruncateTable => "TRUNCATE_TABLE",
    UnlockTables => "UNLOCK_TABLES",
    Update => "UPDATE",
    Use => "USE",
    Show => "SHOW",
    Unknown => "UNKNOWN",
}
