//! MySQL Router of Debian sid as a peer: one static route, TLS passed through.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

use anyhow::{Context, Result};

use super::target::owned;
use crate::mysql97::root::SidRoot;

pub(crate) fn start(directory: &Path, bind: SocketAddr, database: SocketAddr) -> Result<Child> {
    let root = SidRoot::with_router()?;
    for name in ["log", "run", "data"] {
        std::fs::create_dir_all(directory.join(name))?;
    }
    let config = directory.join("router.conf");
    std::fs::write(&config, configuration(&root, directory, bind, database))?;
    let words = root.program("usr/bin/mysqlrouter")?;
    let (loader, rest) = words.split_first().context("no loader")?;
    owned(loader, directory, "router")?.args(rest).arg("-c").arg(&config).spawn().context("start mysqlrouter")
}

fn configuration(root: &SidRoot, directory: &Path, bind: SocketAddr, database: SocketAddr) -> String {
    let (directory, plugins) = (directory.display(), root.path("usr/lib/mysqlrouter/plugin"));
    format!(
        "[DEFAULT]\nplugin_folder={}\nlogging_folder={directory}/log\nruntime_folder={directory}/run\n\
         data_folder={directory}/data\nuser=root\nmax_total_connections=100000\nclient_ssl_mode=PASSTHROUGH\n\
         server_ssl_mode=AS_CLIENT\n[logger]\nlevel=WARNING\n[io]\nthreads=2\n\
         [routing:bench]\nbind_address={}\nbind_port={}\ndestinations={database}\n\
         routing_strategy=first-available\nprotocol=classic\nmax_connections=0\n",
        plugins.display(),
        bind.ip(),
        bind.port(),
    )
}
