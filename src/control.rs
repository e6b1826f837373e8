//! One request to a daemon's control socket: a line out, a JSON line back, both bounded in time and size.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use configs::{File, Paths};
use serde_json::Value;

/// A daemon that takes longer is as good as absent.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than the status of thousands of backends.
const LONGEST_ANSWER: u64 = 16 << 20;

/// The daemon's answer, or why there is none, in words.
pub(crate) fn ask(socket: &Path, request: &str) -> Result<Value, String> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("not running (no {})", socket.display()),
        io::ErrorKind::ConnectionRefused => format!("not running (nobody serves {})", socket.display()),
        io::ErrorKind::PermissionDenied => format!("may not ask {}; try as root", socket.display()),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer within {} s from {}", PATIENCE.as_secs(), socket.display())
        }
        _ => format!("cannot ask {}: {error}", socket.display()),
    };
    let line = exchange(socket, request).map_err(failed)?;
    serde_json::from_str(&line).map_err(|error| format!("{} answers no JSON: {error}", socket.display()))
}

fn exchange(socket: &Path, request: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let give_up = Instant::now() + PATIENCE;
    let mut answer = BufReader::new(Until { stream, give_up }.take(LONGEST_ANSWER));
    let mut line = String::new();
    answer.read_line(&mut line)?;
    Ok(line)
}

/// Reads until a moment, however many pieces the answer comes in.
struct Until {
    stream: UnixStream,
    give_up: Instant,
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.give_up.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// Where the sockets are. A file that is wrong must not keep an operator from seeing what runs.
pub(crate) fn paths(config: &Path) -> Paths {
    match File::load(config) {
        Ok(file) => file.paths().clone(),
        Err(problems) => {
            let paths = Paths::default();
            eprintln!(
                "{problems}\nstandfast: asking the daemons in {} all the same",
                paths.run_dir.display()
            );
            paths
        }
    }
}

/// To standard output; whether anybody reads it.
pub(crate) fn say(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::{env, fs, process, thread};

    use serde_json::json;

    use super::ask;

    /// A daemon that answers one request with this text.
    fn daemon(name: &str, answer: &'static str) -> (PathBuf, thread::JoinHandle<String>) {
        let path = env::temp_dir().join(format!("standfast-cli-{}-{name}.sock", process::id()));
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("bind");
        let heard = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut request = [0; 64];
            let count = stream.read(&mut request).expect("request");
            stream.write_all(answer.as_bytes()).expect("answer");
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        (path, heard)
    }

    #[test]
    fn an_answer_is_one_line_of_json() {
        let (path, heard) = daemon("fine", "{\"verdict\":\"serving\"}\nmore\n");
        assert_eq!(ask(&path, "status"), Ok(json!({ "verdict": "serving" })));
        assert_eq!(heard.join().expect("daemon"), "status\n");
        let gone = ask(&path, "status").expect_err("closed");
        assert_eq!(gone, format!("not running (nobody serves {})", path.display()));
        fs::remove_file(&path).expect("remove");
        let absent = ask(&path, "status").expect_err("removed");
        assert_eq!(absent, format!("not running (no {})", path.display()));
    }

    #[test]
    fn garbage_and_silence_are_told() {
        for answer in ["", "<html>\n"] {
            let (path, _) = daemon("garbage", answer);
            let why = ask(&path, "status").expect_err("no JSON");
            assert!(why.starts_with(&format!("{} answers no JSON", path.display())), "{why}");
            fs::remove_file(&path).expect("remove");
        }
    }
}
