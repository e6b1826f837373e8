//! What the angel and vrrpd say of themselves: one request line to a control socket, one JSON line back, bounded in time and
//! size. A daemon that is not there is an answer too.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use configs::{Appliance, Host};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// A daemon that takes longer is as good as absent.
const PATIENCE: Duration = Duration::from_millis(250);
/// More than the status of 255 routers.
const LONGEST_ANSWER: u64 = 4 << 20;
/// Routers that are asked to explain themselves.
const EXPLAINED: usize = 16;

/// An answer, or in words why there is none.
pub type Said = Result<Value, String>;

/// Where the daemons of this host listen, and which hosts there are.
#[derive(Debug, Clone)]
pub struct Daemons {
    /// The hosts of the cluster, this one first.
    pub hosts: Vec<Host>,
    angel: PathBuf,
    vrrpd: PathBuf,
}

impl Daemons {
    pub fn new(appliance: &Appliance) -> Daemons {
        Daemons {
            hosts: std::iter::once(&appliance.host).chain(&appliance.peers).cloned().collect(),
            angel: appliance.paths.angel_socket(),
            vrrpd: appliance.paths.vrrpd_socket(),
        }
    }

    /// The status of both.
    pub async fn status(&self) -> (Said, Said) {
        tokio::join!(ask(&self.angel, "status"), ask(&self.vrrpd, "status"))
    }

    /// What vrrpd says about why each of its routers is where it is.
    pub async fn explain(&self, vrrpd: &Said) -> Vec<Value> {
        let routers = vrrpd.as_ref().ok().and_then(|said| said.get("routers")).and_then(Value::as_array);
        let mut explained = Vec::new();
        for router in routers.into_iter().flatten().take(EXPLAINED) {
            let Some(name) = router.get("name").and_then(Value::as_str) else { continue };
            match ask(&self.vrrpd, &format!("why {name}")).await {
                Ok(why) => explained.push(why),
                // One that does not answer now will not answer about the next router either.
                Err(_) => break,
            }
        }
        explained
    }
}

async fn ask(socket: &Path, request: &str) -> Said {
    let line = match timeout(PATIENCE, exchange(socket, request)).await {
        Ok(Ok(line)) => line,
        Ok(Err(error)) => return Err(in_words(&error)),
        Err(_) => return Err("no answer in time".into()),
    };
    serde_json::from_str(&line).map_err(|_| "no JSON in its answer".into())
}

async fn exchange(socket: &Path, request: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_ANSWER)).read_line(&mut line).await?;
    Ok(line)
}

fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => "not running".into(),
        io::ErrorKind::PermissionDenied => "this proxy may not ask it".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use serde_json::json;
    use tokio::net::UnixListener;

    use super::*;
    use crate::admin::tests::{DataDir, appliance};

    #[tokio::test]
    async fn answers_absence_and_silence() {
        let dir = DataDir::new();
        let daemons = Daemons::new(&appliance(&dir.0, configs::FirstBoot::default()));
        let (angel, vrrpd) = daemons.status().await;
        assert_eq!((angel, vrrpd), (Err("not running".into()), Err("not running".into())));
        let listener = UnixListener::bind(&daemons.angel).expect("bind");
        let answering = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("accept");
            stream.write_all(b"{\"verdict\":\"serving\"}\n").await.expect("answer");
            let (stream, _) = listener.accept().await.expect("accept");
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(stream);
        });
        let (angel, _) = daemons.status().await;
        assert_eq!(angel, Ok(json!({ "verdict": "serving" })));
        let start = Instant::now();
        let (angel, _) = daemons.status().await;
        assert_eq!(angel, Err("no answer in time".into()));
        assert!(start.elapsed() < Duration::from_secs(2));
        answering.abort();
    }
}
