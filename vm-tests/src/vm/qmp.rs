//! QEMU's monitor: one command on one connection.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// The monitor answers from QEMU's main loop, which a busy machine may keep waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a command; its `return` is the result.
pub(crate) fn command(socket: &Path, name: &str, arguments: Value) -> Result<Value> {
    let mut stream = UnixStream::connect(socket).with_context(|| format!("connect {}", socket.display()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let mut greeting = String::new();
    lines.read_line(&mut greeting)?;
    exchange(&mut stream, &mut lines, &json!({ "execute": "qmp_capabilities" }))?;
    exchange(&mut stream, &mut lines, &json!({ "execute": name, "arguments": arguments }))
        .with_context(|| format!("QEMU's monitor: {name}"))
}

fn exchange(stream: &mut UnixStream, lines: &mut impl BufRead, message: &Value) -> Result<Value> {
    stream.write_all(format!("{message}\n").as_bytes())?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            bail!("the monitor hung up");
        }
        let mut answer: Value = serde_json::from_str(&line).context("an answer of the monitor")?;
        if let Some(error) = answer.get("error") {
            bail!(
                "{}",
                error.get("desc").and_then(Value::as_str).unwrap_or("an error without a description")
            );
        }
        // Events come in between.
        if let Some(result) = answer.get_mut("return") {
            return Ok(result.take());
        }
    }
}
