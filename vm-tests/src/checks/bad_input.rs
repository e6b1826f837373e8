//! Bad input on every port: each gives a clear error or a counted drop, and the client beside it sees nothing.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::runner::Runner;
use super::shell::inside;
use super::vrrp;
use crate::client::probe::{self, runtime};
use crate::drills::stage::Stage;
use crate::lab::cluster::BackendKind;
use crate::lab::host::Host;
use crate::lab::layout::{Layout, Numbers, Template};
use crate::lab::net::CLIENT_ADDRESS;
use crate::lab::netns::Netns;
use crate::lab::wait;
use crate::mysql::client::Account;
use crate::mysql::{Client, Failure};

/// The longest pause that the client beside it may see on a machine with other work.
const PAUSE: Duration = Duration::from_millis(500);
/// A pause that the bad input makes comes back with it; one that something else on this machine makes does not.
const TRIES: usize = 4;
/// A check that hangs is a failed one.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn run(runner: &mut Runner) -> Result<()> {
    let template = Template::new(Layout::SingleVip, Numbers::Standfast, &runner.configs);
    let stage = runner.stage(template, BackendKind::Sqlite)?;
    let host = stage.holder(stage.vip())?;
    let address = stage.host(host).address;
    let client = stage.cluster.client()?;
    let server = stage.host(host).netns.clone();
    let mut check =
        |name: &str, act: &dyn Fn() -> Result<()>| runner.check(name, || nothing_else_suffers(&stage, act));

    check("bad-input/garbage on the clients' port", &|| garbage(&client, (address, 6033).into()));
    check("bad-input/garbage on the admin port", &|| garbage(&server, (Ipv4Addr::LOCALHOST, 6032).into()));
    check("bad-input/a handshake that stops half way", &|| half_open(&client, (address, 6033).into()));
    check("bad-input/a wrong password", &|| wrong_password(&client, address));
    check("bad-input/an oversized packet", &|| oversized(&client, (address, 6033).into()));
    let good = advert(&stage);
    let mut forged = good.clone();
    forged[6] ^= 0x55;
    check("bad-input/a truncated VRRP packet", &|| {
        vrrp_drop(&stage, host, &good[..6], 255, "packet_len_err")
    });
    check("bad-input/a VRRP packet with a wrong checksum", &|| {
        vrrp_drop(&stage, host, &forged, 255, "checksum_err")
    });
    check("bad-input/a VRRP packet with TTL 254", &|| vrrp_drop(&stage, host, &good, 254, "ip_ttl_err"));
    check("bad-input/a configuration with an unknown key", &|| {
        unknown_key(stage.host(host), runner_binaries(&stage))
    });
    Ok(())
}

fn runner_binaries(stage: &Stage) -> &std::path::Path {
    &stage.cluster.plan.binaries
}

/// Does it, and asks what the clients saw meanwhile: the VIP stays, no failure, and not a pause each time.
fn nothing_else_suffers(stage: &Stage, act: &dyn Fn() -> Result<()>) -> Result<()> {
    let mut slow = Vec::new();
    while slow.len() < TRIES {
        match beside(stage, act)? {
            None => return Ok(()),
            Some(what) => slow.push(what),
        }
    }
    bail!("the client beside it waited each time: {slow:?}")
}

/// What the clients waited for once, if they did; whatever else they met is an error.
fn beside(stage: &Stage, act: &dyn Fn() -> Result<()>) -> Result<Option<String>> {
    stage.wait_for_calm()?;
    let vip = stage.vip();
    let host = stage.holder(vip)?;
    let proxy = stage.host(host).proxyd();
    let start = Instant::now();
    act()?;
    std::thread::sleep(Duration::from_millis(500));
    let (failures, outage) = (stage.failures_since(start), stage.outage_since(start));
    let (waited, met): (Vec<&String>, Vec<&String>) =
        failures.by_text.keys().partition(|text| text.starts_with("timed out"));
    ensure!(met.is_empty(), "the client beside it saw: {met:?}");
    ensure!(stage.cluster.holder(vip) == Some(host), "the VIP moved");
    ensure!(stage.host(host).proxyd() == proxy, "the proxy was restarted");
    Ok((outage >= PAUSE || !waited.is_empty()).then(|| format!("{outage:?} {waited:?}")))
}

fn dial(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("connect {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// Reads until the other side closes; a reset counts as closed, silence does not.
fn closes(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(seen),
            Ok(count) => seen.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(seen),
            Err(error) => return Err(error).context("the connection stays open"),
        }
    }
}

/// Several kinds of nonsense; each connection must be closed, not kept.
fn garbage(netns: &Netns, address: SocketAddr) -> Result<()> {
    inside(netns, move || {
        let noise: Vec<u8> = (0..2000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let kinds: [&[u8]; 4] = [b"GET / HTTP/1.1\r\n\r\n", &[0; 64], &[0xff; 300], &noise];
        for bytes in kinds {
            let mut stream = dial(address)?;
            // The other side may have closed before all of it was written: that is an answer, too.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            closes(&mut stream)?;
        }
        Ok(())
    })
}

/// Half of a login packet, then silence: other clients must not wait for it. The connection may live until a time-out.
fn half_open(netns: &Netns, address: SocketAddr) -> Result<()> {
    inside(netns, move || {
        let mut open = Vec::new();
        for _ in 0..20 {
            let mut stream = dial(address)?;
            stream.write_all(&[0x60, 0, 0, 1, 0x85, 0xa6])?;
            open.push(stream);
        }
        std::thread::sleep(Duration::from_millis(800));
        Ok(())
    })
}

fn wrong_password(netns: &Netns, address: Ipv4Addr) -> Result<()> {
    let account = Account { password: "not it".into(), ..probe::account(address, 6033) };
    let failure = inside(netns, move || {
        let attempt = runtime()?.block_on(Client::connect(&account));
        Ok(attempt.err())
    })?;
    match failure {
        Some(Failure::Server { code: 1045, message }) if message.contains("load_RW") => Ok(()),
        other => bail!("wanted error 1045 that names the user, got {other:?}"),
    }
}

/// A login packet that announces 16 MB and goes on and on.
fn oversized(netns: &Netns, address: SocketAddr) -> Result<()> {
    inside(netns, move || {
        let mut stream = dial(address)?;
        stream.write_all(&[0xff, 0xff, 0xff, 1])?;
        for _ in 0..256 {
            if stream.write_all(&[0x41; 65_536]).is_err() {
                break;
            }
        }
        closes(&mut stream).map(drop)
    })
}

/// The first virtual router's identifier, as the article has it and as ours is derived.
const VRID: u8 = 51;

fn advert(stage: &Stage) -> Vec<u8> {
    vrrp::advert(VRID, stage.vip())
}

/// Sends it to everybody, several times; the master must stay, and its vrrpd must have counted the drop.
fn vrrp_drop(stage: &Stage, host: usize, packet: &[u8], ttl: u8, name: &str) -> Result<()> {
    let client = stage.cluster.client()?;
    let host = stage.host(host);
    let before = counter(host, name)?;
    let unicast = stage.cluster.hosts.iter().map(|h| h.address).collect();
    let packets = vec![packet.to_vec(); 5];
    vrrp::send(&client, packets, ttl, unicast)?;
    let counted = || counter(host, name).is_ok_and(|after| after > before);
    wait::until(&format!("{name} above {before} for adverts from {CLIENT_ADDRESS}"), LIMIT, counted).map(drop)
}

/// One of the counters in vrrpd's status; they have keepalived's names.
fn counter(host: &Host, name: &str) -> Result<u64> {
    let text = host.control("vrrpd.sock", "status")?;
    let status: serde_json::Value =
        serde_json::from_str(text.trim()).with_context(|| format!("vrrpd says {text}"))?;
    let value = status.get("counters").and_then(|counters| counters.get(name));
    value.and_then(serde_json::Value::as_u64).with_context(|| format!("no counter {name} in {text}"))
}

/// Every daemon refuses it at once, and says which key.
fn unknown_key(host: &Host, binaries: &std::path::Path) -> Result<()> {
    let path = host.directory().join("unknown.toml");
    let text = std::fs::read_to_string(host.config())?;
    std::fs::write(&path, format!("grase_ms = 7\n{text}"))?;
    for program in ["standfast-angel", "standfast-vrrpd"] {
        let output = Command::new(binaries.join(program))
            .arg("--config")
            .arg(&path)
            .args(["--host", &host.name])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!output.status.success(), "{program} accepted it");
        ensure!(said.contains("grase_ms"), "{program} does not name the key: {said}");
    }
    Ok(())
}
