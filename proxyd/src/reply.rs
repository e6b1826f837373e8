//! What a client is told when the proxy itself answers: the only place where our errors become MySQL errors.

use std::fmt::Write as _;
use std::time::Duration;

use proxyd_wire::command::no_attributes;
use proxyd_wire::response::{ColumnDefinition, text_resultset};
use proxyd_wire::{Capabilities, Command, EofPacket, ErrPacket, OkPacket, Request, Status, frame};

use crate::backend::ConnectError;
use crate::snapshot::{Hostgroup, HostgroupId, Server, Snapshot};

/// An error to a client: code, SQLSTATE, text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(ErrPacket);

impl Refusal {
    fn new(code: u16, sqlstate: &[u8; 5], text: impl Into<String>) -> Refusal {
        Refusal(ErrPacket::new(code, sqlstate, text))
    }

    /// What a backend said, word for word.
    pub fn from_backend(error: &ErrPacket) -> Refusal {
        Refusal(error.clone())
    }

    /// The rules' `error_msg`.
    pub fn by_rule(text: &str) -> Refusal {
        Refusal::new(1148, b"42000", text)
    }

    pub fn unsupported(command: &str) -> Refusal {
        Refusal::new(9003, b"28000", format!("Command not supported: {command}"))
    }

    pub fn malformed(what: &str) -> Refusal {
        Refusal::new(1835, b"HY000", format!("Malformed communication packet: {what}"))
    }

    pub fn packet_too_large() -> Refusal {
        Refusal::new(1153, b"08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
    }

    pub fn interrupted() -> Refusal {
        Refusal::new(1317, b"70100", "Query execution was interrupted")
    }

    /// The statement took longer than its rule, or `mysql-default_query_timeout`, allows.
    pub fn timed_out() -> Refusal {
        Refusal::new(1907, b"70100", "Query execution was interrupted, query_timeout exceeded")
    }

    /// `mysql_users.schema_locked=1`, and another schema.
    pub fn schema_locked(user: &str, schema: &str) -> Refusal {
        Refusal::new(
            1044,
            b"42000",
            format!("Access denied for user '{user}' to database '{schema}': the user's schema is locked"),
        )
    }

    pub fn not_the_owner(id: u32) -> Refusal {
        Refusal::new(1095, b"HY000", format!("You are not owner of thread {id}"))
    }

    pub fn unknown_statement(id: u32) -> Refusal {
        Refusal::new(1243, b"HY000", format!("Unknown prepared statement handler ({id}) given to EXECUTE"))
    }

    pub fn no_cursor(id: u32) -> Refusal {
        Refusal::new(1421, b"HY000", format!("The statement ({id}) has no open cursor."))
    }

    /// KILL, which would name a session of ours to a server that has other ones.
    pub fn not_preparable() -> Refusal {
        Refusal::new(1295, b"HY000", "This command is not supported in the prepared statement protocol yet")
    }

    pub fn wrong_arguments() -> Refusal {
        Refusal::new(1210, b"HY000", "Incorrect arguments to EXECUTE: the parameters have no types")
    }

    pub fn too_many_statements(limit: usize) -> Refusal {
        Refusal::new(
            1461,
            b"42000",
            format!("Can't create more than max_prepared_stmt_count statements (current value: {limit})"),
        )
    }

    pub fn too_many_connections() -> Refusal {
        Refusal::new(1040, b"08004", "Too many connections")
    }

    pub fn user_has_too_many(user: &str) -> Refusal {
        Refusal::new(
            1226,
            b"42000",
            format!("User '{user}' has exceeded the 'max_user_connections' resource"),
        )
    }

    /// `mysql_users.use_ssl=1` and no TLS.
    pub fn tls_required(user: &str) -> Refusal {
        Refusal::new(
            1045,
            b"28000",
            format!("ProxySQL Error: Access denied for user '{user}': SSL is required"),
        )
    }

    pub fn certificate_required(user: &str, uri: &str) -> Refusal {
        Refusal::new(
            1045,
            b"28000",
            format!("ProxySQL Error: Access denied for user '{user}': a certificate for {uri} is required"),
        )
    }

    /// A backend's connection broke before the client saw any of the answer.
    pub fn lost(server: &Server, cause: &str, in_transaction: bool) -> Refusal {
        let Server { hostname, port, .. } = server;
        if in_transaction {
            // The code that applications and frameworks answer by running the transaction again.
            let text = format!(
                "Lost connection to {hostname}:{port} ({cause}); the transaction was rolled back, retry it"
            );
            return Refusal::new(1213, b"40001", text);
        }
        Refusal::new(
            2013,
            b"HY000",
            format!("Lost connection to MySQL server {hostname}:{port} during query ({cause})"),
        )
    }

    /// A backend refused the login.
    pub fn connect(error: &ConnectError) -> Refusal {
        match error {
            ConnectError::Denied(packet) => Refusal(packet.clone()),
            other => Refusal::new(9002, b"HY000", format!("Cannot connect to a backend: {other}")),
        }
    }

    /// Error 9001, with the reason for each server.
    pub fn no_server(snapshot: &Snapshot, hostgroup: HostgroupId, waited: Duration) -> Refusal {
        let waited = waited.as_millis();
        let mut text =
            format!("Max connect timeout reached while reaching hostgroup {hostgroup} after {waited}ms");
        let members = snapshot.hostgroups.get(&hostgroup).map(|group| &group.members[..]).unwrap_or_default();
        if members.is_empty() {
            text.push_str(" (the hostgroup has no server)");
        }
        let crowded = snapshot.hostgroups.get(&hostgroup).is_some_and(Hostgroup::has_too_many_online);
        if crowded {
            text.push_str(" (more servers are ONLINE than max_num_online_servers)");
        }
        for (index, member) in members.iter().enumerate() {
            let Server { hostname, port, .. } = &*member.server;
            let separator = if index == 0 { " (" } else { "; " };
            let why = match (&*member.reason, member.server.connections() >= member.max_connections) {
                ("", true) => "max_connections are in use",
                ("", false) if member.weight == 0 => "weight is 0",
                ("", false) => "no answer in time",
                (reason, _) => reason,
            };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{hostname}:{port} {}: {why}", member.status.as_str());
        }
        if !members.is_empty() {
            text.push(')');
        }
        Refusal::new(9001, b"HY000", text)
    }

    pub fn code(&self) -> u16 {
        self.0.code
    }

    pub fn text(&self) -> &str {
        &self.0.message
    }

    /// As one frame with this sequence number.
    pub fn frames(&self, sequence: u8) -> Vec<u8> {
        frames_of(&self.0.encode(), sequence)
    }

    /// The same for a client that may not take every code.
    pub fn frames_in(&self, codes: Codes, sequence: u8) -> Vec<u8> {
        match codes {
            Codes::Servers if CLIENTS_OWN.contains(&self.code()) => {
                Refusal::new(CONNECTION_KILLED, b"08S01", self.text()).frames(sequence)
            }
            Codes::Servers | Codes::All => self.frames(sequence),
        }
    }
}

/// Codes that client libraries give to what they find themselves; 2013 is the usual one for an answer that is lost.
const CLIENTS_OWN: std::ops::RangeInclusive<u16> = 2000..=2999;
/// MariaDB's own code for a connection that has ended; MaxScale, too, says it of a lost server.
const CONNECTION_KILLED: u16 = 1927;

/// Which error codes a client takes from a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codes {
    #[default]
    All,
    /// Not those of [`CLIENTS_OWN`].
    Servers,
}

impl Codes {
    /// By its connection attributes. libmariadb, since 3.3, takes an error packet with a code of its own for a malformed one
    /// (2027), and the text is lost with it.
    pub fn of(attributes: &[(String, String)]) -> Codes {
        let names_itself = |(name, value): &(String, String)| name == "_client_name" && value == "libmariadb";
        if attributes.iter().any(names_itself) { Codes::Servers } else { Codes::All }
    }
}

/// An OK with this status, as the answer to a command of a client with these capabilities.
pub fn ok(client: Capabilities, status: Status, info: &str) -> Vec<u8> {
    let packet = OkPacket { status, info: info.as_bytes().to_vec(), ..OkPacket::default() };
    frames_of(&packet.encode(client), 1)
}

/// An OK that ends a login, with this sequence number.
pub fn ok_at(client: Capabilities, status: Status, sequence: u8) -> Vec<u8> {
    let packet = OkPacket { status, ..OkPacket::default() };
    frames_of(&packet.encode(client), sequence)
}

/// An EOF as the answer to a command.
pub fn eof(client: Capabilities, status: Status) -> Vec<u8> {
    let payload = match client.contains(Capabilities::DEPRECATE_EOF) {
        true => OkPacket { status, ..OkPacket::default() }.encode_end(client),
        false => EofPacket { warnings: 0, status }.encode(),
    };
    frames_of(&payload, 1)
}

/// A result set of one text column and one row.
pub fn one_row(client: Capabilities, column: &str, value: &str, status: Status) -> Vec<u8> {
    text_resultset(&[ColumnDefinition::text(column)], &[vec![Some(value.to_owned())]], status, client)
}

/// COM_QUERY with this text and no attributes, for a connection with these capabilities, from sequence number 0 on.
pub fn query_frames(text: &[u8], capabilities: Capabilities) -> Vec<u8> {
    attributed_frames(no_attributes(capabilities), text)
}

/// COM_QUERY with query attributes as a client sent them: nothing where they are not negotiated.
pub fn attributed_frames(attributes: &[u8], text: &[u8]) -> Vec<u8> {
    frames_of(&[&[Command::Query as u8], attributes, text].concat(), 0)
}

/// The COM_QUERY of a client with QUERY_ATTRIBUTES for a server without; `None` if these frames are something else.
pub fn without_attributes(frames: &[u8]) -> Option<Vec<u8>> {
    match Request::parse(&frame::payload(frames), Capabilities::QUERY_ATTRIBUTES) {
        Ok(Request::Query(query)) => Some(attributed_frames(&[], query.text)),
        _ => None,
    }
}

/// A payload as frames, from this sequence number on.
pub fn frames_of(payload: &[u8], mut sequence: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len() + frame::HEADER);
    frame::write(&mut out, &mut sequence, payload);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Member, Status as ServerStatus};
    use std::sync::Arc;

    #[test]
    fn attributes_are_left_out_of_texts_alone() {
        let none = query_frames(b"DO 1", Capabilities::QUERY_ATTRIBUTES);
        assert_eq!(none, b"\x07\0\0\0\x03\0\x01DO 1");
        assert_eq!(without_attributes(&none), Some(query_frames(b"DO 1", Capabilities::empty())));
        let one = attributed_frames(b"\x01\x01\0\x01\xfd\0\x01k\x01v", b"DO 1");
        assert_eq!(without_attributes(&one).as_deref(), Some(&b"\x05\0\0\0\x03DO 1"[..]));
        assert_eq!(without_attributes(&frames_of(b"\x02test", 0)), None);
    }

    #[test]
    fn a_library_that_takes_no_codes_of_its_own_from_a_server_gets_a_server_s() {
        let codes =
            |name: &str| Codes::of(&[("_os".into(), "Linux".into()), ("_client_name".into(), name.into())]);
        assert_eq!((codes("libmariadb"), codes("libmysql")), (Codes::Servers, Codes::All));
        assert_eq!(Codes::of(&[]), Codes::All);
        let lost = Refusal::lost(&Server::new(1, "db1", 3306), "end of file", false);
        let told = |refusal: &Refusal, codes| {
            let frames = refusal.frames_in(codes, 1);
            ErrPacket::parse(&frames[frame::HEADER..]).expect("an ERR packet")
        };
        let (theirs, ours) = (told(&lost, Codes::Servers), told(&lost, Codes::All));
        assert_eq!((theirs.code, ours.code), (1927, 2013));
        assert_eq!(theirs.message, ours.message);
        let rolled_back = Refusal::lost(&Server::new(1, "db1", 3306), "end of file", true);
        assert_eq!(told(&rolled_back, Codes::Servers).code, 1213);
    }

    #[test]
    fn error_9001_names_the_reason_of_every_server() {
        let member = |port, status, reason: &str| Member {
            server: Arc::new(Server::new(500, "10.0.0.1", port)),
            status,
            weight: 1,
            max_connections: 10,
            use_ssl: false,
            compression: false,
            is_silent: false,
            reason: reason.into(),
        };
        let members = vec![
            member(1, ServerStatus::Shunned, "2003 connection refused"),
            member(2, ServerStatus::Online, ""),
        ];
        let mut snapshot = Snapshot::default();
        snapshot.hostgroups.insert(500, Hostgroup { members, ..Hostgroup::default() });
        let refusal = Refusal::no_server(&snapshot, 500, Duration::from_millis(10_001));
        assert_eq!(refusal.code(), 9001);
        assert_eq!(
            refusal.text(),
            "Max connect timeout reached while reaching hostgroup 500 after 10001ms \
             (10.0.0.1:1 SHUNNED: 2003 connection refused; 10.0.0.1:2 ONLINE: no answer in time)"
        );
        let nowhere = Refusal::no_server(&snapshot, 7, Duration::ZERO);
        assert!(nowhere.text().ends_with("(the hostgroup has no server)"), "{}", nowhere.text());
    }
}
