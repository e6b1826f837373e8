//! What COM_STMT_PREPARE's answer says of a statement, kept free of the id and of either EOF dialect, so that it can be
//! given again: to another client, with another id, with or without EOFs between its parts.

use super::EofPacket;
use crate::capabilities::Capabilities;
use crate::frame::{self, Located};
use crate::lenenc::{Malformed, Reader};
use crate::response::OkPacket;
use crate::status::Status;

/// A prepared statement as its server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub columns: u16,
    pub parameters: u16,
    pub warnings: u16,
    /// The definitions of the parameters, then of the columns, each one a packet in its frame.
    definitions: Box<[u8]>,
}

impl Description {
    /// Takes a whole answer apart; also gives the server's id of the statement.
    ///
    /// # Errors
    /// Bytes that are no such answer, an ERR among them.
    pub fn parse(answer: &[u8], capabilities: Capabilities) -> Result<(u32, Description), Malformed> {
        let mut packets = Packets(answer);
        let first = packets.next()?;
        let first = frame::payload(first);
        let mut reader = Reader::new(&first);
        match reader.try_u8()? {
            OkPacket::HEADER => {}
            other => return Err(Malformed::UnexpectedByte(other)),
        }
        let statement = reader.try_u32()?;
        let (columns, parameters) = (reader.try_u16()?, reader.try_u16()?);
        reader.try_u8()?;
        let warnings = reader.try_u16().unwrap_or(0);
        let mut definitions = Vec::with_capacity(packets.0.len());
        let mut number = 0;
        for count in [parameters, columns] {
            for _ in 0..count {
                frame::write(&mut definitions, &mut number, &frame::payload(packets.next()?));
            }
            if count > 0 && !capabilities.contains(Capabilities::DEPRECATE_EOF) {
                EofPacket::parse(&frame::payload(packets.next()?))?;
            }
        }
        let definitions = definitions.into_boxed_slice();
        Ok((statement, Description { columns, parameters, warnings, definitions }))
    }

    /// The answer to a client with these capabilities, as frames from sequence number 1 on.
    pub fn answer(&self, statement: u32, status: Status, capabilities: Capabilities) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.definitions.len() + 64);
        let mut sequence = 1;
        frame::write(&mut out, &mut sequence, &self.head(statement));
        let eof = EofPacket { warnings: 0, status }.encode();
        let mut packets = Packets(&self.definitions);
        for count in [self.parameters, self.columns] {
            for _ in 0..count {
                // They were counted when they were parsed.
                let Ok(packet) = packets.next() else { break };
                frame::write(&mut out, &mut sequence, &frame::payload(packet));
            }
            if count > 0 && !capabilities.contains(Capabilities::DEPRECATE_EOF) {
                frame::write(&mut out, &mut sequence, &eof);
            }
        }
        out
    }

    /// How much memory it takes, in bytes.
    pub fn size(&self) -> usize {
        size_of::<Description>() + self.definitions.len()
    }

    fn head(&self, statement: u32) -> Vec<u8> {
        let mut head = vec![OkPacket::HEADER];
        head.extend_from_slice(&statement.to_le_bytes());
        head.extend_from_slice(&self.columns.to_le_bytes());
        head.extend_from_slice(&self.parameters.to_le_bytes());
        head.push(0);
        head.extend_from_slice(&self.warnings.to_le_bytes());
        head
    }
}

/// Whole packets, one after the other, in their frames.
struct Packets<'a>(&'a [u8]);

impl<'a> Packets<'a> {
    fn next(&mut self) -> Result<&'a [u8], Malformed> {
        match frame::locate(self.0, usize::MAX) {
            Ok(Located::Complete { framed, .. }) => {
                let (packet, rest) = self.0.split_at(framed);
                self.0 = rest;
                Ok(packet)
            }
            Ok(Located::Incomplete { .. }) => Err(Malformed::Truncated),
            Err(_) => Err(Malformed::BadLength),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::response::ColumnDefinition;

    const OLD: Capabilities = Capabilities::PROTOCOL_41;
    const NEW: Capabilities = Capabilities::PROTOCOL_41.union(Capabilities::DEPRECATE_EOF);

    fn answer(capabilities: Capabilities) -> Vec<u8> {
        let (mut out, mut sequence) = (Vec::new(), 1);
        let eof = EofPacket { warnings: 0, status: Status::AUTOCOMMIT }.encode();
        let mut put = |payload: &[u8]| frame::write(&mut out, &mut sequence, payload);
        put(&[0, 5, 1, 0, 0, 1, 0, 2, 0, 0, 3, 0]);
        put(&ColumnDefinition::text("?").encode());
        put(&ColumnDefinition::text("?").encode());
        if capabilities == OLD {
            put(&eof);
        }
        put(&ColumnDefinition::integer("a").encode());
        if capabilities == OLD {
            put(&eof);
        }
        out
    }

    #[test]
    fn it_is_the_same_in_both_dialects_and_is_given_in_both() {
        let (id, described) = Description::parse(&answer(OLD), OLD).unwrap();
        assert_eq!(Description::parse(&answer(NEW), NEW).unwrap(), (id, described.clone()));
        assert_eq!((id, described.columns, described.parameters, described.warnings), (261, 1, 2, 3));
        assert_eq!(described.answer(261, Status::AUTOCOMMIT, OLD), answer(OLD));
        assert_eq!(described.answer(261, Status::AUTOCOMMIT, NEW), answer(NEW));
        assert_ne!(described.answer(9, Status::AUTOCOMMIT, NEW), answer(NEW));
    }

    #[test]
    fn what_is_no_such_answer_is_an_error() {
        let whole = answer(OLD);
        for end in 0..whole.len() {
            assert!(Description::parse(&whole[..end], OLD).is_err(), "{end}");
        }
        assert!(
            Description::parse(&whole, NEW).is_ok(),
            "a server that sends EOFs all the same: one is a definition"
        );
        assert_eq!(Description::parse(&[1, 0, 0, 1, 0xff], OLD), Err(Malformed::UnexpectedByte(0xff)));
    }
}
