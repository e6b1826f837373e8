//! The lab's end of the agent's port: sends scripts into a guest and waits for what they say.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

/// What a script came to.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub status: i32,
    pub text: String,
}

type Waiting = Arc<Mutex<HashMap<u64, Sender<Said>>>>;

/// A connection to one guest's agent. Scripts may run side by side.
#[derive(Debug)]
pub(crate) struct Hand {
    port: Mutex<UnixStream>,
    waiting: Waiting,
    next: AtomicU64,
}

/// A script that runs.
#[derive(Debug)]
pub(crate) struct Job(Receiver<Said>);

impl Hand {
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let port = UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
        let waiting = Waiting::default();
        let (answers, list) = (BufReader::new(port.try_clone()?), Arc::clone(&waiting));
        std::thread::Builder::new().name("hand".into()).spawn(move || {
            // It ends with its guest; whoever waits then hears that nobody answers.
            let _ = listen(answers, &list);
            list.lock().unwrap_or_else(PoisonError::into_inner).clear();
        })?;
        Ok(Self { port: Mutex::new(port), waiting, next: AtomicU64::new(1) })
    }

    /// Sends a script; the agent may not be up yet, then it waits in the port.
    pub(crate) fn begin(&self, script: &str) -> Result<Job> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, job) = channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        let mut port = self.port.lock().unwrap_or_else(PoisonError::into_inner);
        port.write_all(format!("{id} {}\n{script}", script.len()).as_bytes()).context("the guest's port")?;
        Ok(Job(job))
    }
}

impl Job {
    pub(crate) fn wait(self, limit: Duration) -> Result<Said> {
        self.0.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => anyhow!("no answer within {:.0} s", limit.as_secs_f64()),
            RecvTimeoutError::Disconnected => anyhow!("the guest went away"),
        })
    }
}

fn listen(mut answers: impl BufRead, waiting: &Mutex<HashMap<u64, Sender<Said>>>) -> Result<()> {
    loop {
        let mut head = String::new();
        if answers.read_line(&mut head)? == 0 {
            return Ok(());
        }
        let Some((id, status, length)) = parse(&head) else { bail!("the agent said {head:?}") };
        let mut text = vec![0; length];
        answers.read_exact(&mut text)?;
        let said = Said { status, text: String::from_utf8_lossy(&text).trim_end().to_owned() };
        if let Some(answer) = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            // Whoever asked may have stopped waiting.
            let _ = answer.send(said);
        }
    }
}

/// `ID STATUS LENGTH`; a guest has 256 MiB and cannot have said more.
fn parse(head: &str) -> Option<(u64, i32, usize)> {
    let mut fields = head.split_whitespace();
    let (id, status, length) = (fields.next()?, fields.next()?, fields.next()?);
    Some((id.parse().ok()?, status.parse().ok()?, length.parse().ok().filter(|n| *n <= 256 << 20)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_who_asked_in_whatever_order_they_come() {
        let waiting = Mutex::new(HashMap::new());
        let (one, first) = channel();
        let (two, second) = channel();
        waiting.lock().expect("lock").extend([(1, one), (2, two)]);
        listen(&b"2 0 3\nok\n1 127 0\n"[..], &waiting).expect("answers");
        assert_eq!(second.recv().expect("second").text, "ok");
        assert_eq!(first.recv().expect("first").status, 127);
        assert!(listen(&b"nonsense\n"[..], &waiting).is_err());
    }
}
