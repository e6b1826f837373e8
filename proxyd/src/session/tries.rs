//! What a statement has left to try: who has failed it, how many more may, and until when a server is looked for. Pure.
//!
//! - A server that **fails** it costs one of its tries (`mysql-query_retries_on_failure`, or the rule's `retries`).
//! - A server that **shuts down** and says so (1053) has not run it: that costs no try. The statement looks for another server, or
//!   for this one with a connection of its next life, for as long as one may look (`mysql-connect_timeout_server_max`).
//! - The search begins anew with the first failure: what the statement took at the server that failed it is no part of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::snapshot::{Server, is_among};

#[derive(Debug)]
pub struct Tries {
    left: u32,
    /// It may be tried at all again: without, every error is the client's.
    may_move: bool,
    patience: Duration,
    deadline: Instant,
    avoid: Vec<Arc<Server>>,
}

impl Tries {
    /// Of a statement that may be tried so many times again, and wait so long for a server.
    pub fn new(retries: u32, patience: Duration, now: Instant) -> Tries {
        Tries { left: retries, may_move: retries > 0, patience, deadline: now + patience, avoid: Vec::new() }
    }

    /// Another server may be asked after a failure.
    pub fn has_more(&self) -> bool {
        self.left > 0
    }

    /// Another server may be asked after one that shuts down.
    pub fn may_move(&self) -> bool {
        self.may_move
    }

    /// A server must have been found by then.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Servers that are asked again only for want of another.
    pub fn avoid(&self) -> &[Arc<Server>] {
        &self.avoid
    }

    /// It has met this server before, and in vain.
    pub fn has_met(&self, server: &Arc<Server>) -> bool {
        is_among(server, &self.avoid)
    }

    /// A server has failed it.
    pub fn failed_at(&mut self, server: Arc<Server>, now: Instant) {
        self.left = self.left.saturating_sub(1);
        self.leave(server, now);
    }

    /// A server that shuts down has refused it.
    pub fn refused_at(&mut self, server: Arc<Server>, now: Instant) {
        self.leave(server, now);
    }

    fn leave(&mut self, server: Arc<Server>, now: Instant) {
        if self.avoid.is_empty() {
            self.deadline = now + self.patience;
        }
        if !self.has_met(&server) {
            self.avoid.push(server);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn server(port: u16) -> Arc<Server> {
        Arc::new(Server::new(1, "127.0.0.1", port))
    }

    #[test]
    fn a_failure_costs_a_try_and_a_shutdown_none() {
        let now = Instant::now();
        let mut tries = Tries::new(1, PATIENCE, now);
        let (closing, dead) = (server(1), server(2));
        tries.refused_at(closing.clone(), now);
        tries.refused_at(closing.clone(), now);
        assert!(tries.has_more() && tries.has_met(&closing) && !tries.has_met(&dead));
        assert_eq!(tries.avoid().len(), 1);
        tries.failed_at(dead.clone(), now);
        assert!(!tries.has_more() && tries.may_move() && tries.has_met(&dead));
        tries.failed_at(dead, now);
        assert!(!tries.has_more(), "it is not asked again by counting below nothing");
    }

    #[test]
    fn without_retries_nothing_moves() {
        let tries = Tries::new(0, PATIENCE, Instant::now());
        assert!(!tries.has_more() && !tries.may_move());
    }

    #[test]
    fn a_long_statement_that_failed_has_the_whole_time_to_find_another_server() {
        let start = Instant::now();
        let mut tries = Tries::new(2, PATIENCE, start);
        assert_eq!(tries.deadline(), start + PATIENCE);
        let lost = start + Duration::from_secs(60);
        tries.failed_at(server(1), lost);
        assert_eq!(tries.deadline(), lost + PATIENCE);
        tries.refused_at(server(2), lost + Duration::from_secs(5));
        assert_eq!(tries.deadline(), lost + PATIENCE, "once: it does not look for ever");
    }
}
