//! ARP (RFC 826): the gratuitous frames (RFC 5227 §3) that tell neighbours and switches where a VIP is now, and the question where
//! somebody is.

use std::net::Ipv4Addr;

/// An Ethernet hardware address.
pub type Mac = [u8; 6];

/// Ethernet header and ARP packet for IPv4.
pub const FRAME: usize = 42;

const BROADCAST: Mac = [0xff; 6];
const UNKNOWN: Mac = [0; 6];
const REQUEST: u8 = 1;
const REPLY: u8 = 2;

/// Stacks differ in which form updates their cache: both are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Request,
    Reply,
}

/// "`address` is at `mac`", to everybody on the link.
#[must_use]
pub fn gratuitous(form: Form, mac: Mac, address: Ipv4Addr) -> [u8; FRAME] {
    let (operation, target) = match form {
        Form::Request => (REQUEST, UNKNOWN),
        Form::Reply => (REPLY, BROADCAST),
    };
    broadcast(operation, (mac, address), (target, address))
}

/// "Who has `target`? Tell `source`", to everybody on the link.
#[must_use]
pub fn question(mac: Mac, source: Ipv4Addr, target: Ipv4Addr) -> [u8; FRAME] {
    broadcast(REQUEST, (mac, source), (UNKNOWN, target))
}

fn broadcast(operation: u8, sender: (Mac, Ipv4Addr), target: (Mac, Ipv4Addr)) -> [u8; FRAME] {
    let (from, to) = (sender.1.octets(), target.1.octets());
    let mut frame = [0; FRAME];
    let kind = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, operation];
    let parts: [&[u8]; 7] = [&BROADCAST, &sender.0, &kind, &sender.0, &from, &target.0, &to];
    frame.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
    frame
}

/// Who says in an ARP frame that it has which address; nothing in what is no such frame.
#[must_use]
pub fn sender(frame: &[u8]) -> Option<(Mac, Ipv4Addr)> {
    let frame = frame.first_chunk::<FRAME>()?;
    let (header, packet) = frame.split_at(12);
    if header.len() != 12 || packet.get(..8)? != [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4] {
        return None;
    }
    let mac = frame.get(22..28)?.try_into().ok()?;
    let address: [u8; 4] = frame.get(28..32)?.try_into().ok()?;
    Some((mac, address.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_claims_an_address() {
        let (mac, address) = ([2, 0, 0, 0, 0, 9], Ipv4Addr::new(10, 0, 0, 88));
        let mut frame = gratuitous(Form::Reply, mac, address);
        assert_eq!(sender(&frame), Some((mac, address)));
        assert_eq!(sender(&frame[..41]), None);
        frame[12] = 0x86;
        assert_eq!(sender(&frame), None);
    }

    #[test]
    fn golden_frames() {
        let mac = [2, 0, 0, 0, 0, 0x11];
        let request = gratuitous(Form::Request, mac, Ipv4Addr::new(192, 168, 4, 88));
        let expected = "ffffffffffff020000000011080600010800060400010200000000\
                        11c0a80458000000000000c0a80458";
        assert_eq!(request.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
        let reply = gratuitous(Form::Reply, mac, Ipv4Addr::new(192, 168, 4, 88));
        assert_eq!(reply[21], 2);
        assert_eq!(reply[32..38], [0xff; 6]);
        assert_eq!((&reply[22..32], &reply[38..]), (&request[22..32], &request[38..]));
    }

    #[test]
    fn golden_question() {
        let [source, target] = [11, 12].map(|last| Ipv4Addr::new(192, 168, 4, last));
        let frame = question([2, 0, 0, 0, 0, 0x11], source, target);
        let expected = "ffffffffffff020000000011080600010800060400010200000000\
                        11c0a8040b000000000000c0a8040c";
        assert_eq!(frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), expected);
    }
}
