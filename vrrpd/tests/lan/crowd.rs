//! Who waits in a listener's queue when the VIP leaves: the program behind it has never heard of him, and nobody else will tell him.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use super::bed::{Lan, VIP, Wire, inside, ip, patience};

/// Many more than are reset in a few milliseconds; the queue takes no more.
const CROWD: usize = 4_000;

#[test]
fn nobody_is_left_waiting_behind_a_vip_that_has_gone() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    raise_descriptor_limit();
    let mut lan = Lan::new("w", Wire::V4, 1);
    let hub = format!("{}-hub", lan.name);
    ip(&format!("-n {hub} addr add 10.77.0.99/24 dev br0"));
    lan.start(1);
    lan.wait_for(&[1]);
    let vip: SocketAddr = format!("{VIP}:7000").parse().unwrap();
    let listener = inside(&lan.namespace(1), move || TcpListener::bind(vip).unwrap());
    // SAFETY: listen(2) on a descriptor that `listener` owns; a second one only makes the queue longer.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 4096) }, 0);
    let crowd = inside(&hub, move || {
        (0..CROWD).map(|_| TcpStream::connect_timeout(&vip, patience()).unwrap()).collect::<Vec<_>>()
    });
    lan.say(1, "draining");
    lan.wait_for(&[]);
    for mut client in crowd {
        client.set_read_timeout(Some(patience())).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let status = lan.ask(1, "status");
    assert!(status.contains(&format!("\"connections_reset\":{CROWD}")), "{status}");
}

/// As high as it may be.
fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls are given a `rlimit` that lives until they return.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
    }
}
