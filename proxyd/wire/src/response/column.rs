//! ColumnDefinition41: one column of a result set.

use crate::lenenc::{self, Malformed, Reader};

/// `enum_field_types`, as far as this project makes columns of its own.
pub const TYPE_LONGLONG: u8 = 0x08;
pub const TYPE_VAR_STRING: u8 = 0xfd;
/// The collation utf8mb4_general_ci.
pub const UTF8MB4: u16 = 45;
/// The collation of what is no text.
pub const BINARY: u16 = 63;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColumnDefinition {
    pub schema: String,
    pub table: String,
    pub org_table: String,
    pub name: String,
    pub org_name: String,
    pub collation: u16,
    /// The longest value, in bytes.
    pub length: u32,
    pub kind: u8,
    pub flags: u16,
    pub decimals: u8,
}

impl ColumnDefinition {
    /// A text column.
    pub fn text(name: &str) -> ColumnDefinition {
        ColumnDefinition {
            name: name.to_owned(),
            collation: UTF8MB4,
            length: 1024,
            kind: TYPE_VAR_STRING,
            ..ColumnDefinition::default()
        }
    }

    /// A column of whole numbers.
    pub fn integer(name: &str) -> ColumnDefinition {
        ColumnDefinition {
            name: name.to_owned(),
            collation: BINARY,
            length: 20,
            kind: TYPE_LONGLONG,
            ..ColumnDefinition::default()
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for text in ["def", &self.schema, &self.table, &self.org_table, &self.name, &self.org_name] {
            lenenc::put_bytes(&mut out, text.as_bytes());
        }
        out.push(0x0c);
        out.extend_from_slice(&self.collation.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.push(self.kind);
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.push(self.decimals);
        out.extend_from_slice(&[0, 0]);
        out
    }

    pub fn parse(payload: &[u8]) -> Result<ColumnDefinition, Malformed> {
        let mut reader = Reader::new(payload);
        let mut text = || Ok(String::from_utf8_lossy(reader.try_lenenc_bytes()?).into_owned());
        let [_catalog, schema, table, org_table, name, org_name] =
            [text()?, text()?, text()?, text()?, text()?, text()?];
        let fixed = reader.try_lenenc_int()?;
        if fixed != 0x0c {
            return Err(Malformed::BadLength);
        }
        Ok(ColumnDefinition {
            schema,
            table,
            org_table,
            name,
            org_name,
            collation: reader.try_u16()?,
            length: reader.try_u32()?,
            kind: reader.try_u8()?,
            flags: reader.try_u16()?,
            decimals: reader.try_u8()?,
        })
    }
}
