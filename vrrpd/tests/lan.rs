//! Two hosts in network namespaces, with the real binary, a real kernel and a liveness feed of our own.
//!
//! Needs root and `ip`; without root it says so and passes. The big lab is in `vm-tests`.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const VIP: &str = "10.77.0.88";
const VIP_V6: &str = "fd00:77::88";

/// What the hosts speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    V4,
    V6Unicast,
    /// The hosts themselves are known by IPv4 addresses.
    V6Multicast,
}

/// The verdict that the feed of a host reports.
type Verdict = Arc<Mutex<&'static str>>;

struct Lan {
    wire: Wire,
    name: String,
    dir: PathBuf,
    verdicts: Vec<Verdict>,
    daemons: Vec<Option<Child>>,
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Lan {
    fn new(label: &str, wire: Wire, hosts: usize) -> Lan {
        let name = format!("vrrpd{}{label}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        ip(&format!("netns add {name}-hub"));
        ip(&format!("-n {name}-hub link add br0 type bridge"));
        ip(&format!("-n {name}-hub link set br0 up"));
        let mut lan = Lan { wire, name, dir, verdicts: Vec::new(), daemons: Vec::new() };
        (1..=hosts).for_each(|host| lan.add_host(host, hosts));
        lan
    }

    fn add_host(&mut self, host: usize, hosts: usize) {
        let (name, hub) = (self.namespace(host), format!("{}-hub", self.name));
        ip(&format!("netns add {name}"));
        ip(&format!("-n {hub} link add p{host} type veth peer name eth0 netns {name}"));
        ip(&format!("-n {hub} link set p{host} master br0 up"));
        ip(&format!("-n {name} addr add 10.77.0.1{host}/24 dev eth0"));
        ip(&format!("-n {name} addr add fd00:77::1{host}/64 dev eth0 nodad"));
        ip(&format!("-n {name} link set eth0 up"));
        let run_dir = self.run_dir(host);
        fs::create_dir_all(&run_dir).unwrap();
        fs::write(self.config(host), config(&run_dir, self.wire, hosts)).unwrap();
        let verdict = Verdict::new(Mutex::new("serving"));
        let listener = UnixListener::bind(run_dir.join("angel.sock")).unwrap();
        let reported = Arc::clone(&verdict);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let reported = Arc::clone(&reported);
                thread::spawn(move || feed(stream, &reported));
            }
        });
        self.verdicts.push(verdict);
        self.daemons.push(None);
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }

    fn run_dir(&self, host: usize) -> PathBuf {
        self.dir.join(format!("test{host}"))
    }

    fn config(&self, host: usize) -> PathBuf {
        self.dir.join(format!("test{host}.toml"))
    }

    fn command(&self, host: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host), env!("CARGO_BIN_EXE_standfast-vrrpd")]);
        command.arg("--config").arg(self.config(host)).args(["--host", &format!("test{host}")]);
        command.stderr(Stdio::null());
        command
    }

    fn start(&mut self, host: usize) {
        self.daemons[host - 1] = Some(self.command(host).spawn().unwrap());
    }

    fn kill(&mut self, host: usize) {
        let mut daemon = self.daemons[host - 1].take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    fn terminate(&mut self, host: usize) {
        let mut daemon = self.daemons[host - 1].take().unwrap();
        let status = Command::new("kill").arg(daemon.id().to_string()).status().unwrap();
        assert!(status.success());
        assert!(daemon.wait().unwrap().success(), "a clean stop");
    }

    fn say(&self, host: usize, verdict: &'static str) {
        *self.verdicts[host - 1].lock().unwrap() = verdict;
    }

    /// `ip` on a host.
    fn ip(&self, host: usize, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.namespace(host)));
    }

    /// The answer of a vrrpd's control socket.
    fn ask(&self, host: usize, request: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = UnixStream::connect(self.run_dir(host).join("vrrpd.sock")) {
            let _ =
                writeln!(stream, "{request}").and_then(|()| stream.read_to_string(&mut answer).map(|_| ()));
        }
        answer
    }

    /// What a host's vrrpd tells of from now on; the first line is its status.
    fn follow(&self, host: usize) -> impl Iterator<Item = String> + use<> {
        let mut stream = UnixStream::connect(self.run_dir(host).join("vrrpd.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        writeln!(stream, "events").unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        assert!(lines.next().unwrap().contains("\"routers\""));
        lines
    }

    fn wait_for_state(&self, host: usize, state: &str) {
        let end = Instant::now() + Duration::from_secs(10);
        while !self.ask(host, "status").contains(&format!("\"state\":\"{state}\"")) {
            assert!(Instant::now() < end, "expected {state}: {}", self.ask(host, "status"));
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn holds(&self, host: usize) -> bool {
        let vip = if self.wire == Wire::V4 { VIP } else { VIP_V6 };
        ip(&format!("-n {} -o addr show dev eth0", self.namespace(host))).contains(&format!(" {vip}/"))
    }

    fn holders(&self) -> Vec<usize> {
        (1..=self.daemons.len()).filter(|host| self.holds(*host)).collect()
    }

    fn wait_for(&self, holders: &[usize]) {
        let end = Instant::now() + Duration::from_secs(10);
        while self.holders() != holders {
            assert!(Instant::now() < end, "expected {holders:?}, found {:?}", self.holders());
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for daemon in self.daemons.iter_mut().flatten() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        (1..=self.daemons.len()).for_each(|host| drop(ip(&format!("netns del {}", self.namespace(host)))));
        ip(&format!("netns del {}-hub", self.name));
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn config(run_dir: &Path, wire: Wire, hosts: usize) -> String {
    let mut text = String::new();
    for host in 1..=hosts {
        let net = if wire == Wire::V6Unicast { "fd00:77::1" } else { "10.77.0.1" };
        text += &format!("[[hosts]]\nname = \"test{host}\"\naddress = \"{net}{host}\"\n\n");
    }
    let prefer: Vec<String> = (1..=hosts).map(|host| format!("\"test{host}\"")).collect();
    text += "[vrrp]\nversion = 3\nadvert_ms = 200\nfailback = \"never\"\n";
    let transport = if wire == Wire::V6Multicast { "multicast" } else { "unicast" };
    text += &format!("transport = \"{transport}\"\n\n");
    let vips = match wire {
        Wire::V4 => format!("\"{VIP}/32\""),
        Wire::V6Unicast | Wire::V6Multicast => format!("[\"fe80::88\", \"{VIP_V6}/64\"]"),
    };
    text += &format!("[[vip]]\nname = \"VI_01\"\naddress = {vips}\nprefer = [{}]\n\n", prefer.join(", "));
    text += &format!("[paths]\nrun_dir = \"{}\"\n", run_dir.display());
    text
}

/// Runs something inside a network namespace.
fn inside<T: Send + 'static>(namespace: &str, what: impl FnOnce() -> T + Send + 'static) -> T {
    let file = fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    let thread = thread::spawn(move || {
        // SAFETY: setns(2) with an open descriptor changes the namespace of this thread alone.
        assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        what()
    });
    thread.join().unwrap()
}

/// A connection to the VIP: the end on the host, and the end of the client, which does not wait for ever.
fn connection(host: &str, client: &str) -> (TcpStream, TcpStream) {
    let vip = SocketAddr::new(VIP_V6.parse().unwrap(), 7000);
    let listener = inside(host, move || TcpListener::bind(vip).unwrap());
    let client = inside(client, move || TcpStream::connect_timeout(&vip, Duration::from_secs(5)).unwrap());
    client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    (listener.accept().unwrap().0, client)
}

fn feed(mut stream: UnixStream, verdict: &Verdict) {
    loop {
        let word = *verdict.lock().unwrap();
        let report = "cause=test since_ms=1 restarts=0 sessions=0 backends=1/1";
        if writeln!(stream, "standfast-health 1 verdict={word} {report}").is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_hosts_and_one_vip() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("", Wire::V4, 2);
    lan.start(1);
    lan.wait_for(&[1]);
    lan.start(2);
    thread::sleep(Duration::from_millis(1_000));
    assert_eq!(lan.holders(), [1]);

    // A killed vrrpd that is back inside the interval: the VIP never moves, and never leaves the interface.
    lan.kill(1);
    assert!(lan.command(1).arg("--cleanup").status().unwrap().success());
    lan.start(1);
    let end = Instant::now() + Duration::from_secs(1);
    while Instant::now() < end {
        assert_eq!(lan.holders(), [1]);
        thread::sleep(Duration::from_millis(10));
    }

    lan.say(1, "restarting");
    thread::sleep(Duration::from_millis(700));
    assert_eq!(lan.holders(), [1], "inside the grace");
    let mut events = lan.follow(2);
    lan.say(1, "draining");
    lan.wait_for(&[2]);
    let told = events.find(|line| line.contains("\"event\":\"state\"")).unwrap();
    assert!(told.contains("\"next\":\"MASTER\"") && told.contains("master-resigned"), "{told}");
    let status = lan.ask(2, "status");
    assert!(status.contains("\"transitions\":[{") && status.contains("\"name\":\"test1\""), "{status}");
    lan.say(1, "serving");

    // An operator moves it there and back; adverts are 200 ms apart.
    lan.wait_for_state(1, "BACKUP");
    assert!(lan.ask(1, "seize VI_01").contains("\"ok\":true"));
    lan.wait_for(&[1]);
    lan.wait_for_state(2, "BACKUP");
    assert!(lan.ask(1, "yield VI_01 test9").contains("test2 comes first"));
    thread::sleep(Duration::from_millis(1_000));
    let began = Instant::now();
    assert!(lan.ask(1, "yield VI_01 test2").contains("\"ok\":true"));
    lan.wait_for(&[2]);
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    assert!(lan.ask(1, "yield VI_01").contains("not MASTER"));

    // A clean stop.
    thread::sleep(Duration::from_millis(500));
    lan.terminate(2);
    lan.wait_for(&[1]);

    // A killed vrrpd that stays dead: its address does not.
    lan.start(2);
    thread::sleep(Duration::from_millis(500));
    lan.kill(1);
    assert!(lan.command(1).arg("--cleanup").status().unwrap().success());
    lan.wait_for(&[2]);
}

/// What people and other programs do to the interfaces of a master: FAULT and back, by what is there now.
#[test]
fn one_host_and_what_befalls_its_interfaces() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("f", Wire::V4, 1);
    lan.ip(1, "link set eth0 down");
    lan.ip(1, "link set eth0 name late0");
    lan.start(1);
    lan.wait_for_state(1, "FAULT");
    lan.ip(1, "link set late0 name eth0");
    lan.ip(1, "link set eth0 up");
    lan.wait_for_state(1, "MASTER");
    lan.wait_for(&[1]);

    let began = Instant::now();
    lan.ip(1, &format!("addr del {VIP}/32 dev eth0"));
    lan.wait_for(&[1]);
    assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    assert!(lan.ask(1, "status").contains("\"state\":\"MASTER\""));

    // Somebody else put the VIP there, with another prefix; it goes with the link all the same.
    lan.ip(1, &format!("addr add {VIP}/24 dev eth0"));
    lan.ip(1, &format!("addr del {VIP}/32 dev eth0"));
    lan.ip(1, "link set eth0 down");
    lan.wait_for_state(1, "FAULT");
    lan.wait_for(&[]);
    lan.ip(1, "link set eth0 up");
    lan.wait_for(&[1]);

    // The host's own address goes: so does the VIP, at once, though its router has lost its home by then.
    lan.ip(1, "addr del 10.77.0.11/24 dev eth0");
    lan.wait_for_state(1, "FAULT");
    assert_eq!(lan.holders(), [0; 0]);
    lan.ip(1, "addr add 10.77.0.11/24 dev eth0");
    lan.wait_for(&[1]);

    // A renamed interface is the same to a router that goes by the host's address.
    lan.ip(1, "link set eth0 down");
    lan.ip(1, "link set eth0 name wan0");
    lan.ip(1, "link set wan0 up");
    lan.wait_for_state(1, "MASTER");
    lan.ip(1, "link set wan0 down");
    lan.ip(1, "link set wan0 name eth0");
    lan.ip(1, "link set eth0 up");
    lan.wait_for(&[1]);

    // Asleep for longer than its peers wait: it lets go before it looks at anything else, and competes again.
    let daemon = lan.daemons[0].as_ref().unwrap().id().to_string();
    Command::new("kill").args(["-STOP", &daemon]).status().unwrap();
    thread::sleep(Duration::from_millis(1_500));
    Command::new("kill").args(["-CONT", &daemon]).status().unwrap();
    lan.wait_for(&[]);
    lan.wait_for(&[1]);
    assert!(lan.ask(1, "failback VI_01").contains("not BACKUP"));
    let why = lan.ask(1, &format!("why {VIP}"));
    assert!(why.contains("\"owner\":\"test1\"") && why.contains("\"cause\":\"master-down\""), "{why}");
    assert!(lan.ask(1, "why 10.9.9.9").contains("no VIP"));
}

/// One VIP beside the adverts, one on another interface: both or none.
#[test]
fn a_vip_on_another_interface() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    let mut lan = Lan::new("o", Wire::V4, 1);
    let text = fs::read_to_string(lan.config(1)).unwrap();
    let two = format!("[\"{VIP}/32\", \"10.78.0.88/24 dev other0\"]");
    fs::write(lan.config(1), text.replace(&format!("\"{VIP}/32\""), &two)).unwrap();
    lan.start(1);
    lan.wait_for_state(1, "FAULT");
    lan.ip(1, "link add other0 type veth peer name peer0");
    lan.ip(1, "link set peer0 up");
    lan.ip(1, "link set other0 up");
    lan.wait_for_state(1, "MASTER");
    lan.wait_for(&[1]);
    let namespace = lan.namespace(1);
    let other = || ip(&format!("-n {namespace} -4 -o addr show dev other0"));
    assert!(other().contains(" 10.78.0.88/24 "), "{}", other());
    lan.ip(1, "link set other0 down");
    lan.wait_for_state(1, "FAULT");
    assert_eq!((lan.holders().len(), other().len()), (0, 0));
    lan.ip(1, "link set other0 up");
    lan.wait_for_state(1, "MASTER");
    lan.terminate(1);
    assert_eq!((lan.holders().len(), other().len()), (0, 0));
}

/// IPv6, both ways: takeover, a neighbour that learns of it, a resignation, and no adverts dropped.
#[test]
fn ipv6_by_unicast_and_by_multicast() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: needs root for network namespaces");
        return;
    }
    for (label, wire) in [("u", Wire::V6Unicast), ("m", Wire::V6Multicast)] {
        let mut lan = Lan::new(label, wire, 2);
        let hub = format!("{}-hub", lan.name);
        ip(&format!("-n {hub} addr add fd00:77::99/64 dev br0 nodad"));
        lan.start(1);
        lan.wait_for(&[1]);
        let shown = ip(&format!("-n {} -6 -o addr show dev eth0", lan.namespace(1)));
        let vip = shown.lines().find(|line| line.contains(VIP_V6)).unwrap();
        assert!(!vip.contains("tentative") && vip.contains("deprecated") && vip.contains("/64"), "{vip}");
        let dial = ["timeout", "2", "bash", "-c", &format!("</dev/tcp/{VIP_V6}/1")];
        let dialled = Command::new("ip").args(["netns", "exec", &hub]).args(dial).output().unwrap();
        assert!(String::from_utf8_lossy(&dialled.stderr).contains("refused"), "{dialled:?}");
        let neighbour = || ip(&format!("-n {hub} -6 neigh show {VIP_V6}"));
        let first = neighbour();
        assert!(first.contains("lladdr"), "{first}");
        lan.start(2);
        lan.wait_for_state(2, "BACKUP");
        thread::sleep(Duration::from_millis(1_000));
        assert_eq!(lan.holders(), [1], "{wire:?}");
        let (served, mut client) = connection(&lan.namespace(1), &hub);
        lan.say(1, "draining");
        lan.wait_for(&[2]);
        let ended = client.read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(
            ended,
            Err(ErrorKind::ConnectionReset),
            "a client learns at once that its server has moved"
        );
        drop(served);
        thread::sleep(Duration::from_millis(300));
        let second = neighbour();
        assert!(second.contains("lladdr") && second != first, "told by nobody but the new master: {second}");
        let status = lan.ask(2, "status");
        let fine = ["\"ip_ttl_err\":0", "\"checksum_err\":0", "\"addr_list_err\":0", "\"pri_zero_rcvd\":1"];
        assert!(fine.iter().all(|counter| status.contains(counter)), "{status}");
        assert!(
            status.contains("\"master\":\"test2\""),
            "by its name, whatever address it sends from: {status}"
        );
        lan.terminate(2);
        lan.wait_for(&[]);
        lan.say(1, "serving");
        lan.wait_for(&[1]);
        lan.terminate(1);
        assert_eq!(lan.holders(), [0; 0]);
    }
}
