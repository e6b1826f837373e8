//! Follows the server: what it has executed, then each transaction more, for as long as it answers.
//!
//! The binary log tells of a transaction when it has been written, which is before it can be seen: before its commit in the
//! storage engine, and long before with semi-synchronous replication. So what the log tells is asked of the server again,
//! on a second connection, and told to clients only when `gtid_executed` has it. One question covers all that has come since
//! the last, so that a busy server is asked seldom for each transaction.

use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use proxyd_gtid::mysql::{Gtid, GtidSet};
use proxyd_wire::ErrPacket;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::crowd::{Feed, Publisher};
use crate::dump;
use crate::event::{self, EventError, Packet};
use crate::link::{Link, LinkError};
use crate::skim::Skimmer;

/// Waits between two tries to reach a server.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(3)];
/// As many transactions are asked for in one question.
const AT_ONCE: usize = 1000;
/// The server waits so long for one of them before it is asked which are there.
const WAIT: &str = "0.1";

/// Why a server is not followed any longer.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("the server ended the dump: {0}")]
    Refused(ErrPacket),
    #[error("the server ended the dump")]
    Ended,
    #[error("{0}")]
    Unfit(&'static str),
}

/// Follows the server, again and again.
pub(crate) async fn follow(config: &Config, publisher: &Publisher) -> Infallible {
    let [first, longest] = BACK_OFF;
    let mut pause = first;
    loop {
        let mut was_told = false;
        let Err(lost) = follow_once(config, publisher, &mut was_told).await;
        publisher.withdraw();
        eprintln!("the server is lost: {lost}");
        pause = if was_told { first } else { (pause * 2).min(longest) };
        tokio::time::sleep(pause).await;
    }
}

async fn follow_once(
    config: &Config,
    publisher: &Publisher,
    was_told: &mut bool,
) -> Result<Infallible, Lost> {
    let mut questions = Link::open(config).await?;
    let executed = ask_everything(&mut questions).await?;
    let mut dumping = Link::open(config).await?;
    begin_dump(config, &mut dumping, &executed).await?;
    eprintln!("following the server, which has executed {} transactions", executed.count());
    let feed = Rc::new(Feed::new(executed));
    publisher.publish(feed.clone());
    *was_told = true;
    // What waits here waits in the server too, which is where it is best off.
    let (written, log) = mpsc::channel(AT_ONCE);
    tokio::select! {
        lost = read_log(config, dumping, written) => lost,
        lost = confirm(questions, log, &feed) => lost,
    }
}

/// What the server has executed; whether it is one to follow at all.
async fn ask_everything(link: &mut Link) -> Result<GtidSet, Lost> {
    let settings =
        link.query("SELECT @@GLOBAL.gtid_mode, @@GLOBAL.log_bin, @@GLOBAL.log_replica_updates").await;
    let settings = match settings {
        // Before 8.0.26, and MariaDB: whose GTIDs are of another kind.
        Err(LinkError::Refused(error)) if error.code == 1193 => {
            link.query("SELECT @@GLOBAL.gtid_mode, @@GLOBAL.log_bin, @@GLOBAL.log_slave_updates").await?
        }
        other => other?,
    };
    let value = |index: usize| settings.first().and_then(|row| row.get(index)).map(String::as_str);
    if value(0) != Some("ON") {
        return Err(Lost::Unfit("gtid_mode is not ON"));
    }
    if value(1) != Some("1") || value(2) != Some("1") {
        return Err(Lost::Unfit(
            "its binary log is off, or without what it replicates (log_replica_updates)",
        ));
    }
    let answer = link.query("SELECT @@GLOBAL.gtid_executed").await?;
    let text = answer.first().and_then(|row| row.first()).ok_or(LinkError::Malformed)?;
    Ok(text.parse().map_err(EventError::from)?)
}

/// Asks for the log as a replica does: without checksums, which TCP and the socket have no need of, and with heartbeats.
async fn begin_dump(config: &Config, link: &mut Link, executed: &GtidSet) -> Result<(), Lost> {
    let uuid = std::fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(LinkError::from)?;
    let uuid = uuid.trim();
    let heartbeat = config.heartbeat.as_nanos();
    // The names before 8.0.26 too.
    link.query(&format!(
        "SET @source_binlog_checksum='NONE', @master_binlog_checksum='NONE', \
         @source_heartbeat_period={heartbeat}, @master_heartbeat_period={heartbeat}, \
         @replica_uuid='{uuid}', @slave_uuid='{uuid}'"
    ))
    .await?;
    let drawn = uuid.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(1);
    let server_id = config.server_id.unwrap_or(drawn | 1 << 31);
    link.ask(&dump::register(server_id), config.heartbeat * 3).await?;
    Ok(link.begin_dump(&dump::dump(server_id, executed)).await?)
}

/// Reads the log for as long as it comes.
async fn read_log(config: &Config, mut link: Link, written: mpsc::Sender<Gtid>) -> Result<Infallible, Lost> {
    let mut skimmer = Skimmer::default();
    let mut found = Vec::new();
    loop {
        let bytes = link.read(config.heartbeat * 3).await?;
        skimmer.push(bytes, |head| {
            match event::parse(head)? {
                Packet::Gtid(gtid) => found.push(gtid),
                Packet::Other => {}
                Packet::End => return Err(Lost::Ended),
                Packet::Refused(error) => return Err(Lost::Refused(error)),
            }
            Ok(())
        })?;
        for gtid in found.drain(..) {
            written.send(gtid).await.map_err(|_| Lost::Ended)?;
        }
    }
}

/// Tells of what the log has told of, once the server has it.
async fn confirm(mut link: Link, mut log: mpsc::Receiver<Gtid>, feed: &Feed) -> Result<Infallible, Lost> {
    let mut pending = GtidSet::default();
    let mut arrived = Vec::new();
    loop {
        if pending.is_empty() && log.recv_many(&mut arrived, AT_ONCE).await == 0 {
            return Err(Lost::Ended);
        }
        while arrived.len() < AT_ONCE {
            let Ok(gtid) = log.try_recv() else { break };
            arrived.push(gtid);
        }
        arrived.drain(..).for_each(|gtid| pending.add(gtid));
        let missing = missing(&mut link, &pending).await?;
        let mut there = GtidSet::default();
        for (uuid, tag, numbers) in pending.ranges() {
            for number in numbers {
                let gtid = Gtid { source: *uuid, tag: tag.clone(), number };
                if !missing.contains(&gtid) {
                    there.add(gtid);
                }
            }
        }
        if !there.is_empty() {
            feed.tell(&there);
        }
        pending = missing;
    }
}

/// Which of these transactions the server has not executed, after a short wait for all of them.
async fn missing(link: &mut Link, pending: &GtidSet) -> Result<GtidSet, Lost> {
    let answer = link.query(&format!("SELECT WAIT_FOR_EXECUTED_GTID_SET('{pending}', {WAIT})")).await?;
    if answer.first().and_then(|row| row.first()).is_some_and(|text| text == "0") {
        return Ok(GtidSet::default());
    }
    let answer = link.query(&format!("SELECT GTID_SUBTRACT('{pending}', @@GLOBAL.gtid_executed)")).await?;
    let text = answer.first().and_then(|row| row.first()).ok_or(LinkError::Malformed)?;
    Ok(text.parse().map_err(EventError::from)?)
}
