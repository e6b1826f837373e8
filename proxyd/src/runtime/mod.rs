//! The runtime layer: what the workers route by right now, and why.
//!
//! [`Runtime`] lives on the control thread and is the only writer of the snapshot. It is told the configuration
//! (`LOAD … TO RUNTIME`), what the monitors saw and which connects failed; it never opens a socket and never reads SQLite.

mod aurora;
mod catalogue;
mod collect;
mod discovery;
mod executed;
mod hostgroup_json;
mod lag;
pub mod overlap;
mod registry;
mod servers;
mod settings;
mod shun;
mod single_writer;
mod topology;
mod users;

#[cfg(test)]
mod tests;

pub use aurora::{AuroraHostgroups, AuroraServer};
pub use collect::{
    collect_digests, collect_errors, collect_free_connections, collect_processlist, collect_profiles,
    collect_statements, collect_stats, kill,
};
pub use discovery::Peer;
pub use hostgroup_json::{HostgroupSettings, ServersDefaults};
pub use lag::Lag;
pub use registry::{MemberState, Runtime, ServerChange, SharedRuntime};
pub use servers::{Address, MAX_WEIGHT, ReplicationHostgroup, ServerRow, ServersConfig};
pub use settings::{Settings, normalise};
pub use topology::{AlsoReader, ClusterHostgroups, ClusterKind, NodeReport, Part, Sight};
pub use users::{parse_attributes, parse_credential};
