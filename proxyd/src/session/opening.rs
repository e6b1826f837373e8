//! How a worker opens a backend connection, for a session or in advance.

use std::time::{Duration, Instant};

use crate::backend::{Account, Backend, ConnectError};
use crate::snapshot::{HostgroupId, Member, Reservation, Server, Snapshot};
use crate::worker::Worker;

impl Worker {
    /// Takes the right to open one connection in a hostgroup now, if its limit of them a second has one.
    pub fn may_open(&self, snapshot: &Snapshot, hostgroup: HostgroupId) -> bool {
        let own =
            snapshot.hostgroups.get(&hostgroup).and_then(|its| its.attributes.throttle_connections_per_sec);
        let per_second = own.unwrap_or(snapshot.variables.throttle_connections_per_sec_to_hostgroup);
        let share = per_second.div_ceil(u32::try_from(self.workers).unwrap_or(1).max(1));
        self.pool.may_open(hostgroup, share, Instant::now())
    }

    /// Connects and logs in at a server as its row says (TLS, compression), and runs `init_connect`, within so long.
    pub async fn open_backend(
        &self,
        reservation: Reservation,
        options: &Member,
        account: Account<'_>,
        limit: Duration,
    ) -> Result<Box<Backend>, ConnectError> {
        let snapshot = self.snapshot();
        let Server { hostgroup, hostname, port, .. } = &**reservation.server();
        let tls = &self.shared.backend_tls;
        let connector = options.use_ssl.then(|| tls.connector(hostname, *port, account.user)).transpose();
        let connector = connector.map_err(ConnectError::Tls)?;
        let attributes = snapshot.hostgroups.get(hostgroup).map(|hostgroup| &hostgroup.attributes);
        let init_connect = attributes.and_then(|its| its.init_connect.as_deref());
        let init_connect = init_connect.unwrap_or(&snapshot.variables.init_connect);
        let account = Account { tls: connector.as_ref(), compress: options.compression, ..account };
        let counters = self.counters.server(reservation.server());
        let opened = async {
            let mut backend = Backend::open(reservation, account, counters, &self.buffers).await?;
            if !init_connect.is_empty() {
                backend.query(init_connect, &self.buffers).await?;
            }
            Ok(Box::new(backend))
        };
        tokio::time::timeout(limit, opened).await.unwrap_or(Err(ConnectError::Timeout(limit)))
    }
}
