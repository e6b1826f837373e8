//! Takes the count of warnings out of a result set that is to be sent again, when there are no warnings to ask for.

use super::EofPacket;
use crate::capabilities::Capabilities;
use crate::frame::{self, HEADER, Located, MAX_PAYLOAD};
use crate::lenenc::Reader;

/// Sets the number of warnings to 0 in every EOF (or OK in its place) of a whole result set. False, with nothing promised
/// of the bytes, when they are no such frames.
pub fn clear_warnings(frames: &mut [u8], capabilities: Capabilities) -> bool {
    let mut at = 0;
    while let Some(rest) = frames.get_mut(at..).filter(|rest| !rest.is_empty()) {
        let Ok(Located::Complete { framed, .. }) = frame::locate(rest, usize::MAX) else { return false };
        let Some(payload) = rest.get_mut(HEADER..framed) else { return false };
        let place = match payload.len() {
            5 if payload.first() == Some(&EofPacket::HEADER) => Some(1),
            length if length < MAX_PAYLOAD && capabilities.contains(Capabilities::DEPRECATE_EOF) => {
                warnings_of_ok(payload)
            }
            _ => None,
        };
        if let Some(place) = place.and_then(|place| payload.get_mut(place..place + 2)) {
            place.fill(0);
        }
        at += framed;
    }
    true
}

/// Where an OK with the header of an EOF counts its warnings. A row of that first byte is far longer.
fn warnings_of_ok(payload: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(payload.strip_prefix(&[EofPacket::HEADER])?);
    reader.try_lenenc_int().ok()?;
    reader.try_lenenc_int().ok()?;
    reader.try_u16().ok()?;
    let rest = reader.rest().len();
    (rest >= 2).then(|| payload.len() - rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Status;

    fn framed(payload: &[u8]) -> Vec<u8> {
        let (mut out, mut sequence) = (Vec::new(), 1);
        frame::write(&mut out, &mut sequence, payload);
        out
    }

    #[test]
    fn both_dialects_lose_their_warnings_and_nothing_else() {
        let eof = |warnings| framed(&EofPacket { warnings, status: Status::AUTOCOMMIT }.encode());
        let row = framed(b"\x03\xfe\x01\x02");
        let mut bytes = [framed(&[1]), eof(0), row.clone(), eof(3)].concat();
        assert!(clear_warnings(&mut bytes, Capabilities::PROTOCOL_41));
        assert_eq!(bytes, [framed(&[1]), eof(0), row.clone(), eof(0)].concat());

        let ok = |warnings: u8| framed(&[0xfe, 0, 0, 2, 0, warnings, 0]);
        let mut bytes = [framed(&[1]), row.clone(), ok(9)].concat();
        assert!(clear_warnings(&mut bytes, Capabilities::DEPRECATE_EOF));
        assert_eq!(bytes, [framed(&[1]), row, ok(0)].concat());
        assert!(!clear_warnings(&mut [9, 0, 0, 1, 0], Capabilities::PROTOCOL_41));
    }
}
