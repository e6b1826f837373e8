//! `lab-agent`: the lab's hand inside a guest. Reads jobs from a virtio port, runs each with `sh -c`, writes back what it said.
//!
//! A job is `ID LENGTH\n` and that many bytes of script; its answer `ID STATUS LENGTH\n` and that many bytes of output. Jobs run
//! side by side, each on a thread; answers come in the order in which jobs end. It never gives up: a port that is not there
//! yet, or whose other side went away, is opened again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

const PORT: &str = "/dev/virtio-ports/lab.0";
/// A script that is longer than this is no script.
const LONGEST: usize = 64 << 20;

fn main() {
    loop {
        if let Err(error) = serve() {
            eprintln!("lab-agent: {error}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn serve() -> io::Result<()> {
    let Ok(port) = OpenOptions::new().read(true).write(true).open(PORT) else { return Ok(()) };
    let answers = Arc::new(Mutex::new(port.try_clone()?));
    let mut jobs = BufReader::new(port);
    loop {
        let mut head = String::new();
        // End of file: nobody is connected on the other side.
        if jobs.read_line(&mut head)? == 0 {
            thread::sleep(Duration::from_millis(20));
            continue;
        }
        let Some((id, length)) = job(&head) else { continue };
        let mut script = vec![0; length];
        jobs.read_exact(&mut script)?;
        let (id, answers) = (id.to_owned(), Arc::clone(&answers));
        thread::spawn(move || answer(&id, &script, &answers));
    }
}

/// `ID LENGTH`, or nothing of use.
fn job(head: &str) -> Option<(&str, usize)> {
    let (id, length) = head.trim_end().split_once(' ')?;
    let length = length.parse().ok().filter(|length| *length <= LONGEST)?;
    Some((id, length))
}

fn answer(id: &str, script: &[u8], answers: &Mutex<File>) {
    let (status, said) = run(script).unwrap_or_else(|error| (127, error.to_string().into_bytes()));
    let mut message = format!("{id} {status} {}\n", said.len()).into_bytes();
    message.extend(said);
    let mut port = answers.lock().unwrap_or_else(PoisonError::into_inner);
    // A lab that went away does not wait for its answer.
    let _ = port.write_all(&message);
}

/// The script comes by a pipe, however long it is; both outputs are one.
fn run(script: &[u8]) -> io::Result<(i32, Vec<u8>)> {
    let (mut output, writer) = io::pipe()?;
    let mut child = {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", "eval \"$(cat)\" </dev/null"]).stdin(Stdio::piped());
        shell.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
        shell.stdout(writer.try_clone()?).stderr(writer).spawn()?
    };
    if let Some(mut input) = child.stdin.take() {
        input.write_all(script)?;
    }
    let mut said = Vec::new();
    output.read_to_end(&mut said)?;
    let status = child.wait()?;
    Ok((status.code().unwrap_or(128 + status.signal().unwrap_or_default()), said))
}
