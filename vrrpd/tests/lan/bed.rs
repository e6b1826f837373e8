//! The hosts, their link, and the proxies' verdicts.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

pub(crate) const VIP: &str = "10.77.0.88";
pub(crate) const VIP_V6: &str = "fd00:77::88";

/// What the hosts speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    V4,
    V6Unicast,
    /// The hosts themselves are known by IPv4 addresses.
    V6Multicast,
}

/// The verdict that the feed of a host reports.
type Verdict = Arc<Mutex<&'static str>>;

pub(crate) struct Lan {
    wire: Wire,
    pub(crate) name: String,
    dir: PathBuf,
    verdicts: Vec<Verdict>,
    pub(crate) daemons: Vec<Option<Child>>,
}

/// Milliseconds between adverts. A machine that is slow has them further apart.
fn advert_ms() -> u64 {
    std::env::var("VRRPD_ADVERT_MS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

/// For whatever comes in the end: fifty adverts.
pub(crate) fn patience() -> Duration {
    Duration::from_millis(50 * advert_ms())
}

/// Until a master has been heard alone for long enough that whoever is first in line succeeds it at once.
pub(crate) fn calm() {
    thread::sleep(Duration::from_millis(4 * advert_ms()));
}

pub(crate) fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

impl Lan {
    pub(crate) fn new(label: &str, wire: Wire, hosts: usize) -> Lan {
        let name = format!("vrrpd{}{label}", std::process::id());
        let dir = std::env::temp_dir().join(&name);
        ip(&format!("netns add {name}-hub"));
        ip(&format!("-n {name}-hub link add br0 type bridge forward_delay 0"));
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

    pub(crate) fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }

    pub(crate) fn run_dir(&self, host: usize) -> PathBuf {
        self.dir.join(format!("test{host}"))
    }

    pub(crate) fn config(&self, host: usize) -> PathBuf {
        self.dir.join(format!("test{host}.toml"))
    }

    pub(crate) fn command(&self, host: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host), env!("CARGO_BIN_EXE_standfast-vrrpd")]);
        command.arg("--config").arg(self.config(host)).args(["--host", &format!("test{host}")]);
        command.stderr(Stdio::null());
        command
    }

    pub(crate) fn start(&mut self, host: usize) {
        self.daemons[host - 1] = Some(self.command(host).spawn().unwrap());
    }

    pub(crate) fn kill(&mut self, host: usize) {
        let mut daemon = self.daemons[host - 1].take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub(crate) fn terminate(&mut self, host: usize) {
        let mut daemon = self.daemons[host - 1].take().unwrap();
        let status = Command::new("kill").arg(daemon.id().to_string()).status().unwrap();
        assert!(status.success());
        assert!(daemon.wait().unwrap().success(), "a clean stop");
    }

    pub(crate) fn signal(&self, host: usize, signal: &str) {
        let pid = self.daemons[host - 1].as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    pub(crate) fn say(&self, host: usize, verdict: &'static str) {
        *self.verdicts[host - 1].lock().unwrap() = verdict;
    }

    /// `ip` on a host.
    pub(crate) fn ip(&self, host: usize, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.namespace(host)));
    }

    /// arp_ignore and arp_announce of a host's interface.
    pub(crate) fn arp(&self, host: usize) -> String {
        let files = ["arp_ignore", "arp_announce"].map(|name| format!("/proc/sys/net/ipv4/conf/eth0/{name}"));
        let output =
            Command::new("ip").args(["netns", "exec", &self.namespace(host), "cat"]).args(files).output();
        String::from_utf8_lossy(&output.unwrap().stdout).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Sets what a host's kernel has below `/proc/sys/net`.
    pub(crate) fn set(&self, host: usize, path: &str, value: &str) {
        let write = format!("echo {value} > /proc/sys/net/{path}");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(host), "sh", "-c", &write]);
        assert!(command.status().unwrap().success());
    }

    /// The answer of a vrrpd's control socket.
    pub(crate) fn ask(&self, host: usize, request: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = UnixStream::connect(self.run_dir(host).join("vrrpd.sock")) {
            let _ =
                writeln!(stream, "{request}").and_then(|()| stream.read_to_string(&mut answer).map(|_| ()));
        }
        answer
    }

    /// What a host's vrrpd tells of from now on; the first line is its status.
    pub(crate) fn follow(&self, host: usize) -> impl Iterator<Item = String> + use<> {
        let mut stream = UnixStream::connect(self.run_dir(host).join("vrrpd.sock")).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        writeln!(stream, "events").unwrap();
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        assert!(lines.next().unwrap().contains("\"routers\""));
        lines
    }

    /// Until something holds, on these hosts or of them.
    pub(crate) fn wait_until(&self, what: &str, holds: impl FnMut() -> bool) {
        let told = || (1..=self.daemons.len()).map(|host| self.ask(host, "status")).collect();
        wait_until(what, told, holds);
    }

    pub(crate) fn wait_for_state(&self, host: usize, state: &str) {
        let is = || {
            serde_json::from_str::<Value>(&self.ask(host, "status")).ok()?["routers"][0]["state"]
                .as_str()
                .map(|it| it == state)
        };
        self.wait_until(&format!("{state} at {host}"), || is() == Some(true));
    }

    fn holds(&self, host: usize) -> bool {
        let vip = if self.wire == Wire::V4 { VIP } else { VIP_V6 };
        ip(&format!("-n {} -o addr show dev eth0", self.namespace(host))).contains(&format!(" {vip}/"))
    }

    pub(crate) fn holders(&self) -> Vec<usize> {
        (1..=self.daemons.len()).filter(|host| self.holds(*host)).collect()
    }

    pub(crate) fn wait_for(&self, holders: &[usize]) {
        let told = || format!("found {:?}", self.holders());
        wait_until(&format!("holders {holders:?}"), told, || self.holders() == holders);
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
    text += &format!("[vrrp]\nversion = 3\nadvert_ms = {}\nfailback = \"never\"\n", advert_ms());
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

/// Until something holds; what is told if it does not is asked for then.
pub(crate) fn wait_until(what: &str, told: impl Fn() -> String, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + patience();
    while !holds() {
        assert!(Instant::now() < end, "{what}: {}", told());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs something inside a network namespace.
pub(crate) fn inside<T: Send + 'static>(namespace: &str, what: impl FnOnce() -> T + Send + 'static) -> T {
    let file = fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    let thread = thread::spawn(move || {
        // SAFETY: setns(2) with an open descriptor changes the namespace of this thread alone.
        assert_eq!(unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) }, 0);
        what()
    });
    thread.join().unwrap()
}

/// A connection to the VIP: the end on the host, and the end of the client, which does not wait for ever.
pub(crate) fn connection(host: &str, client: &str) -> (TcpStream, TcpStream) {
    let vip = SocketAddr::new(VIP_V6.parse().unwrap(), 7000);
    let listener = inside(host, move || TcpListener::bind(vip).unwrap());
    let client = inside(client, move || TcpStream::connect_timeout(&vip, patience()).unwrap());
    client.set_read_timeout(Some(patience())).unwrap();
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
