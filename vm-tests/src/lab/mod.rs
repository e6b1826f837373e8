//! The lab: a network of namespaces, hosts that run the product's units, and what tears it all down again.

pub(crate) mod cache;
pub(crate) mod child;
pub(crate) mod cluster;
pub(crate) mod host;
pub(crate) mod keepalived;
pub(crate) mod layout;
pub(crate) mod net;
pub(crate) mod netns;
pub(crate) mod notify;
pub(crate) mod process;
pub(crate) mod proxyd;
pub(crate) mod reaper;
pub(crate) mod store;
pub(crate) mod teardown;
pub(crate) mod unit;
pub(crate) mod wait;
