//! What is said to the kernel's nftables about addresses whose packets are not taken (`accept = false`): one table of our own,
//! replaced as a whole. Pure.
//!
//! ```text
//! table inet standfast {
//!     chain input {
//!         type filter hook input priority filter; policy accept;
//!         icmpv6 type nd-neighbor-solicit accept     # where one of the addresses is IPv6: without
//!         icmpv6 type nd-neighbor-advert accept      # these it could not be found (RFC 9568 §6.4.3)
//!         ip daddr 192.0.2.88 drop
//!     }
//! }
//! ```
//!
//! It is there on a host that is not MASTER, too, where it matches nothing: such packets are not the host's own. ARP never comes by it.

use std::net::IpAddr;

use crate::netlink::{NESTED, attribute, message, messages};

const TABLE: &[u8] = b"standfast\0";
const CHAIN: &[u8] = b"input\0";

const SUBSYSTEM: u8 = 10;
const NEW_TABLE: u8 = 0;
const DEL_TABLE: u8 = 2;
const NEW_CHAIN: u8 = 3;
const NEW_RULE: u8 = 6;
const GET_RULE: u8 = 7;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const DONE: u16 = 3;

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x400;
const APPEND: u16 = 0x800;
const DUMP: u16 = 0x300;

/// `NFPROTO_INET`: IPv4 and IPv6.
const INET: u8 = 1;
const LOCAL_IN: u32 = 1;
const VERDICT_REGISTER: u32 = 0;
const REGISTER: u32 = 1;
const META_FAMILY: u32 = 15;
const META_PROTOCOL: u32 = 16;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

#[derive(Debug, Clone, Copy)]
enum Verdict {
    Drop = 0,
    Accept = 1,
}

/// A request, and the number of the message whose acknowledgement says that all of it is done.
#[derive(Debug)]
pub struct Request {
    pub bytes: Vec<u8>,
    pub last: u32,
}

/// Drops what comes for these addresses, and nothing else; the table goes if there are none. All at once or not at all.
#[must_use]
pub fn refuse(addresses: &[IpAddr]) -> Request {
    let mut steps = vec![table(NEW_TABLE, CREATE), table(DEL_TABLE, 0)];
    if !addresses.is_empty() {
        steps.extend([table(NEW_TABLE, CREATE), chain()]);
        steps.extend(rules(addresses).iter().map(|it| rule(it)));
    }
    let last = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    let mut bytes = message(BATCH_BEGIN, REQUEST, 0, &header(0, u16::from(SUBSYSTEM)));
    for (number, (kind, flags, body)) in (1..).zip(&steps) {
        let flags = REQUEST | flags | if number == last { ACK } else { 0 };
        bytes.extend(message(u16::from_be_bytes([SUBSYSTEM, *kind]), flags, number, body));
    }
    bytes.extend(message(BATCH_END, REQUEST, last.saturating_add(1), &header(0, u16::from(SUBSYSTEM))));
    Request { bytes, last }
}

/// How many rules [`refuse`] makes.
#[must_use]
pub fn rule_count(addresses: &[IpAddr]) -> usize {
    rules(addresses).len()
}

/// Asks for the rules that are there.
#[must_use]
pub fn ask_for_rules() -> Vec<u8> {
    let mut body = header(INET, 0);
    attribute(&mut body, 1, TABLE);
    message(u16::from_be_bytes([SUBSYSTEM, GET_RULE]), REQUEST | DUMP, 1, &body)
}

/// A part of the kernel's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// So many rules, and more to come.
    Rules(usize),
    /// So many more, and that was all.
    End(usize),
    /// The number of an error.
    Refused(i32),
    /// Message `n` has been done.
    Done(u32),
}

/// What one datagram says.
#[must_use]
pub fn answer(datagram: &[u8]) -> Answer {
    let mut rules = 0;
    let mut done = None;
    for message in messages(datagram) {
        match message.error() {
            Some(0) => done = Some(message.sequence),
            Some(error) => return Answer::Refused(error),
            None if message.kind == DONE => return Answer::End(rules),
            None => rules += usize::from(message.kind == u16::from_be_bytes([SUBSYSTEM, NEW_RULE])),
        }
    }
    done.map_or(Answer::Rules(rules), Answer::Done)
}

type Step = (u8, u16, Vec<u8>);

/// `struct nfgenmsg`.
fn header(family: u8, resource: u16) -> Vec<u8> {
    let [high, low] = resource.to_be_bytes();
    vec![family, 0, high, low]
}

fn table(kind: u8, flags: u16) -> Step {
    let mut body = header(INET, 0);
    attribute(&mut body, 1, TABLE);
    (kind, flags, body)
}

fn chain() -> Step {
    let mut hook = Vec::new();
    attribute(&mut hook, 1, &LOCAL_IN.to_be_bytes());
    attribute(&mut hook, 2, &0_u32.to_be_bytes());
    let mut body = header(INET, 0);
    attribute(&mut body, 1, TABLE);
    attribute(&mut body, 3, CHAIN);
    attribute(&mut body, 4 | NESTED, &hook);
    attribute(&mut body, 5, &(Verdict::Accept as u32).to_be_bytes());
    attribute(&mut body, 7, b"filter\0");
    (NEW_CHAIN, CREATE, body)
}

/// A part of a rule: its name and attributes.
type Expression = (&'static [u8], Vec<u8>);

fn rule(expressions: &[Expression]) -> Step {
    let mut list = Vec::new();
    for (name, data) in expressions {
        let mut one = Vec::new();
        attribute(&mut one, 1, name);
        attribute(&mut one, 2 | NESTED, data);
        attribute(&mut list, 1 | NESTED, &one);
    }
    let mut body = header(INET, 0);
    attribute(&mut body, 1, TABLE);
    attribute(&mut body, 2, CHAIN);
    attribute(&mut body, 4 | NESTED, &list);
    (NEW_RULE, CREATE | APPEND, body)
}

fn rules(addresses: &[IpAddr]) -> Vec<Vec<Expression>> {
    let mut rules = Vec::new();
    if addresses.iter().any(IpAddr::is_ipv6) {
        rules.extend([NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT].map(passes));
    }
    rules.extend(addresses.iter().map(|address| match address {
        IpAddr::V4(four) => drops(IPV4, 16, &four.octets()),
        IpAddr::V6(six) => drops(IPV6, 24, &six.octets()),
    }));
    rules
}

fn passes(kind: u8) -> Vec<Expression> {
    let mut all = is(meta(META_PROTOCOL), &[ICMPV6]);
    all.extend(is(payload(TRANSPORT_HEADER, 0, 1), &[kind]));
    all.push(verdict(Verdict::Accept));
    all
}

fn drops(family: u8, offset: u32, destination: &[u8]) -> Vec<Expression> {
    let length = u32::try_from(destination.len()).unwrap_or_default();
    let mut all = is(meta(META_FAMILY), &[family]);
    all.extend(is(payload(NETWORK_HEADER, offset, length), destination));
    all.push(verdict(Verdict::Drop));
    all
}

/// Loads something and compares it.
fn is(load: Expression, value: &[u8]) -> Vec<Expression> {
    let mut wanted = Vec::new();
    attribute(&mut wanted, 1, value);
    let mut compare = Vec::new();
    attribute(&mut compare, 1, &REGISTER.to_be_bytes());
    attribute(&mut compare, 2, &0_u32.to_be_bytes());
    attribute(&mut compare, 3 | NESTED, &wanted);
    vec![load, (b"cmp\0", compare)]
}

fn meta(key: u32) -> Expression {
    let mut data = Vec::new();
    attribute(&mut data, 1, &REGISTER.to_be_bytes());
    attribute(&mut data, 2, &key.to_be_bytes());
    (b"meta\0", data)
}

fn payload(base: u32, offset: u32, length: u32) -> Expression {
    let mut data = Vec::new();
    for (kind, value) in (1..).zip([REGISTER, base, offset, length]) {
        attribute(&mut data, kind, &value.to_be_bytes());
    }
    (b"payload\0", data)
}

fn verdict(verdict: Verdict) -> Expression {
    let mut code = Vec::new();
    attribute(&mut code, 1, &(verdict as u32).to_be_bytes());
    let mut value = Vec::new();
    attribute(&mut value, 2 | NESTED, &code);
    let mut data = Vec::new();
    attribute(&mut data, 1, &VERDICT_REGISTER.to_be_bytes());
    attribute(&mut data, 2 | NESTED, &value);
    (b"immediate\0", data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::HEADER;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_batch_replaces_the_table_and_asks_for_one_acknowledgement() {
        let request = refuse(&[ip("192.0.2.88"), ip("fd00::88")]);
        let sent: Vec<_> = messages(&request.bytes).map(|it| (it.kind, it.sequence)).collect();
        let kinds: Vec<u16> = sent.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [0x10, 0xa00, 0xa02, 0xa00, 0xa03, 0xa06, 0xa06, 0xa06, 0xa06, 0x11]);
        assert_eq!((request.last, sent[8].1), (8, 8));
        let acknowledged = |it: &[u8]| it[6] & 4 != 0;
        let mut rest = request.bytes.as_slice();
        let mut asked = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_ne_bytes(*rest.first_chunk().unwrap()) as usize;
            asked.push(acknowledged(rest));
            rest = &rest[length..];
        }
        assert_eq!(asked.iter().position(|it| *it), Some(8));
        assert_eq!(rule_count(&[ip("192.0.2.88"), ip("fd00::88")]), 4);
        assert_eq!(rule_count(&[ip("192.0.2.88")]), 1);
        assert_eq!(messages(&refuse(&[]).bytes).count(), 4, "the table goes");
    }

    #[test]
    fn answers_are_told_apart() {
        let error = |code: i32| message(2, 0, 8, &code.to_ne_bytes());
        assert_eq!(answer(&error(0)), Answer::Done(8));
        assert_eq!(answer(&error(-95)), Answer::Refused(95));
        assert_eq!(answer(&[error(0), error(-95)].concat()), Answer::Refused(95));
        let rule = message(0xa06, 0, 1, &[1, 0, 0, 0]);
        assert_eq!(answer(&rule), Answer::Rules(1));
        assert_eq!(answer(&[rule, message(DONE, 0, 1, &[0; 4])].concat()), Answer::End(1));
        assert_eq!(answer(&[0; HEADER]), Answer::Rules(0));
    }
}
