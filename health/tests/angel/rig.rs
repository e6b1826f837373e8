//! One angel in a directory of its own, and a client's eyes on it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use health::feed::{self, Report};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::store::Store;

const ANGEL: &str = env!("CARGO_BIN_EXE_standfast-angel");
/// Long enough for a busy machine; what takes as long as this has failed.
const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct Rig {
    pub(crate) dir: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) angel: Option<Child>,
    pub(crate) store: Option<Store>,
}

impl Rig {
    /// A directory with a configuration, nothing started.
    pub(crate) fn new() -> Rig {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("standfast-angel-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (mysql, admin) = (free_address(), free_address());
        fs::write(dir.join("standfast.toml"), configuration(&dir, mysql, admin)).unwrap();
        let this = std::env::current_exe().unwrap();
        let proxyd = dir.join("standfast-proxyd");
        if fs::hard_link(&this, &proxyd).is_err() {
            fs::copy(&this, &proxyd).unwrap();
        }
        Rig { dir, address: mysql, angel: None, store: None }
    }

    pub(crate) fn started() -> Rig {
        let mut rig = Rig::new();
        rig.start();
        rig.wait_for("serving");
        rig
    }

    /// With the fd store, if there is one.
    pub(crate) fn start(&mut self) {
        let mut command = match &mut self.store {
            Some(store) => {
                store.drain();
                store.command(ANGEL)
            }
            None => Command::new(ANGEL),
        };
        command.arg("--config").arg(self.dir.join("standfast.toml")).args(["--host", "test1"]);
        command.env("STANDFAST_PROXYD", self.dir.join("standfast-proxyd"));
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log")).unwrap();
        self.angel = Some(command.stdin(Stdio::null()).stderr(log).spawn().unwrap());
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub(crate) fn connect(&self) -> Option<UnixStream> {
        let stream = UnixStream::connect(self.dir.join("run/angel.sock")).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(stream)
    }

    /// One request, one answer.
    pub(crate) fn ask(&self, request: &str) -> Option<Value> {
        let mut stream = self.connect()?;
        stream.write_all(format!("{request}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    pub(crate) fn status(&self) -> Value {
        until("the status", || self.ask("status"))
    }

    /// Waits for a verdict, or for a cause.
    pub(crate) fn wait_for(&self, word: &str) -> Value {
        until(word, || {
            self.ask("status").filter(|status| status["verdict"] == word || status["cause"] == word)
        })
    }

    pub(crate) fn proxy(&self) -> Pid {
        until("a proxy", || self.ask("status").and_then(|status| status["proxy"]["pid"].as_i64()).map(pid))
    }

    pub(crate) fn angel_pid(&self) -> Pid {
        pid(i64::from(self.angel.as_ref().unwrap().id()))
    }

    /// Kills the angel and waits for its end.
    pub(crate) fn kill_angel(&mut self) {
        let mut angel = self.angel.take().unwrap();
        angel.kill().unwrap();
        angel.wait().unwrap();
    }

    pub(crate) fn subscribe(&self) -> Feed {
        let mut stream = self.connect().unwrap();
        stream.write_all(feed::SUBSCRIBE.as_bytes()).unwrap();
        Feed { lines: BufReader::new(stream) }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the angel's log\n{}---", self.log());
        }
        if self.angel.is_some() {
            self.kill_angel();
        }
        let proxy = fs::read_to_string(self.dir.join("run/proxyd.pid"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        // Only if it is still ours: the program runs from this rig's directory.
        if let Some(proxy) = proxy
            && fs::read_link(format!("/proc/{proxy}/exe")).is_ok_and(|exe| exe.starts_with(&self.dir))
        {
            let _ = kill(pid(proxy), Signal::SIGKILL);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A subscription to the angel.
pub(crate) struct Feed {
    lines: BufReader<UnixStream>,
}

impl Feed {
    /// The next report; `None` once the angel is gone.
    pub(crate) fn next(&mut self) -> Option<Report> {
        let mut line = Vec::new();
        self.lines.read_until(b'\n', &mut line).ok()?;
        feed::decode(line.strip_suffix(b"\n")?).ok()
    }

    /// The verdicts and causes, without repetition, up to and with this one.
    pub(crate) fn changes_until(&mut self, verdict: &str, cause: &str) -> Vec<String> {
        let wanted = format!("{verdict} {cause}");
        let mut changes = Vec::new();
        let give_up = Instant::now() + PATIENCE;
        while changes.last() != Some(&wanted) {
            assert!(Instant::now() < give_up, "no {wanted:?} after {changes:?}");
            let report = self.next().expect("a report");
            let change = format!("{} {}", report.verdict, report.cause);
            if changes.last() != Some(&change) {
                changes.push(change);
            }
        }
        changes
    }
}

/// A client that connects every 5 ms, each time waiting for the answer.
pub(crate) struct Client {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) answers: u32,
    /// The connection could not be made.
    pub(crate) refused: u32,
    /// It was made, and closed without an answer.
    pub(crate) broken: u32,
    /// The longest wait for an answer.
    pub(crate) longest: Duration,
}

impl Client {
    pub(crate) fn start(address: SocketAddr) -> Client {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            while !told.load(Ordering::Relaxed) {
                let begin = Instant::now();
                seen.count(one_query(address));
                seen.longest = seen.longest.max(begin.elapsed());
                thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        Client { stop, thread }
    }

    pub(crate) fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Seen {
    fn count(&mut self, outcome: Result<bool, std::io::Error>) {
        match outcome {
            Ok(true) => self.answers += 1,
            Ok(false) => self.broken += 1,
            Err(_) => self.refused += 1,
        }
    }
}

/// `Err`: refused. `Ok(false)`: no answer.
fn one_query(address: SocketAddr) -> Result<bool, std::io::Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    Ok(stream.read_to_string(&mut answer).is_ok() && !answer.is_empty())
}

pub(crate) fn pid(number: i64) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap())
}

/// Asks every few milliseconds until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < give_up, "no {what}");
        thread::sleep(Duration::from_millis(3));
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn configuration(dir: &Path, mysql: SocketAddr, admin: SocketAddr) -> String {
    let (run_dir, data_dir) = (dir.join("run"), dir.join("data"));
    format!(
        r#"
[[hosts]]
name = "test1"
address = "127.0.0.1"

[[hosts]]
name = "test2"
address = "127.0.0.2"

[[vip]]
address = "192.0.2.88/24"
router_id = 51

[angel]
drain_s = 2

[proxy]
workers = 2
mysql_listen = ["{mysql}"]
admin_listen = ["{admin}"]

[paths]
run_dir = "{}"
data_dir = "{}"
"#,
        run_dir.display(),
        data_dir.display()
    )
}
