//! What an application asks of the proxy in a comment: `/* hostgroup=1; cache_ttl=500 */`.
//!
//! Names and values are ProxySQL's. What is no number, and every other name, is passed over: comments are also for
//! people.

use super::decide::Decision;

/// The settings of one comment; `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations {
    pub hostgroup: Option<u32>,
    pub cache_ttl: Option<u32>,
    /// Milliseconds.
    pub query_timeout: Option<u32>,
    /// Milliseconds.
    pub query_delay: Option<u32>,
    pub query_retries: Option<u32>,
    /// A hostgroup.
    pub mirror: Option<u32>,
    pub create_new_connection: bool,
    /// A transaction that the server must have executed.
    pub min_gtid: Option<Box<str>>,
}

impl Annotations {
    /// Reads the inside of a comment: `name=value`, separated by semicolons.
    pub fn parse(comment: &[u8]) -> Annotations {
        let mut found = Annotations::default();
        for entry in comment.split(|&byte| byte == b';') {
            let mut parts = entry.splitn(2, |&byte| byte == b'=');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
            let (name, text) = (name.trim_ascii(), value.trim_ascii());
            let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
            if is("min_gtid") {
                found.min_gtid = std::str::from_utf8(text).ok().map(Box::from);
                continue;
            }
            let Some(value) = number(text) else { continue };
            let place = match () {
                () if is("hostgroup") => &mut found.hostgroup,
                () if is("cache_ttl") => &mut found.cache_ttl,
                () if is("query_timeout") => &mut found.query_timeout,
                () if is("query_delay") => &mut found.query_delay,
                () if is("query_retries") => &mut found.query_retries,
                () if is("mirror") => &mut found.mirror,
                () if is("create_new_connection") => {
                    found.create_new_connection = value == 1;
                    continue;
                }
                () => continue,
            };
            *place = Some(value);
        }
        found
    }
}

impl Decision<'_> {
    /// Takes over what a comment says.
    pub fn annotate(&mut self, said: &Annotations) {
        self.destination_hostgroup = said.hostgroup.or(self.destination_hostgroup);
        self.cache_ttl = said.cache_ttl.or(self.cache_ttl);
        self.timeout = said.query_timeout.or(self.timeout);
        self.delay = said.query_delay.or(self.delay);
        self.retries = said.query_retries.or(self.retries);
        self.mirror_hostgroup = said.mirror.or(self.mirror_hostgroup);
        self.new_connection |= said.create_new_connection;
        if said.min_gtid.is_some() {
            self.min_gtid.clone_from(&said.min_gtid);
        }
    }
}

/// The digits that a value begins with.
fn number(value: &[u8]) -> Option<u32> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(value.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_and_what_is_passed_over() {
        let said = |text: &str| Annotations::parse(text.as_bytes());
        let none = Annotations::default();
        assert_eq!(
            said(" hostgroup = 1 ; CACHE_TTL=500;query_timeout=20 ;; "),
            Annotations { hostgroup: Some(1), cache_ttl: Some(500), query_timeout: Some(20), ..none.clone() }
        );
        assert_eq!(
            said("query_delay=7;query_retries=0;mirror=30;create_new_connection=1"),
            Annotations {
                query_delay: Some(7),
                query_retries: Some(0),
                mirror: Some(30),
                create_new_connection: true,
                ..none.clone()
            }
        );
        assert_eq!(said("min_gtid = 0-1-7 ").min_gtid.as_deref(), Some("0-1-7"));
        for text in [
            "",
            ";=;",
            "hostgroup",
            "hostgroup=",
            "hostgroup=-1",
            "hostgroup=x",
            "app=7",
            "=1",
            "create_new_connection=0",
        ] {
            assert_eq!(said(text), none, "{text}");
        }
        assert_eq!(said("hostgroup=99999999999"), none, "no hostgroup has that number");
        assert_eq!(said("hostgroup=1;hostgroup=2x").hostgroup, Some(2));
    }

    #[test]
    fn a_comment_overrides_only_what_it_says() {
        let mut decision = Decision { destination_hostgroup: Some(1), delay: Some(5), ..Decision::default() };
        decision.annotate(&Annotations::parse(b"hostgroup=2"));
        assert_eq!((decision.destination_hostgroup, decision.delay), (Some(2), Some(5)));
    }
}
