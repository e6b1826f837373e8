//! Clients that log in and then only stay: some in this process, or many in several, because a process may open only so many files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};

use crate::lab::netns::Netns;
use crate::mysql::Client;
use crate::mysql::client::Account;
use crate::mysql::link::Link;

/// So many log in at a time.
const AT_ONCE: usize = 64;

/// One process of a crowd.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    user: String,
    #[arg(long)]
    password: String,
    #[arg(long)]
    count: usize,
}

/// Logs in, says so in one line, and stays until its standard input ends.
pub(crate) fn run(options: &Options) -> Result<()> {
    let account = Account {
        address: options.address,
        user: options.user.clone(),
        password: options.password.clone(),
        database: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let streams = runtime.block_on(log_in(options.count, |_| account.clone()))?;
    println!("{}", streams.len());
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new()).context("wait for the end")?;
    Ok(())
}

/// `count` silent clients; which account each has is asked by its number.
pub(crate) async fn log_in(count: usize, account: impl Fn(usize) -> Account) -> Result<Vec<Link>> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let batch = AT_ONCE.min(count - streams.len());
        let mut joining = tokio::task::JoinSet::new();
        for index in 0..batch {
            let account = account(streams.len() + index);
            joining.spawn(async move { Client::connect(&account).await.map(Client::into_link) });
        }
        while let Some(joined) = joining.join_next().await {
            let number = streams.len() + 1;
            streams.push(joined?.map_err(|failure| anyhow!("client {number} of {count}: {failure}"))?);
        }
    }
    Ok(streams)
}

/// Several processes inside a namespace. Dropping it hangs all up.
#[derive(Debug, Default)]
pub(crate) struct Crowd(Vec<Child>);

impl Crowd {
    /// Adds a process of `count` clients; [`Crowd::wait`] waits for them.
    pub(crate) fn add(&mut self, from: &Netns, account: &Account, count: usize) -> Result<()> {
        let own = std::env::current_exe()?;
        let mut command = Command::new(&own);
        command.arg("exec-unit").arg(from.path()).arg("--").arg(&own).arg("crowd");
        command.arg("--address").arg(account.address.to_string());
        command.args(["--user", &account.user, "--password", &account.password]);
        command.args(["--count", &count.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        self.0.push(command.spawn().context("start a process of clients")?);
        Ok(())
    }

    /// Until all are in.
    pub(crate) fn wait(&mut self) -> Result<()> {
        for child in &mut self.0 {
            let mut line = String::new();
            BufReader::new(child.stdout.as_mut().context("its output")?).read_line(&mut line)?;
            ensure!(!line.is_empty(), "a process of clients ended: {}", child.wait()?);
        }
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            drop(child.stdin.take());
            // One that has ended already is what is wanted.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
