//! What the state machine answers with.

use crate::priority::Priority;

/// One effect; the caller carries them out in the order given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    SendAdvert(Priority),
    InstallVips,
    RemoveVips,
    /// Gratuitous ARP for every VIP.
    Announce,
    /// Reset every TCP connection bound to a VIP.
    ResetConnections,
}

/// Why a router is in its state: one word for logs, status and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Startup,
    Resume,
    Owner,
    MasterDown,
    MasterResigned,
    Preempt,
    HigherPriority,
    Overslept,
    ProxyDown,
    GraceOver,
    Draining,
    LinkDown,
    CheckFailed,
    PartnerFault,
    GroupLeft,
    Shutdown,
    Moved,
}

impl Cause {
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Cause::Startup => "startup",
            Cause::Resume => "resume",
            Cause::Owner => "owner",
            Cause::MasterDown => "master-down",
            Cause::MasterResigned => "master-resigned",
            Cause::Preempt => "preempt",
            Cause::HigherPriority => "higher-priority",
            Cause::Overslept => "overslept",
            Cause::ProxyDown => "proxy-down",
            Cause::GraceOver => "grace-over",
            Cause::Draining => "draining",
            Cause::LinkDown => "link-down",
            Cause::CheckFailed => "check-failed",
            Cause::PartnerFault => "partner-fault",
            Cause::GroupLeft => "group-left",
            Cause::Shutdown => "shutdown",
            Cause::Moved => "moved",
        }
    }
}

/// A few actions without an allocation. Eight are enough: the longest answer is letting go (two) after a sleep,
/// then taking over (three).
#[derive(Debug, Default)]
pub struct Actions {
    items: [Option<Action>; 8],
    count: usize,
}

impl Actions {
    pub(super) fn push(&mut self, action: Action) {
        if let Some(place) = self.items.get_mut(self.count) {
            *place = Some(action);
            self.count += 1;
        }
    }

    pub(super) fn push_all<const N: usize>(&mut self, actions: [Action; N]) {
        actions.into_iter().for_each(|action| self.push(action));
    }
}

impl IntoIterator for Actions {
    type Item = Action;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Action>, 8>>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter().flatten()
    }
}
