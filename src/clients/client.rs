//! One client, for limits: an IPv4 address, or the 64 leading bits of an IPv6 one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

/// A key for tables: eight bytes, also in an `Option`. Whoever has one IPv6 address has all of its /64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(NonZeroU64);

/// Leading bits of no IPv6 address that anybody has (::/32 is reserved): they are free for IPv4.
const V4: u64 = u32::MAX as u64;
/// What stands for ::/64, and with it for ::1. As an IPv4 address it is nobody's.
const V6_ZERO: NonZeroU64 = NonZeroU64::MIN;

impl Client {
    /// ```
    /// use pinfold::internals::clients::Client;
    ///
    /// let client = |text: &str| Client::of(text.parse().unwrap());
    /// assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
    /// assert_eq!(client("2001:db8::1"), client("2001:db8::2"));
    /// assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
    /// ```
    #[must_use]
    pub fn of(address: IpAddr) -> Client {
        let key = match address.to_canonical() {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
        };
        Client(NonZeroU64::new(key).unwrap_or(V6_ZERO))
    }

    /// An address that is this client's: of an IPv6 client the first one.
    #[must_use]
    pub fn address(self) -> IpAddr {
        match self.0.get() {
            key if self.0 == V6_ZERO || key > V4 => {
                let bits = if self.0 == V6_ZERO { 0 } else { key };
                Ipv6Addr::from_bits(u128::from(bits) << 64).into()
            }
            key => Ipv4Addr::from_bits(key as u32).into(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_became_another_clients() {
        let texts = [
            "127.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "::1",
            "2001:db8::7",
            "fe80::1",
        ];
        for text in texts {
            let address: IpAddr = text.parse().unwrap();
            let client = Client::of(address);
            assert_eq!(Client::of(client.address()), client, "{text}");
            assert_eq!(client.address().is_ipv4(), address.is_ipv4(), "{text}");
        }
        assert_eq!(size_of::<Option<Client>>(), 8);
    }
}
