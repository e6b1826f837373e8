//! Commands: the first byte of what a client sends once it is logged in, and what follows it.
//!
//! Source: MySQL, "Command Phase".

use crate::capabilities::Capabilities;
use crate::lenenc::{Malformed, Reader};

/// The command byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Command {
    Sleep = 0x00,
    Quit = 0x01,
    InitDb = 0x02,
    Query = 0x03,
    FieldList = 0x04,
    CreateDb = 0x05,
    DropDb = 0x06,
    Refresh = 0x07,
    Shutdown = 0x08,
    Statistics = 0x09,
    ProcessInfo = 0x0a,
    Connect = 0x0b,
    ProcessKill = 0x0c,
    Debug = 0x0d,
    Ping = 0x0e,
    Time = 0x0f,
    DelayedInsert = 0x10,
    ChangeUser = 0x11,
    BinlogDump = 0x12,
    TableDump = 0x13,
    ConnectOut = 0x14,
    RegisterSlave = 0x15,
    StmtPrepare = 0x16,
    StmtExecute = 0x17,
    StmtSendLongData = 0x18,
    StmtClose = 0x19,
    StmtReset = 0x1a,
    SetOption = 0x1b,
    StmtFetch = 0x1c,
    Daemon = 0x1d,
    BinlogDumpGtid = 0x1e,
    ResetConnection = 0x1f,
}

impl Command {
    pub fn from_byte(byte: u8) -> Option<Command> {
        use Command::*;
        const ALL: [Command; 32] = [
            Sleep,
            Quit,
            InitDb,
            Query,
            FieldList,
            CreateDb,
            DropDb,
            Refresh,
            Shutdown,
            Statistics,
            ProcessInfo,
            Connect,
            ProcessKill,
            Debug,
            Ping,
            Time,
            DelayedInsert,
            ChangeUser,
            BinlogDump,
            TableDump,
            ConnectOut,
            RegisterSlave,
            StmtPrepare,
            StmtExecute,
            StmtSendLongData,
            StmtClose,
            StmtReset,
            SetOption,
            StmtFetch,
            Daemon,
            BinlogDumpGtid,
            ResetConnection,
        ];
        ALL.get(usize::from(byte)).copied()
    }

    /// The word of the `Command` column of a process list.
    pub fn name(self) -> &'static str {
        match self {
            Command::Sleep => "Sleep",
            Command::Quit => "Quit",
            Command::InitDb => "Init DB",
            Command::Query => "Query",
            Command::FieldList => "Field List",
            Command::CreateDb => "Create DB",
            Command::DropDb => "Drop DB",
            Command::Refresh => "Refresh",
            Command::Shutdown => "Shutdown",
            Command::Statistics => "Statistics",
            Command::ProcessInfo => "Processlist",
            Command::Connect => "Connect",
            Command::ProcessKill => "Kill",
            Command::Debug => "Debug",
            Command::Ping => "Ping",
            Command::Time => "Time",
            Command::DelayedInsert => "Delayed insert",
            Command::ChangeUser => "Change user",
            Command::BinlogDump => "Binlog Dump",
            Command::TableDump => "Table Dump",
            Command::ConnectOut => "Connect Out",
            Command::RegisterSlave => "Register Slave",
            Command::StmtPrepare => "Prepare",
            Command::StmtExecute => "Execute",
            Command::StmtSendLongData => "Long Data",
            Command::StmtClose => "Close stmt",
            Command::StmtReset => "Reset stmt",
            Command::SetOption => "Set option",
            Command::StmtFetch => "Fetch",
            Command::Daemon => "Daemon",
            Command::BinlogDumpGtid => "Binlog Dump GTID",
            Command::ResetConnection => "Reset Connection",
        }
    }
}

/// A command with its arguments, borrowed from the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    Quit,
    InitDb(&'a [u8]),
    Query(Query<'a>),
    FieldList {
        table: &'a [u8],
        wildcard: &'a [u8],
    },
    ProcessKill {
        thread_id: u32,
    },
    Ping,
    Statistics,
    Debug,
    ResetConnection,
    /// Parse it with [`crate::handshake::ChangeUser::parse`].
    ChangeUser,
    /// The option: 0 switches multi-statements on, 1 off.
    SetOption(u16),
    StmtPrepare(&'a [u8]),
    StmtExecute {
        statement: u32,
        cursor: u8,
    },
    StmtSendLongData {
        statement: u32,
        parameter: u16,
        data: &'a [u8],
    },
    StmtClose {
        statement: u32,
    },
    StmtReset {
        statement: u32,
    },
    StmtFetch {
        statement: u32,
        rows: u32,
    },
    /// A command that this crate gives no arguments to.
    Other(Command),
    /// A byte that is no command.
    Unknown(u8),
}

/// What stands between COM_QUERY and a text without attributes where QUERY_ATTRIBUTES was negotiated: none, in one set.
pub const NO_ATTRIBUTES: &[u8] = &[0, 1];

/// What stands before the text of a COM_QUERY without attributes, on a connection with these capabilities.
pub fn no_attributes(capabilities: Capabilities) -> &'static [u8] {
    if capabilities.contains(Capabilities::QUERY_ATTRIBUTES) { NO_ATTRIBUTES } else { &[] }
}

/// COM_QUERY: the statement and what stood before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query<'a> {
    pub text: &'a [u8],
    /// The query attributes as they came (from the byte after the command to the one before the text), empty when
    /// QUERY_ATTRIBUTES was not negotiated.
    pub attributes: &'a [u8],
    /// How many attributes there are.
    pub attribute_count: u64,
}

impl<'a> Request<'a> {
    /// `capabilities` are those of the connection that the packet came from.
    pub fn parse(payload: &'a [u8], capabilities: Capabilities) -> Result<Request<'a>, Malformed> {
        let mut reader = Reader::new(payload);
        let byte = reader.try_u8()?;
        let Some(command) = Command::from_byte(byte) else { return Ok(Request::Unknown(byte)) };
        Ok(match command {
            Command::Quit => Request::Quit,
            Command::InitDb => Request::InitDb(reader.take_rest()),
            Command::Query => Request::Query(Query::parse(reader, capabilities)?),
            Command::FieldList => {
                Request::FieldList { table: reader.null_terminated_or_rest(), wildcard: reader.take_rest() }
            }
            Command::ProcessKill => Request::ProcessKill { thread_id: reader.try_u32()? },
            Command::Ping => Request::Ping,
            Command::Statistics => Request::Statistics,
            Command::Debug => Request::Debug,
            Command::ResetConnection => Request::ResetConnection,
            Command::ChangeUser => Request::ChangeUser,
            Command::SetOption => Request::SetOption(reader.try_u16()?),
            Command::StmtPrepare => Request::StmtPrepare(reader.take_rest()),
            Command::StmtExecute => {
                Request::StmtExecute { statement: reader.try_u32()?, cursor: reader.try_u8()? }
            }
            Command::StmtSendLongData => Request::StmtSendLongData {
                statement: reader.try_u32()?,
                parameter: reader.try_u16()?,
                data: reader.take_rest(),
            },
            Command::StmtClose => Request::StmtClose { statement: reader.try_u32()? },
            Command::StmtReset => Request::StmtReset { statement: reader.try_u32()? },
            Command::StmtFetch => {
                Request::StmtFetch { statement: reader.try_u32()?, rows: reader.try_u32()? }
            }
            other => Request::Other(other),
        })
    }
}

impl<'a> Query<'a> {
    fn parse(mut reader: Reader<'a>, capabilities: Capabilities) -> Result<Query<'a>, Malformed> {
        if !capabilities.contains(Capabilities::QUERY_ATTRIBUTES) {
            return Ok(Query { text: reader.take_rest(), attributes: &[], attribute_count: 0 });
        }
        let whole = reader.rest();
        let attribute_count = reader.try_lenenc_int()?;
        let sets = reader.try_lenenc_int()?;
        if sets != 1 {
            return Err(Malformed::BadLength);
        }
        if attribute_count > 0 {
            skip_attributes(&mut reader, attribute_count)?;
        }
        let text = reader.take_rest();
        let attributes = whole.get(..whole.len() - text.len()).unwrap_or_default();
        Ok(Query { text, attributes, attribute_count })
    }
}

/// Steps over the NULL bitmap, the types and names, and the values in binary form.
fn skip_attributes(reader: &mut Reader<'_>, count: u64) -> Result<(), Malformed> {
    // Each attribute takes at least a type and a name's length: three bytes.
    let count = usize::try_from(count).map_err(|_| Malformed::TooMany)?;
    if count > reader.rest().len() / 3 {
        return Err(Malformed::TooMany);
    }
    let nulls = reader.try_bytes(count.div_ceil(8))?;
    if reader.try_u8()? != 1 {
        return Err(Malformed::BadLength);
    }
    let mut types = Vec::with_capacity(count);
    for _ in 0..count {
        types.push(reader.try_u16()? as u8);
        reader.try_lenenc_bytes()?;
    }
    for (index, kind) in types.into_iter().enumerate() {
        let null = nulls.get(index / 8).is_some_and(|byte| byte >> (index % 8) & 1 == 1);
        if !null {
            skip_value(reader, kind)?;
        }
    }
    Ok(())
}

/// Steps over one value of the binary protocol; the numbers are `enum_field_types`.
pub(crate) fn skip_value(reader: &mut Reader<'_>, kind: u8) -> Result<(), Malformed> {
    let fixed = match kind {
        0x06 => 0,
        0x01 => 1,
        0x02 | 0x0d => 2,
        0x03 | 0x04 | 0x09 => 4,
        0x05 | 0x08 => 8,
        0x07 | 0x0a | 0x0b | 0x0c => reader.try_u8()?.into(),
        _ => return reader.try_lenenc_bytes().map(|_| ()),
    };
    reader.try_bytes(fixed).map(|_| ())
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
