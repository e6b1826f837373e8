//! A list of networks, as `mysql-proxy_protocol_networks` has it: `192.0.2.0/24, 2001:db8::/32, 192.0.2.9`, or `*` for all.

use std::net::IpAddr;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    all: bool,
    list: Vec<(IpAddr, u8)>,
}

impl Networks {
    /// # Errors
    /// The word that is no network.
    pub fn parse(text: &str) -> Result<Networks, String> {
        let mut networks = Networks::default();
        for word in text.split([',', ';']).map(str::trim).filter(|word| !word.is_empty()) {
            if word == "*" {
                networks.all = true;
                continue;
            }
            networks.list.push(network(word).ok_or_else(|| word.to_owned())?);
        }
        Ok(networks)
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.all || self.list.iter().any(|(network, length)| is_in(address, *network, *length))
    }
}

fn network(word: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (word, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    Some((address, length.unwrap_or(longest))).filter(|(_, length)| *length <= longest)
}

fn is_in(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let differ = match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    differ >= u32::from(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_networks() {
        let networks = Networks::parse("192.0.2.0/24, 2001:db8::/32,198.51.100.7").unwrap();
        let has = |address: &str| networks.contains(address.parse().unwrap());
        assert!(has("192.0.2.255") && has("::ffff:192.0.2.1") && has("2001:db8:1::1") && has("198.51.100.7"));
        assert!(!has("192.0.3.0") && !has("2001:db9::1") && !has("198.51.100.8"));
        assert!(Networks::parse("*").unwrap().contains("203.0.113.1".parse().unwrap()));
        assert!(!Networks::parse("").unwrap().contains("127.0.0.1".parse().unwrap()));
        assert_eq!(Networks::parse("10.0.0.0/33"), Err("10.0.0.0/33".to_owned()));
        assert_eq!(Networks::parse("localhost"), Err("localhost".to_owned()));
    }
}
