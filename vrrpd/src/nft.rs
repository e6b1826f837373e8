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

use crate::netlink::{NESTED, attribute, attributes, message, messages};

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
/// The length of `struct nfgenmsg`.
const HEADER: usize = 4;
/// `NFTA_RULE_EXPRESSIONS`.
const EXPRESSIONS: u16 = 4;
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

/// Asks for the rules that are there.
#[must_use]
pub fn ask_for_rules() -> Vec<u8> {
    let mut body = header(INET, 0);
    attribute(&mut body, 1, TABLE);
    message(u16::from_be_bytes([SUBSYSTEM, GET_RULE]), REQUEST | DUMP, 1, &body)
}

/// Whether these rules are those of [`refuse`], one by one. The kernel may order a rule's values in its own way, and say more of them.
#[must_use]
pub fn in_force(addresses: &[IpAddr], found: &[Rule]) -> bool {
    let wanted = rules(addresses);
    wanted.len() == found.len() && wanted.iter().zip(found).all(|(it, found)| found.is(&Rule::of(it)))
}

/// A rule as the kernel tells it, or as it was told: by their names its expressions, with what they load, compare and decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: Vec<u8>,
    values: Vec<Value>,
}

/// Where it stands in its expression, by the kinds of the attributes that it is inside; and the value.
type Value = (Vec<u16>, Vec<u8>);

/// The attributes of expressions that consist of others. The kernel does not mark them.
const NESTS: [(&[u8], &[u16]); 3] = [(b"cmp\0", &[3]), (b"immediate\0", &[2]), (b"immediate\0", &[2, 2])];

impl Rule {
    fn of(expressions: &[Expression]) -> Rule {
        let (_, _, body) = rule(expressions);
        Rule::read(&body)
    }

    /// The payload of a message that tells of a rule; what is cut or unknown has fewer expressions than any rule of ours.
    fn read(body: &[u8]) -> Rule {
        let inside = |bytes, wanted: u16| {
            attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value).unwrap_or_default()
        };
        let all = inside(body.get(HEADER..).unwrap_or_default(), EXPRESSIONS);
        let one = |(_, bytes)| {
            let name = inside(bytes, 1);
            let mut part = Part { name: name.to_vec(), values: Vec::new() };
            values(name, &[], inside(bytes, 2), &mut part.values);
            part
        };
        Rule(attributes(all).map(one).collect())
    }

    fn is(&self, wanted: &Rule) -> bool {
        let same = |(found, wanted): (&Part, &Part)| {
            found.name == wanted.name && wanted.values.iter().all(|value| found.values.contains(value))
        };
        self.0.len() == wanted.0.len() && self.0.iter().zip(&wanted.0).all(same)
    }
}

/// The values of an expression; as deep as [`NESTS`] goes.
fn values(name: &[u8], place: &[u16], bytes: &[u8], found: &mut Vec<Value>) {
    for (kind, value) in attributes(bytes) {
        let place = [place, &[kind]].concat();
        if NESTS.contains(&(name, &place)) {
            values(name, &place, value, found);
        } else {
            found.push((place, value.to_vec()));
        }
    }
}

/// A part of the kernel's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Some rules, and more to come.
    Rules(Vec<Rule>),
    /// The last of them.
    End(Vec<Rule>),
    /// The number of an error.
    Refused(i32),
    /// Message `n` has been done.
    Done(u32),
}

/// What one datagram says.
#[must_use]
pub fn answer(datagram: &[u8]) -> Answer {
    let mut rules = Vec::new();
    let mut done = None;
    for message in messages(datagram) {
        match message.error() {
            Some(0) => done = Some(message.sequence),
            Some(error) => return Answer::Refused(error),
            None if message.kind == DONE => return Answer::End(rules),
            None if message.kind == u16::from_be_bytes([SUBSYSTEM, NEW_RULE]) => {
                rules.push(Rule::read(message.payload));
            }
            None => {}
        }
    }
    done.map_or_else(|| Answer::Rules(rules), Answer::Done)
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
    attribute(&mut body, EXPRESSIONS | NESTED, &list);
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
        assert_eq!(messages(&refuse(&[]).bytes).count(), 4, "the table goes");
    }

    #[test]
    fn answers_are_told_apart() {
        let error = |code: i32| message(2, 0, 8, &code.to_ne_bytes());
        assert_eq!(answer(&error(0)), Answer::Done(8));
        assert_eq!(answer(&error(-95)), Answer::Refused(95));
        assert_eq!(answer(&[error(0), error(-95)].concat()), Answer::Refused(95));
        let rule = message(0xa06, 0, 1, &[1, 0, 0, 0]);
        let empty = Rule(Vec::new());
        assert_eq!(answer(&rule), Answer::Rules(vec![empty.clone()]));
        assert_eq!(answer(&[rule, message(DONE, 0, 1, &[0; 4])].concat()), Answer::End(vec![empty]));
        assert_eq!(answer(&[0; 16]), Answer::Rules(Vec::new()));
    }

    /// An expression as the kernel writes it: nests without their mark.
    fn told(name: &[u8], data: &[u8]) -> Vec<u8> {
        let mut one = Vec::new();
        attribute(&mut one, 1, name);
        attribute(&mut one, 2, data);
        let mut element = Vec::new();
        attribute(&mut element, 1, &one);
        element
    }

    fn nest(values: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        values.iter().for_each(|(kind, value)| attribute(&mut bytes, *kind, value));
        bytes
    }

    /// The rule of an IPv4 address, as the kernel tells it: a handle, and the key of `meta` before its register.
    fn kernel_s_rule(address: [u8; 4], code: u32) -> Vec<u8> {
        let number = |value: u32| value.to_be_bytes();
        let compare = |value: &[u8]| nest(&[(1, &number(1)), (2, &number(0)), (3, &nest(&[(1, value)]))]);
        let decide = nest(&[(1, &number(0)), (2, &nest(&[(2, &nest(&[(1, &number(code))]))]))]);
        let expressions = [
            told(b"meta\0", &nest(&[(2, &number(15)), (1, &number(1))])),
            told(b"cmp\0", &compare(&[2])),
            told(b"payload\0", &nest(&[(1, &number(1)), (2, &number(1)), (3, &number(16)), (4, &number(4))])),
            told(b"cmp\0", &compare(&address)),
            told(b"immediate\0", &decide),
        ];
        let rule = nest(&[(1, TABLE), (2, CHAIN), (3, &[0; 8]), (4, &expressions.concat())]);
        [header(INET, 0), rule].concat()
    }

    #[test]
    fn rules_that_are_there_are_compared_by_what_they_do() {
        let addresses = [ip("192.0.2.88"), ip("192.0.2.89")];
        let [first, second] = [88, 89].map(|last| Rule::read(&kernel_s_rule([192, 0, 2, last], 0)));
        assert!(in_force(&addresses, &[first.clone(), second.clone()]));
        assert!(in_force(&addresses[..1], std::slice::from_ref(&first)));
        for found in
            [vec![first.clone()], vec![second.clone(), first.clone()], vec![first.clone(); 2], vec![]]
        {
            assert!(!in_force(&addresses, &found), "{found:?}");
        }
        let accepts = Rule::read(&kernel_s_rule([192, 0, 2, 89], 1));
        assert!(!in_force(&addresses, &[first, accepts]), "as many, and one does something else");

        let of_six = rules(&[ip("fd00::88")]);
        let found: Vec<Rule> = of_six.iter().map(|it| Rule::of(it)).collect();
        assert_eq!(found.len(), 3, "two for its neighbours");
        assert!(in_force(&[ip("fd00::88")], &found) && !in_force(&[ip("fd00::89")], &found));
        let whole = kernel_s_rule([192, 0, 2, 88], 0);
        for end in 0..whole.len() {
            assert!(!in_force(&addresses[..1], &[Rule::read(&whole[..end])]));
        }
    }
}
