//! Neighbour discovery (RFC 4861): the unsolicited advertisements (§7.2.6) that say where a VIP is now, and the solicitation (§4.3) that
//! asks where somebody is.

use std::net::Ipv6Addr;

use crate::arp::Mac;

/// Ethernet header, IPv6 header, ICMPv6 message with one option.
pub const FRAME: usize = 14 + 40 + MESSAGE;

const MESSAGE: usize = 24 + 8;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
/// "Replace what you have in your cache." Neither Solicited nor Router: nobody asked, and a proxy routes nothing.
const OVERRIDE: u8 = 0x20;
const SOURCE_LINK_LAYER_ADDRESS: u8 = 1;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;

/// "`address` is at `mac`", to all nodes on the link, from the address itself.
#[must_use]
pub fn unsolicited(mac: Mac, address: Ipv6Addr) -> [u8; FRAME] {
    let head = [NEIGHBOUR_ADVERTISEMENT, OVERRIDE, TARGET_LINK_LAYER_ADDRESS];
    multicast(head, mac, address, ALL_NODES, address)
}

/// "Who has `target`? Tell `source`", to the target's solicited-node group (RFC 4291 §2.7.1).
#[must_use]
pub fn question(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> [u8; FRAME] {
    let [.., high, low] = target.segments();
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low);
    multicast([NEIGHBOUR_SOLICITATION, 0, SOURCE_LINK_LAYER_ADDRESS], mac, source, group, target)
}

/// A message of a type with flags, and an option of a type with the sender's MAC.
fn multicast(
    [kind, flags, option]: [u8; 3],
    mac: Mac,
    source: Ipv6Addr,
    group: Ipv6Addr,
    target: Ipv6Addr,
) -> [u8; FRAME] {
    let length = [0, 0, 0, 32];
    let message = |checksum: u16| -> [Vec<u8>; 3] {
        let [high, low] = checksum.to_be_bytes();
        let header = vec![kind, 0, high, low, flags, 0, 0, 0];
        [header, target.octets().to_vec(), [&[option, 1][..], &mac].concat()]
    };
    let (from, to) = (source.octets(), group.octets());
    let pseudo_header = [&from[..], &to, &length, &[0, 0, 0, ICMPV6]].concat();
    let checksum = !sum(&[pseudo_header, message(0).concat()].concat());
    // RFC 2464 §7: the last four bytes of the group.
    let ethernet = [&[0x33, 0x33], &to[12..], &mac, &[0x86, 0xdd]].concat();
    let ip = [&[0x60, 0, 0, 0, 0, 32, ICMPV6, 255][..], &from, &to].concat();
    let bytes = [ethernet, ip, message(checksum).concat()].concat();
    let mut frame = [0; FRAME];
    frame.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    frame
}

/// RFC 1071, over an even number of bytes.
fn sum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let total = words.iter().fold(0_u32, |total, word| total + u32::from(u16::from_be_bytes(*word)));
    let once = (total & 0xffff) + (total >> 16);
    u16::try_from((once & 0xffff) + (once >> 16)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_frame() {
        let frame = unsolicited([2, 0, 0, 0, 0, 0x11], Ipv6Addr::new(0xfd00, 0x77, 0, 0, 0, 0, 0, 0x88));
        let expected = "33330000000102000000001186dd\
                        6000000000203afffd000077000000000000000000000088ff020000000000000000000000000001\
                        8800XXXX20000000fd0000770000000000000000000000880201020000000011";
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        let checked = format!("{}XXXX{}", &hex[..112], &hex[116..]);
        assert_eq!(checked, expected);
        assert_sums_up(&frame);
    }

    #[test]
    fn golden_question() {
        let [source, target] = [0x11, 0x12_3456].map(|last| Ipv6Addr::from((0xfd00_0077 << 96) + last));
        let frame = question([2, 0, 0, 0, 0, 0x11], source, target);
        let expected = "3333ff12345602000000001186dd\
                        6000000000203afffd000077000000000000000000000011ff0200000000000000000001ff123456\
                        8700XXXX00000000fd0000770000000000000000001234560101020000000011";
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(format!("{}XXXX{}", &hex[..112], &hex[116..]), expected);
        assert_sums_up(&frame);
    }

    fn assert_sums_up(frame: &[u8]) {
        let pseudo_header = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58]].concat();
        assert_eq!(sum(&[&pseudo_header, &frame[54..]].concat()), 0xffff, "with its own checksum");
    }
}
