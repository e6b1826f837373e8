//! Routes and rules that come and go with a VIP, in the words of ip-route(8) and ip-rule(8). Pure.

use std::net::IpAddr;
use std::str::SplitWhitespace;

/// A network: address and prefix length.
pub type Net = (IpAddr, u8);

/// What a route does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    Unicast,
    Blackhole,
    Unreachable,
    Prohibit,
}

/// `default via 192.0.2.1 dev eth1 src 192.0.2.88 metric 10 table 100 onlink`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub kind: RouteKind,
    /// `default` has prefix length 0.
    pub destination: Net,
    pub via: Option<IpAddr>,
    /// Without it the kernel finds one for `via`, else the router's own.
    pub interface: Option<String>,
    pub source: Option<IpAddr>,
    pub metric: Option<u32>,
    pub table: u32,
    /// The next hop is on the link, even if no address there says so.
    pub onlink: bool,
}

/// `from 192.0.2.88 table 100 priority 1000`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub is_ipv6: bool,
    pub from: Option<Net>,
    pub to: Option<Net>,
    pub iif: Option<String>,
    pub oif: Option<String>,
    pub fwmark: Option<u32>,
    pub priority: Option<u32>,
    pub table: u32,
}

/// `main`.
const MAIN: u32 = 254;
const TABLES: [(&str, u32); 3] = [("default", 253), ("main", MAIN), ("local", 255)];

impl Route {
    /// Reads one; `default` is of the VIP's family.
    pub fn parse(text: &str, is_ipv6: bool) -> Result<Route, String> {
        let mut words = text.split_whitespace();
        let mut first = words.next().ok_or("is empty")?;
        let kinds = [
            ("unicast", RouteKind::Unicast),
            ("blackhole", RouteKind::Blackhole),
            ("unreachable", RouteKind::Unreachable),
            ("prohibit", RouteKind::Prohibit),
        ];
        let kind = kinds.into_iter().find(|(word, _)| *word == first).map(|(_, kind)| kind);
        if kind.is_some() || first == "to" {
            first = words.next().ok_or("has no destination")?;
        }
        let destination = net(first, is_ipv6)?;
        let kind = kind.unwrap_or(RouteKind::Unicast);
        let mut route = Route {
            kind,
            destination,
            via: None,
            interface: None,
            source: None,
            metric: None,
            table: MAIN,
            onlink: false,
        };
        while let Some(word) = words.next() {
            match word {
                "via" | "gw" => route.via = Some(address(value(word, &mut words)?, is_ipv6)?),
                "src" => route.source = Some(address(value(word, &mut words)?, is_ipv6)?),
                "dev" => route.interface = Some(interface(value(word, &mut words)?)?),
                "metric" | "priority" | "preference" => {
                    route.metric = Some(number(word, value(word, &mut words)?)?);
                }
                "table" => route.table = table(value(word, &mut words)?)?,
                "onlink" => route.onlink = true,
                other => return Err(format!("has {other:?}; known: via, dev, src, metric, table, onlink")),
            }
        }
        if kind != RouteKind::Unicast && (route.via.is_some() || route.interface.is_some()) {
            return Err("goes nowhere, so it has no via and no dev".to_owned());
        }
        Ok(route)
    }
}

impl Rule {
    /// Reads one; without an address it is of the VIP's family.
    pub fn parse(text: &str, is_ipv6: bool) -> Result<Rule, String> {
        let mut words = text.split_whitespace().peekable();
        let mut rule = Rule {
            is_ipv6,
            from: None,
            to: None,
            iif: None,
            oif: None,
            fwmark: None,
            priority: None,
            table: 0,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("has nothing behind {word:?}"));
            match word {
                "from" => rule.from = any_or_net(value()?, is_ipv6)?,
                "to" => rule.to = any_or_net(value()?, is_ipv6)?,
                "iif" | "dev" => rule.iif = Some(interface(value()?)?),
                "oif" => rule.oif = Some(interface(value()?)?),
                "fwmark" => rule.fwmark = Some(number(word, value()?)?),
                "priority" | "preference" | "pref" | "order" => rule.priority = Some(number(word, value()?)?),
                "table" | "lookup" => rule.table = table(value()?)?,
                other => {
                    return Err(format!("has {other:?}; known: from, to, iif, oif, fwmark, priority, table"));
                }
            }
        }
        if rule.table == 0 {
            return Err("has no table".to_owned());
        }
        Ok(rule)
    }
}

fn value<'a>(word: &str, words: &mut SplitWhitespace<'a>) -> Result<&'a str, String> {
    words.next().ok_or_else(|| format!("has nothing behind {word:?}"))
}

fn any_or_net(text: &str, is_ipv6: bool) -> Result<Option<Net>, String> {
    if matches!(text, "any" | "all") { Ok(None) } else { net(text, is_ipv6).map(Some) }
}

fn net(text: &str, is_ipv6: bool) -> Result<Net, String> {
    if text == "default" {
        let any = if is_ipv6 { IpAddr::from([0_u8; 16]) } else { IpAddr::from([0_u8; 4]) };
        return Ok((any, 0));
    }
    let longest: u8 = if is_ipv6 { 128 } else { 32 };
    let (address_text, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, prefix.parse().ok()),
        None => (text, Some(longest)),
    };
    let prefix = prefix.filter(|prefix| *prefix <= longest);
    Ok((address(address_text, is_ipv6)?, prefix.ok_or_else(|| format!("{text:?} is no network"))?))
}

fn address(text: &str, is_ipv6: bool) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| format!("{text:?} is no address"))?;
    if address.is_ipv6() == is_ipv6 {
        Ok(address)
    } else {
        Err(format!("{text} is not of the VIP's address family"))
    }
}

fn number(word: &str, text: &str) -> Result<u32, String> {
    let hex = text.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    hex.or_else(|| text.parse().ok()).ok_or_else(|| format!("{word} {text:?} is no number"))
}

fn table(text: &str) -> Result<u32, String> {
    let named = TABLES.iter().find(|(name, _)| *name == text).map(|(_, table)| *table);
    named
        .or_else(|| text.parse().ok())
        .filter(|table| *table > 0)
        .ok_or_else(|| format!("table {text:?} is neither a number nor main, default or local"))
}

fn interface(text: &str) -> Result<String, String> {
    if is_interface(text) { Ok(text.to_owned()) } else { Err(format!("{text:?} is not an interface's name")) }
}

/// Linux: at most 15 bytes, no blanks, no slash.
pub(crate) fn is_interface(name: &str) -> bool {
    (1..=15).contains(&name.len()) && !name.contains(|letter: char| letter == '/' || letter.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn routes() {
        let all = "default via 10.0.0.1 dev eth1 src 10.0.0.88 metric 10 table 100 onlink";
        let route = Route::parse(all, false).expect("route");
        assert_eq!((route.kind, route.destination), (RouteKind::Unicast, (ip("0.0.0.0"), 0)));
        assert_eq!((route.via, route.source), (Some(ip("10.0.0.1")), Some(ip("10.0.0.88"))));
        assert_eq!((route.interface.as_deref(), route.metric), (Some("eth1"), Some(10)));
        assert_eq!((route.table, route.onlink), (100, true));
        let hole = Route::parse("blackhole fd00::/8", true).expect("hole");
        assert_eq!((hole.kind, hole.destination, hole.table), (RouteKind::Blackhole, (ip("fd00::"), 8), 254));
        for (text, why) in [
            ("", "is empty"),
            ("10.0.0.0/33", "is no network"),
            ("default via", "has nothing behind \"via\""),
            ("default via fd00::1", "is not of the VIP's address family"),
            ("default scope link", "has \"scope\"; known: via"),
            ("prohibit default dev eth0", "goes nowhere"),
            ("default table nope", "table \"nope\" is neither"),
        ] {
            let error = Route::parse(text, false).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn rules() {
        let rule = Rule::parse("from 10.0.0.88 to any fwmark 0x10 iif eth0 lookup main pref 99", false);
        let rule = rule.expect("rule");
        assert_eq!((rule.from, rule.to), (Some((ip("10.0.0.88"), 32)), None));
        assert_eq!((rule.fwmark, rule.priority, rule.table), (Some(16), Some(99), 254));
        for (text, why) in
            [("from 10.0.0.1", "has no table"), ("from x table 1", "is no address"), ("not", "has \"not\"")]
        {
            let error = Rule::parse(text, false).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
