//! Bytes as linux/ip_vs.h has them, and the way from services to services.

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> Service {
    Service { address: ip(text), port: 6033 }
}

fn to(text: &str, weight: u32) -> Server {
    Server { address: ip(text), weight }
}

/// Kind and value of each attribute.
fn attributes(mut bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let length = usize::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
        found.push((u16::from_ne_bytes([bytes[2], bytes[3]]), bytes[4..length].to_vec()));
        bytes = &bytes[length.next_multiple_of(4)..];
    }
    found
}

#[test]
fn a_service_and_a_server_on_the_wire() {
    let bytes = Step::Add(at("192.0.2.88")).emit(30);
    assert_eq!(bytes.len() % 4, 0);
    assert_eq!(u32::from_ne_bytes(*bytes.first_chunk().unwrap()), u32::try_from(bytes.len()).unwrap());
    assert_eq!((&bytes[4..8], &bytes[16..20]), (&[30, 0, 5, 0][..], &[NEW_SERVICE, 1, 0, 0][..]));
    let nests = attributes(&bytes[20..]);
    assert_eq!((nests.len(), nests[0].0), (1, SERVICE | NESTED));
    let service = attributes(&nests[0].1);
    let kinds: Vec<u16> = service.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [1, 2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(service[0].1, [2, 0], "AF_INET");
    assert_eq!(service[2].1, [&[192, 0, 2, 88][..], &[0; 12]].concat());
    assert_eq!((&service[3].1[..], &service[4].1[..]), (&[0x17, 0x91][..], &b"wlc\0"[..]));
    assert_eq!(
        (&service[5].1[..], &service[7].1[..]),
        (&[0, 0, 0, 0, 255, 255, 255, 255][..], &[255; 4][..])
    );

    let bytes = Step::Weigh(at("fd00::88"), to("fd00::12", 0)).emit(30);
    assert_eq!(bytes[16], SET_DEST);
    let nests = attributes(&bytes[20..]);
    assert_eq!(attributes(&nests[0].1).len(), 4, "known by family, protocol, address and port");
    let server = attributes(&nests[1].1);
    assert_eq!(nests[1].0, DEST | NESTED);
    assert_eq!((&server[2].1[..], &server[3].1[..]), (&[3, 0, 0, 0][..], &[0; 4][..]));
    assert_eq!(server[6], (11, vec![10, 0]), "AF_INET6");
}

#[test]
fn replies_are_bounded() {
    let message = |kind: u16, body: &[u8]| {
        let length = u32::try_from(16 + body.len()).unwrap().to_ne_bytes();
        [&length[..], &kind.to_ne_bytes(), &[0; 10], body].concat()
    };
    assert_eq!(reply(&message(2, &[0; 20])), Some(Reply::Done));
    assert_eq!(reply(&message(2, &(-2_i32).to_ne_bytes())), Some(Reply::Refused(2)));
    let family = [&[1, 2, 0, 0][..], &[6, 0, 2, 0, b'I', 0, 0, 0], &[6, 0, 1, 0, 35, 0, 0, 0]].concat();
    assert_eq!(reply(&message(16, &family)), Some(Reply::Family(35)));
    for cut in 0..family.len() + 16 {
        let _ = reply(&message(16, &family)[..cut]);
    }
    assert_eq!(reply(&message(16, &[0, 0, 0, 0, 2, 0, 1, 0])), None, "an attribute shorter than its head");
    assert_eq!(reply(&message(16, &[0, 0, 0, 0, 0, 0, 1, 0])), None);
    assert_eq!(reply(&message(2, &i32::MIN.to_ne_bytes())), None);
    assert_eq!(reply(&[]), None);
}

#[test]
fn only_what_differs_is_said() {
    let both = |weight| {
        let servers = vec![to("192.0.2.1", 1), to("192.0.2.2", weight)];
        [Virtual { service: at("192.0.2.88"), servers }]
    };
    let service = at("192.0.2.88");
    let all = [
        Step::Add(service),
        Step::AddServer(service, to("192.0.2.1", 1)),
        Step::AddServer(service, to("192.0.2.2", 0)),
    ];
    assert_eq!(steps(&[], &both(0)), all);
    assert_eq!(steps(&both(0), &both(0)), []);
    assert_eq!(steps(&both(0), &both(1)), [Step::Weigh(service, to("192.0.2.2", 1))]);
    assert_eq!(steps(&both(1), &[]), [Step::Remove(service)]);
    assert_eq!(all[1].again(), Some(Step::Weigh(service, to("192.0.2.1", 1))));
    assert_eq!(all[0].again(), None);
}
