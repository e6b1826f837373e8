//! `PROXYSQL …`: orders to the process, as grammar. Pure.

use super::keywords::words;
use super::lexer::{Token, text_of};
use super::statement::{Refusal, Statement, syntax};

/// An order to the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    ReadOnly(bool),
    FlushLogs,
    FlushQueryCache,
    FlushClientHosts,
    FlushConfigDb,
    ReloadTls,
    /// `PAUSE` and `RESUME`.
    Pause(bool),
    Stop,
    Start,
    Restart,
    /// `SHUTDOWN`, with `slow` when sessions may finish first.
    Shutdown {
        slow: bool,
    },
    Kill,
    /// `CLUSTER_NODE_UUID uuid interfaces`: a node of a cluster says who it is.
    ClusterNode {
        uuid: String,
        interfaces: String,
    },
}

/// Reads the tokens after `PROXYSQL`.
pub fn parse(rest: &[Token]) -> Result<Statement, Refusal> {
    let order = match words(rest).as_slice() {
        ["READONLY"] => Order::ReadOnly(true),
        ["READWRITE"] => Order::ReadOnly(false),
        ["FLUSH", "LOGS"] => Order::FlushLogs,
        ["FLUSH", "QUERY", "CACHE"] => Order::FlushQueryCache,
        ["FLUSH", "MYSQL", "CLIENT", "HOSTS"] => Order::FlushClientHosts,
        ["FLUSH", "CONFIGDB"] => Order::FlushConfigDb,
        ["RELOAD", "TLS"] => Order::ReloadTls,
        ["PAUSE"] => Order::Pause(true),
        ["RESUME"] => Order::Pause(false),
        ["STOP"] => Order::Stop,
        ["START"] => Order::Start,
        ["RESTART"] => Order::Restart,
        ["SHUTDOWN"] => Order::Shutdown { slow: false },
        ["SHUTDOWN", "SLOW"] => Order::Shutdown { slow: true },
        ["KILL"] => Order::Kill,
        ["COREDUMP" | "COMPRESSEDCOREDUMP" | "MEMPROFILE" | "GCOV", ..] => {
            return Ok(Statement::NoEffect("there is nothing to dump or to profile here"));
        }
        ["CLUSTER_NODE_UUID", ..] => return cluster_node(rest),
        _ => {
            return syntax(
                "PROXYSQL knows READONLY, READWRITE, PAUSE, RESUME, STOP, START, RESTART, SHUTDOWN [SLOW], KILL, RELOAD TLS, \
                 FLUSH LOGS, FLUSH QUERY CACHE, FLUSH MYSQL CLIENT HOSTS and FLUSH CONFIGDB",
            );
        }
    };
    Ok(Statement::Order(order))
}

/// The interfaces are unquoted, as `10.0.0.1:6032;[::1]:6032`, so tokens are put together again.
fn cluster_node(rest: &[Token]) -> Result<Statement, Refusal> {
    let text: Vec<String> = rest.iter().skip(1).map(text_of).collect();
    let joined = text.concat();
    // A UUID has 36 characters.
    match joined.split_at_checked(36) {
        Some((uuid, interfaces)) if uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') => {
            Ok(Statement::Order(Order::ClusterNode {
                uuid: uuid.to_owned(),
                interfaces: interfaces.to_owned(),
            }))
        }
        _ => syntax("PROXYSQL CLUSTER_NODE_UUID takes a UUID and the node's admin interfaces"),
    }
}
