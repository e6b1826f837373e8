//! What stands around the commands: PROXY headers.

use anyhow::{Context, Result, ensure};

use super::maria::Maria;
use crate::checks::mysql97::Bench;
use crate::checks::runner::Runner;

pub(crate) fn run(runner: &mut Runner, bench: &Bench, maria: &Maria) {
    runner.check("connectors/proxy: a trusted proxy's header says who the client is", || header_in(bench));
    runner.check("connectors/proxy: a backend is told who the client is", || header_out(bench, maria));
}

/// Sends bytes to the proxy ahead of everything, after the greeting, and prints what the process list says of the client.
const HEADER: &str = r#"
import socket, struct, sys
header, wait = bytes.fromhex(sys.argv[1]), sys.argv[2] == "late"
s = socket.create_connection(("127.0.97.2", 6033))
s.settimeout(5)
def packet():
    head = b""
    while len(head) < 4: head += s.recv(4 - len(head)) or sys.exit("closed")
    length = int.from_bytes(head[:3], "little")
    body = b""
    while len(body) < length: body += s.recv(length - len(body))
    return body
if not wait: s.sendall(header)
packet()
user = b"nopw\0" + b"\0" + b"mysql_native_password\0"
hello = struct.pack("<IIB23x", 0x00080200 | 0x8000, 1 << 24, 45) + user
hello = len(hello).to_bytes(3, "little") + b"\1" + hello
if wait: s.sendall(header + hello)
else: s.sendall(hello)
answer = packet()
if answer[0] == 0xfe:
    s.sendall(b"\0\0\0\3")
    answer = packet()
print("in" if answer[0] == 0 else answer)
sys.stdout.flush()
sys.stdin.readline()
"#;

/// The address of the client in the process list, while a script that sent this header is logged in.
fn listed(bench: &Bench, header: &[u8], when: &str) -> Result<String> {
    let hex: String = header.iter().map(|byte| format!("{byte:02x}")).collect();
    bench.write("header.py", HEADER)?;
    bench.ok(&format!(
        "rm -f done; mkfifo done; (python3 header.py {hex} {when} < done > said 2>&1 &) ; exec 9> done; \
         for i in $(seq 100); do [ -s said ] && break; sleep 0.02; done; cat said; \
         admin \"SELECT cli_host || ':' || cli_port FROM stats_mysql_processlist WHERE user = 'nopw'\"; \
         exec 9>&-; for i in $(seq 100); do \
         [ -z \"$(admin \"SELECT 1 FROM stats_mysql_processlist WHERE user = 'nopw'\")\" ] && break; sleep 0.02; done"
    ))
}

fn header_in(bench: &Bench) -> Result<()> {
    let v1 = b"PROXY TCP4 203.0.113.7 198.51.100.1 40000 3306\r\n";
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x08\xc6\x33\x64\x01\x9c\x41\x0c\xea";
    let trust = |networks: &str| {
        bench.ok(&format!(
            "admin \"SET mysql-proxy_protocol_networks='{networks}'; LOAD MYSQL VARIABLES TO RUNTIME\""
        ))
    };
    let said = listed(bench, v1, "early")?;
    ensure!(!said.starts_with("in"), "a header of somebody who is not trusted: {said}");
    trust("127.0.97.0/24, 127.0.0.1")?;
    for when in ["early", "late"] {
        let said = listed(bench, v1, when)?;
        ensure!(said == "in\n203.0.113.7:40000", "version 1, {when}: {said}");
        let said = listed(bench, v2, when)?;
        ensure!(said == "in\n203.0.113.8:40001", "version 2, {when}: {said}");
    }
    let said = listed(bench, b"PROXY UNKNOWN\r\n", "early")?;
    ensure!(said.starts_with("in\n127."), "a proxy that speaks for itself: {said}");
    bench.prints("mysql97 -uclear -pclear-pw -e 'select 1'", "1").context("no header, TLS")?;
    trust("").map(drop)
}

fn header_out(bench: &Bench, maria: &Maria) -> Result<()> {
    let hosts = "SELECT GROUP_CONCAT(DISTINCT SUBSTRING_INDEX(host, ':', 1)) FROM information_schema.processlist \
                 WHERE user = 'maria'";
    let switch = |version: u8| {
        bench.ok(&format!(
            "admin \"REPLACE INTO mysql_hostgroup_attributes (hostgroup_id, hostgroup_settings) \
             VALUES (3, '{{\\\"proxy_protocol\\\":{version}}}'); LOAD MYSQL SERVERS TO RUNTIME\""
        ))
    };
    for (version, bind) in [(1, "127.0.97.41"), (2, "127.0.97.42")] {
        switch(version)?;
        let client = format!("mysql97 --bind-address={bind} -umaria -pmaria-pw");
        let seen = bench.ok(&format!("{client} -e \"{hosts}\""))?;
        ensure!(seen.contains(bind), "the server sees {seen}, not {bind}");
        // The next one is somebody else, and gets another connection.
        let seen = bench.ok(&format!("mysql97 -umaria -pmaria-pw -e \"SELECT user(), {version}\""))?;
        ensure!(seen.starts_with("maria@127.0.0.1"), "{seen}");
    }
    ensure!(maria.query(hosts)?.contains("127.0.97.42"), "its connection is not kept");
    switch(0).map(drop)
}
