//! What stands around the commands: PROXY headers, compression.

use anyhow::{Context, Result, ensure};

use super::maria::Maria;
use crate::checks::mysql97::Bench;
use crate::checks::runner::Runner;
use crate::mysql97::connectors;

pub(crate) fn run(runner: &mut Runner, bench: &Bench, maria: &Maria) {
    runner.check("connectors/login: ed25519 at MariaDB", || ed25519(bench));
    runner.check("connectors/ipv6: clients and servers", || ipv6(bench, maria));
    runner.check("connectors/attributes: dropped where a server knows none", || attributes(bench));
    runner.check("connectors/binlog: a dump through an ordinary user's session", || binlog(bench, maria));
    runner.check("connectors/proxy: a trusted proxy's header says who the client is", || header_in(bench));
    runner.check("connectors/compression: zlib and zstd with clients, none where it is off", || {
        compressed_clients(bench)
    });
    runner.check("connectors/compression: zstd with MySQL, zlib with MariaDB", || compressed_backends(bench));
    runner.check("connectors/proxy: a backend is told who the client is", || header_out(bench, maria));
}

fn ed25519(bench: &Bench) -> Result<()> {
    bench.prints("mysql97 -uedward -pedward-pw -e 'select current_user()'", "edward@%")?;
    bench.fails("mysql97 -uedward -pwrong -e 'select 1'", "1045")
}

fn ipv6(bench: &Bench, maria: &Maria) -> Result<()> {
    let client = "raw97 -N -h ::1 -P 6033";
    bench.prints(&format!("{client} -uclear -pclear-pw -e 'select current_user()'"), "clear@%")?;
    bench.prints(&format!("{client} -usix -psix-pw -e 'select current_user()'"), "six@%")?;
    let host = maria.query("SELECT DISTINCT host FROM information_schema.processlist WHERE user = 'six'")?;
    ensure!(host.contains("::1"), "the server sees {host}");
    let listed =
        "admin \"SELECT SessionID FROM stats_mysql_processlist WHERE cli_host = '::1' AND user = 'six'\"";
    let held = format!(
        "{client} -usix -psix-pw -e 'select sleep(50) from dual' > /dev/null 2>&1 & \
         until id=$({listed}) && [ -n \"$id\" ]; do sleep 0.05; done; admin \"KILL CONNECTION $id\"; wait"
    );
    bench.ok(&held).context("a session from ::1").map(drop)
}

/// By text, and in an execution: a parameter with a name, and an attribute beside it.
fn attributes(bench: &Bench) -> Result<()> {
    let script = "printf 'query_attributes k v\\nSELECT 41 + 1;\\nSELECT 43;\\n' | mysql97 -umaria -pmaria-pw --commands";
    bench.prints(script, "42\n43")?;
    let script = "import struct, sys, mysql.connector\n\
        c = mysql.connector.connect(host='127.0.97.2', port=6033, user='maria', password='maria-pw', use_pure=True, charset='utf8mb4', collation='utf8mb4_general_ci')\n\
        i = c.cmd_stmt_prepare(b'select hex(?)')['statement_id']\n\
        for values in (b'\\x02\\0\\x01\\x01\\0\\0\\xfe\\0\\x01k\\x07\\x01v', b'\\x01\\0\\0\\x08'):\n    \
            answer = c._send_cmd(0x17, struct.pack('<IBI', i, 8, 1) + values)\n    \
            columns = c._handle_binary_result(answer)[1]\n    \
            rows = c._protocol.read_binary_result(c._socket, columns, count=-1)[0]\n    \
            print(bytes(rows[0][0], 'ascii') if isinstance(rows[0][0], str) else bytes(rows[0][0]))\n";
    bench.write("attributes.py", script)?;
    let python = connectors::python()?;
    bench.prints(&format!("{} attributes.py 2>&1 | tail -c 400", python.display()), "b'7'\nb'8'")
}

fn binlog(bench: &Bench, maria: &Maria) -> Result<()> {
    maria.query(
        "CREATE TABLE test.logged (i INT); INSERT INTO test.logged VALUES (4711); FLUSH BINARY LOGS",
    )?;
    let dump =
        "mariadb-binlog --no-defaults --read-from-remote-server -h 127.0.97.2 -P 6033 -umaria -pmaria-pw";
    let text = bench.ok(&format!("{dump} binlog.000001"))?;
    ensure!(text.contains("CREATE TABLE test.logged"), "the dump has no such statement");
    // One that waits for more, and is killed.
    maria.query("CREATE TABLE test.later (i INT)")?;
    let wait = format!("timeout 50 {dump} --stop-never binlog.000002 > dump.txt & pid=$!");
    let seen =
        "for i in $(seq 800); do grep -q 'CREATE TABLE test.sooner' dump.txt && break; sleep 0.05; done";
    let make = "mysql97 -umaria -pmaria-pw -e 'CREATE TABLE test.sooner (i INT)'";
    bench.ok(&format!("{wait}; {make}; {seen}; kill $pid; grep -c 'CREATE TABLE test' dump.txt"))?;
    Ok(())
}

fn compressed_clients(bench: &Bench) -> Result<()> {
    let there =
        "(printf \"select length('\"; head -c 20000000 /dev/zero | tr '\\0' x; printf \"') as l, 'end'\")";
    let ways = [
        "mysql97 --compression-algorithms=zlib",
        "mysql97 --compression-algorithms=zstd",
        "mysql97 --compression-algorithms=zlib --ssl-mode=DISABLED",
        "mysql97 --compression-algorithms=zstd --zstd-compression-level=19 --ssl-mode=DISABLED",
        "mariadb --compress",
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let client = format!("{way} -uclear -pclear-pw --max-allowed-packet=64M");
        if number < 2 {
            let sent = bench.prints(&format!("{there} | {client}"), "20000000\tend");
            sent.with_context(|| format!("{way}, there"))?;
        }
        let back = format!("{client} -e \"select repeat('y', 1000000)\" | wc -c");
        bench.prints(&back, "1000001").with_context(|| format!("{way}, back"))?;
        bench.prints(&format!("{client} -e 'select 1; select 2; begin; select 3; commit'"), "1\n2\n3")?;
    }
    let protocol =
        "mysql97 --compression-algorithms=zlib,uncompressed -uclear -pclear-pw --commands -e status";
    ensure!(bench.ok(protocol)?.contains("Compressed"), "it is not compressed");
    let switch = |to: bool| {
        bench.ok(&format!("admin \"SET mysql-have_compress='{to}'; LOAD MYSQL VARIABLES TO RUNTIME\""))
    };
    switch(false)?;
    let said = bench.ok(protocol);
    switch(true)?;
    ensure!(!said?.contains("Compressed"), "it is compressed");
    Ok(())
}

fn compressed_backends(bench: &Bench) -> Result<()> {
    let set = |to: u8| {
        bench.ok(&format!(
            "admin \"UPDATE mysql_servers SET compression = {to}; LOAD MYSQL SERVERS TO RUNTIME\""
        ))
    };
    set(1)?;
    bench.forget_backends("clear")?;
    bench.forget_backends("tls")?;
    let status = "SELECT GROUP_CONCAT(variable_value ORDER BY variable_name) FROM performance_schema.session_status \
                  WHERE variable_name IN ('Compression', 'Compression_algorithm')";
    for user in ["clear", "tls"] {
        bench.prints(&format!("mysql97 -u{user} -p{user}-pw -e \"{status}\""), "ON,zstd").context(user)?;
    }
    let maria = "mariadb -umaria -pmaria-pw";
    // A new connection: the one in the pool is older.
    bench.prints(
        &format!("{maria} -e \"/* create_new_connection=1 */ SHOW SESSION STATUS LIKE 'Compression'\""),
        "Compression\tON",
    )?;
    for client in ["mysql97 -uclear -pclear-pw", "mysql97 -utls -ptls-pw", maria] {
        for compressed in ["", "--compress"] {
            let client = format!("{client} {compressed}");
            let back =
                format!("{client} --max-allowed-packet=64M -e \"select repeat('y', 1000000)\" | wc -c");
            bench.prints(&back, "1000001").with_context(|| client.clone())?;
            let script = "use other; set @a = 1, sql_mode = ''; select @a, @@sql_mode, database()";
            bench
                .prints(&format!("{client} -e \"{script}\""), "1\t\tother")
                .with_context(|| client.clone())?;
        }
    }
    set(0).map(drop)
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
         for i in $(seq 800); do [ -s said ] && break; sleep 0.02; done; cat said; \
         admin \"SELECT cli_host || ':' || cli_port FROM stats_mysql_processlist WHERE user = 'nopw'\"; \
         exec 9>&-; for i in $(seq 800); do \
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
