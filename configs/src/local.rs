//! The machine's own addresses, by which a host finds itself in the list of hosts.
//!
//! The one piece of this crate that asks the system something.

use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;

/// Every IPv4 and IPv6 address of every interface; empty if the system will not say.
pub fn local_addresses() -> Vec<IpAddr> {
    interface_addresses().into_iter().map(|(_, address)| address).collect()
}

/// The same, each with its interface's name.
pub fn interface_addresses() -> Vec<(String, IpAddr)> {
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|it| IpAddr::V4(it.ip()));
            let address = v4.or_else(|| address.as_sockaddr_in6().map(|it| IpAddr::V6(it.ip())))?;
            Some((interface.interface_name, address))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn loopback_is_local() {
        assert!(super::local_addresses().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
