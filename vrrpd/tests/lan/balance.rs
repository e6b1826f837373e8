//! A VIP that all hosts have and one announces. Whether connections are spread is seen where the kernel has IPVS; where it
//! has not, the owner says so and serves alone.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use super::bed::{Lan, VIP, Wire, calm, inside, ip, patience};

/// A proxy that counts the connections of the hub, which come by the VIP; the others' looks come by its own address.
struct Proxy {
    count: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    fn new(namespace: &str) -> Proxy {
        let (count, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counted, stopped) = (Arc::clone(&count), Arc::clone(&stop));
        let listener = inside(namespace, || TcpListener::bind("0.0.0.0:6033").unwrap());
        listener.set_nonblocking(true).unwrap();
        let thread = thread::spawn(move || {
            let mut kept = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, peer)) if peer.ip().to_string() == "10.77.0.99" => {
                        counted.fetch_add(1, Ordering::Relaxed);
                        kept.push(stream);
                    }
                    Ok(_) => {}
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Proxy { count, stop, thread: Some(thread) }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Twenty connections are half the one's and half the other's; of a proxy that is gone no more are asked.
fn connections_are_spread(lan: &Lan, answers: impl Fn() -> Value) {
    let hub = format!("{}-hub", lan.name);
    let vip: SocketAddr = format!("{VIP}:6033").parse().unwrap();
    let connect = || inside(&hub, move || TcpStream::connect_timeout(&vip, patience()));
    let (first, second) = (Proxy::new(&lan.namespace(1)), Proxy::new(&lan.namespace(2)));
    lan.wait_until("the other answers", || answers() == true);
    let kept: Vec<TcpStream> = (0..20).map(|_| connect().unwrap()).collect();
    lan.wait_until("twenty", || first.count() + second.count() == 20);
    assert!(first.count() >= 8 && second.count() >= 8, "{} and {}", first.count(), second.count());
    let before = first.count();
    drop(second);
    lan.wait_until("the other is out", || answers() == false);
    let more: Vec<TcpStream> = (0..5).map(|_| connect().unwrap()).collect();
    lan.wait_until("all to the owner", || first.count() == before + 5);
    drop((kept, more));
}

#[test]
fn a_balanced_vip_is_on_every_loopback_and_one_link() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("l", Wire::V4, 2);
    let hub = format!("{}-hub", lan.name);
    ip(&format!("-n {hub} addr add 10.77.0.99/24 dev br0"));
    for host in [1, 2] {
        let text = fs::read_to_string(lan.config(host)).unwrap();
        fs::write(lan.config(host), text.replace("[vrrp]\n", "[vrrp]\nbalance = \"ipvs\"\n")).unwrap();
        lan.ip(host, "link set lo up");
        lan.set(host, "ipv4/conf/eth0/arp_ignore", if host == 1 { "0" } else { "8" });
        lan.start(host);
    }
    let shown = |lan: &Lan, host: usize, on: &str| {
        ip(&format!("-n {} -o addr show dev {on}", lan.namespace(host))).contains(&format!(" {VIP}/32 "))
    };
    lan.wait_for(&[1]);
    lan.wait_for_state(2, "BACKUP");
    lan.wait_until("both loopbacks", || shown(&lan, 1, "lo") && shown(&lan, 2, "lo"));
    assert_eq!((lan.arp(1).as_str(), lan.arp(2).as_str()), ("1 2", "1 2"));

    // The owner alone answers for it.
    let mac = |lan: &Lan, host: usize| {
        let text = ip(&format!("-n {} -o link show dev eth0", lan.namespace(host)));
        text.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().to_owned()
    };
    let asks = |owner: &str| {
        ip(&format!("-n {hub} neigh flush all"));
        let dial = format!("</dev/tcp/{VIP}/1");
        let command = ["netns", "exec", &hub, "timeout", "2", "bash", "-c", &dial];
        let answer = Command::new("ip").args(command).output().unwrap();
        let neighbour = ip(&format!("-n {hub} neigh show {VIP}"));
        String::from_utf8_lossy(&answer.stderr).contains("refused") && neighbour.contains(owner)
    };
    assert!(asks(&mac(&lan, 1)));

    let balance = |host: usize| {
        let status: Value = serde_json::from_str(&lan.ask(host, "status")).unwrap();
        status["balance"].clone()
    };
    if Path::new("/proc/net/ip_vs").exists() {
        lan.wait_until("a service", || balance(1)["services"] == 1);
        connections_are_spread(&lan, || balance(1)["others"][0]["answers"].clone());
    } else {
        lan.wait_until("a reason", || balance(1)["error"].to_string().contains("has no IPVS"));
    }
    assert_eq!(
        (&balance(2)["services"], &balance(2)["error"]),
        (&Value::from(0), &Value::Null),
        "not the owner"
    );

    calm();
    assert!(lan.ask(1, "yield VI_01").contains("\"ok\":true"));
    lan.wait_for(&[2]);
    assert!(asks(&mac(&lan, 2)));
    // What somebody has changed since stays, the rest is as it was.
    lan.set(1, "ipv4/conf/eth0/arp_announce", "1");
    lan.terminate(1);
    assert!(!shown(&lan, 1, "lo"));
    assert_eq!(lan.arp(1), "0 1");
    lan.kill(2);
    assert!(lan.command(2).arg("--cleanup").status().unwrap().success());
    lan.wait_until("nothing left", || !shown(&lan, 2, "lo") && !shown(&lan, 2, "eth0"));
    lan.wait_until("as it was", || lan.arp(2) == "8 0");
}

#[test]
fn connections_that_the_former_owner_passed_on_are_reset() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("m", Wire::V4, 3);
    let hub = format!("{}-hub", lan.name);
    ip(&format!("-n {hub} addr add 10.77.0.99/24 dev br0"));
    for host in 1..=3 {
        let text = fs::read_to_string(lan.config(host)).unwrap();
        fs::write(lan.config(host), text.replace("[vrrp]\n", "[vrrp]\nbalance = \"ipvs\"\n")).unwrap();
        lan.ip(host, "link set lo up");
        lan.start(host);
        lan.wait_for_state(host, if host == 1 { "MASTER" } else { "BACKUP" });
    }
    // As IPVS would: what the client sends arrives at the host that it was passed on to.
    let connection = |host: usize| {
        let mac = ip(&format!("-n {} -o link show dev eth0", lan.namespace(host)));
        let mac = mac.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().to_owned();
        ip(&format!("-n {hub} neigh replace {VIP} lladdr {mac} dev br0 nud permanent"));
        let listener = inside(&lan.namespace(host), || TcpListener::bind("0.0.0.0:7000").unwrap());
        let vip: SocketAddr = format!("{VIP}:7000").parse().unwrap();
        let client = inside(&hub, move || TcpStream::connect_timeout(&vip, patience()).unwrap());
        client.set_read_timeout(Some(patience())).unwrap();
        (listener.accept().unwrap().0, client)
    };
    let (mut server, mut client) = connection(3);
    let (mut heir, mut kept) = connection(2);
    calm();
    assert!(lan.ask(1, "yield VI_01").contains("\"ok\":true"));
    lan.wait_for(&[2]);
    let mut byte = [0];
    assert_eq!(server.read(&mut byte).unwrap_err().kind(), ErrorKind::ConnectionAborted);
    assert_eq!(client.read(&mut byte).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // The new owner's own live on.
    kept.write_all(b"x").unwrap();
    heir.set_read_timeout(Some(patience())).unwrap();
    assert_eq!(heir.read(&mut byte).unwrap(), 1);
}
