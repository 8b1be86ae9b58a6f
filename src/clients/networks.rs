//! Networks as an operator writes them: who is believed when it names a client's address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Any number of networks, and whether an address is in one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

/// What was written is no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANetwork;

/// Loopback, and what no router outside passes on: RFC 1918, RFC 6598 (between a provider and its customers, also
/// within a cloud), unique local and link-local addresses.
pub const PRIVATE: &str =
    "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7,fe80::/10";

impl Networks {
    /// Where a proxy of one's own is, unless somebody says otherwise.
    #[must_use]
    pub fn private() -> Networks {
        PRIVATE.parse().expect("it is a list of networks")
    }

    /// Whether an address is in one of them; an IPv4 address that stands in an IPv6 one counts as itself.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

impl FromStr for Networks {
    type Err = NotANetwork;

    /// Addresses and networks (`10.0.0.0/8`) with commas between them, or `none`.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        if text == "none" {
            return Ok(Networks::default());
        }
        let network = |text: &str| {
            let address = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
            let network = text.parse().or_else(|_| address(text));
            network.map_err(|_| NotANetwork)
        };
        text.split(',')
            .map(|text| network(text.trim()))
            .collect::<Result<_, _>>()
            .map(Networks)
    }
}

impl FromIterator<Networks> for Networks {
    fn from_iter<I: IntoIterator<Item = Networks>>(all: I) -> Self {
        Networks(all.into_iter().flat_map(|networks| networks.0).collect())
    }
}

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be an address or a network, such as 10.0.0.7 or 10.0.0.0/8, or none")
    }
}

impl std::error::Error for NotANetwork {}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_private(address: &str) -> bool {
        Networks::private().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_of_the_internet_that_is_taken_for_a_private_one() {
        for own in [
            "127.9.0.1",
            "::1",
            "::ffff:10.1.2.3",
            "172.31.255.255",
            "192.168.0.1",
            "100.127.0.1",
            "fd00::1",
            "fe80::1",
        ] {
            assert!(is_private(own), "{own}");
        }
        for foreign in [
            "126.0.0.1",
            "172.32.0.0",
            "100.128.0.1",
            "203.0.113.1",
            "::ffff:203.0.113.1",
            "2001:db8::1",
        ] {
            assert!(!is_private(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_list_of_networks_with_something_else_in_it() {
        let list: Networks = "10.0.0.7, 2001:db8::/32".parse().unwrap();
        assert!(list.contains("10.0.0.7".parse().unwrap()));
        assert!(!list.contains("10.0.0.8".parse().unwrap()));
        assert_eq!("none".parse(), Ok(Networks::default()));
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0",
            "proxy",
            "10.0.0.0/8,",
            "none,::1",
        ] {
            assert_eq!(wrong.parse::<Networks>(), Err(NotANetwork), "{wrong}");
        }
    }
}
