//! Asking a Galera node how it is: the statements, and what their answers say. Pure.
//!
//! `SHOW` is understood alike by MariaDB, MySQL with Galera and Percona XtraDB Cluster of any version, needs no privilege,
//! and answers on a node outside the primary component too.

use std::collections::HashMap;

use crate::admin::GaleraSeen;
use crate::backend::Table;
use crate::runtime::{NodeReport, Part};

/// Asked one after the other on one connection.
pub const STATUS: &str = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state', \
     'wsrep_local_recv_queue', 'wsrep_cluster_status', 'wsrep_cluster_size')";
pub const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('read_only', 'wsrep_desync', \
     'wsrep_reject_queries', 'wsrep_sst_donor_rejects_queries', 'pxc_maint_mode')";

/// `wsrep_local_state`.
const DONOR_OR_DESYNCED: u32 = 2;
const SYNCED: u32 = 4;

/// A node's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GaleraStatus {
    /// What is logged of it.
    pub seen: GaleraSeen,
    pub ready: bool,
    pub cluster_size: u32,
}

impl GaleraStatus {
    /// Reads both answers; an error for a server that is no Galera node.
    pub fn read(status: &Table, variables: &Table) -> Result<GaleraStatus, String> {
        let mut values = HashMap::new();
        for row in status.rows.iter().chain(&variables.rows) {
            if let [Some(name), value] = row.as_slice() {
                values.insert(name.to_ascii_lowercase(), value.as_deref().unwrap_or_default());
            }
        }
        let value = |name: &str| values.get(name).copied().unwrap_or_default();
        let state =
            value("wsrep_local_state").parse().map_err(|_| "it is no Galera node: no wsrep_local_state")?;
        Ok(GaleraStatus {
            seen: GaleraSeen {
                primary_partition: value("wsrep_cluster_status").eq_ignore_ascii_case("Primary"),
                read_only: is_on(value("read_only")),
                local_recv_queue: value("wsrep_local_recv_queue").parse().unwrap_or(0),
                local_state: state,
                desync: is_on(value("wsrep_desync")),
                reject_queries: !matches!(
                    value("wsrep_reject_queries").to_ascii_uppercase().as_str(),
                    "" | "NONE"
                ),
                sst_donor_rejects_queries: is_on(value("wsrep_sst_donor_rejects_queries")),
                maintenance: !matches!(
                    value("pxc_maint_mode").to_ascii_uppercase().as_str(),
                    "" | "DISABLED"
                ),
            },
            ready: is_on(value("wsrep_ready")),
            cluster_size: value("wsrep_cluster_size").parse().unwrap_or(0),
        })
    }

    /// What follows for its place. A donor serves, unless it is told to reject queries.
    pub fn report(&self) -> NodeReport {
        let seen = self.seen;
        let unfit = if !seen.primary_partition {
            Some("it is not in the primary component".to_owned())
        } else if seen.desync {
            Some("wsrep_desync is ON".to_owned())
        } else if seen.local_state == DONOR_OR_DESYNCED && seen.sst_donor_rejects_queries {
            Some("it is a donor that rejects queries".to_owned())
        } else if !matches!(seen.local_state, SYNCED | DONOR_OR_DESYNCED) {
            Some(format!("wsrep_local_state is {}", seen.local_state))
        } else if seen.reject_queries {
            Some("wsrep_reject_queries is not NONE".to_owned())
        } else if !self.ready {
            Some("wsrep_ready is OFF".to_owned())
        } else {
            None
        };
        let part = match unfit {
            Some(reason) => Part::Unfit(reason),
            None if seen.maintenance => Part::Maintenance,
            None if seen.read_only => Part::ReadOnly,
            None => Part::Writable,
        };
        let members = if seen.primary_partition { self.cluster_size } else { 0 };
        NodeReport { part, behind: seen.local_recv_queue, members }
    }
}

/// ON or 1; MariaDB 12 has read_only words that mean yes.
fn is_on(value: &str) -> bool {
    super::decide::read_only_value(value).unwrap_or(false)
}
