//! Routers that move together: all of them are Active here, or none is (keepalived's sync groups). Pure.
//!
//! | what a member finds | what all do |
//! |---|---|
//! | its link or a check of its own is bad | FAULT, until all are good |
//! | its time to take over has come | it waits until that of all has come: a master that one of them still hears keeps them all |
//! | it lets go, oversleeps, or hears a master while another is Active | the Active ones resign |
//!
//! The members have the same hosts, priorities and fail-back (the configuration sees to that), so their times come
//! together, but for one advert.

use std::time::Instant;

use super::{Actions, Cause, Event, Rfc, Router, State};

impl Router {
    /// What does not depend on the proxy, which is the same for all members.
    fn is_sound(&self) -> bool {
        self.link && self.checks_good
    }

    /// Whether it is Active or waits only for the others.
    fn is_ready(&self, now: Instant) -> bool {
        match self.state {
            State::Active(_) => true,
            State::Backup(backup) => backup.due && self.competes(now),
            State::Initialize => false,
        }
    }

    fn is_active(&self) -> bool {
        matches!(self.state, State::Active(_))
    }

    /// Whether somebody else has its VIPs, as far as it knows, or may have: it stood still for too long.
    fn has_none(&self) -> bool {
        let lost = self.cause == Cause::Overslept;
        matches!(self.state, State::Backup(backup) if (backup.master.is_some() || lost) && !backup.due)
    }

    /// A Backup's time has come: alone it takes over, in a group it says so.
    pub(super) fn take_over(&mut self, now: Instant, cause: Cause, out: &mut Actions) {
        match &mut self.state {
            State::Backup(backup) if self.setup.grouped => backup.due = true,
            _ => self.become_active(now, cause, out),
        }
    }

    /// [`Event::Together`].
    pub(super) fn join_others(&mut self, now: Instant, out: &mut Actions) {
        if let State::Backup(backup) = self.state
            && self.is_ready(now)
        {
            self.become_active(now, backup.expiry, out);
        }
    }

    /// [`Event::LetGo`].
    pub(super) fn follow_others(&mut self, now: Instant, out: &mut Actions) {
        if self.is_active() {
            self.rfc(now, Rfc::Shutdown(Cause::GroupLeft), out);
            self.become_backup(now, None, Cause::GroupLeft);
        }
    }
}

/// What a group's members must be told now, by their places among them. Nothing once all is well; else ask again after
/// telling them.
#[must_use]
pub fn orders(now: Instant, members: &[&Router]) -> Vec<(usize, Event)> {
    let unsound = members.iter().filter(|it| !it.is_sound()).count();
    let of_others = |it: &Router| unsound == usize::from(!it.is_sound());
    let news = members.iter().enumerate().filter(|(_, it)| it.partners_sound != of_others(it));
    let mut orders: Vec<_> = news.map(|(place, it)| (place, Event::Partners(of_others(it)))).collect();
    let elsewhere = members.iter().any(|it| it.has_none());
    let together = members.iter().all(|it| it.is_ready(now));
    for (place, member) in members.iter().enumerate() {
        if elsewhere && member.is_active() {
            orders.push((place, Event::LetGo));
        } else if together && !member.is_active() {
            orders.push((place, Event::Together));
        }
    }
    orders
}

#[cfg(test)]
mod tests;
