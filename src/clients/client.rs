//! One client, for limits: a principal, or else an IPv4 address, or the 64 leading bits of an IPv6 one.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// A key for tables: eight bytes, also in an `Option`. Whoever has one IPv6 address has all of its /64.
///
/// Of a principal it is 56 bits of a digest, under the prefix of addresses that nobody sends from (ff00::/8, multicast).
/// Two principals with the same key share what one may take, and nothing else: a client says how much, never who. It takes
/// 2^56 subjects of a trusted issuer to find one that meets a given principal, and a node with a million of them has a pair
/// that meets with a chance of one in a hundred thousand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Client(NonZeroU64);

/// Leading bits of no IPv6 address that anybody has (::/32 is reserved): they are free for IPv4.
const V4: u64 = u32::MAX as u64;
/// What stands for ::/64, and with it for ::1. As an IPv4 address it is nobody's.
const V6_ZERO: NonZeroU64 = NonZeroU64::MIN;
/// The first byte of a multicast address: no peer has one, and what a proxy says is not taken for one.
const PRINCIPAL: u64 = 0xff << 56;

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
        let key = NonZeroU64::new(key).filter(|key| !is_principal(*key));
        Client(key.unwrap_or(V6_ZERO))
    }

    /// `principal` is a digest: all of its bytes are as good as random, and the same on every node.
    ///
    /// ```
    /// use pinfold::internals::auth::PrincipalId;
    /// use pinfold::internals::clients::Client;
    ///
    /// let client = |subject| Client::of_principal(PrincipalId::of("https://login.example", subject).to_bytes());
    /// assert_eq!(client("alice"), client("alice"));
    /// assert_ne!(client("alice"), client("bob"));
    /// assert_eq!(client("alice").address(), None);
    /// ```
    #[must_use]
    pub const fn of_principal(principal: [u8; 16]) -> Client {
        let [a, b, c, d, e, f, g, ..] = principal;
        let key = u64::from_be_bytes([0xff, a, b, c, d, e, f, g]);
        match NonZeroU64::new(key) {
            Some(key) => Client(key),
            None => Client(V6_ZERO),
        }
    }

    #[must_use]
    pub const fn is_principal(self) -> bool {
        is_principal(self.0)
    }

    /// An address that is this client's: of an IPv6 client the first one. None: it is a principal, wherever it is.
    #[must_use]
    pub fn address(self) -> Option<IpAddr> {
        match self.0.get() {
            _ if self.is_principal() => None,
            key if self.0 == V6_ZERO || key > V4 => {
                let bits = if self.0 == V6_ZERO { 0 } else { key };
                Some(Ipv6Addr::from_bits(u128::from(bits) << 64).into())
            }
            key => Some(Ipv4Addr::from_bits(key as u32).into()),
        }
    }
}

const fn is_principal(key: NonZeroU64) -> bool {
    key.get() & PRINCIPAL == PRINCIPAL
}

/// For logs: an address, or what of a principal's digest is here.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "{address}"),
            None => write!(f, "principal {:014x}", self.0.get() & !PRINCIPAL),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
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
            "feff:ffff:ffff:ffff::1",
        ];
        for text in texts {
            let address: IpAddr = text.parse().unwrap();
            let client = Client::of(address);
            let shown = client.address().expect("it has an address");
            assert_eq!(Client::of(shown), client, "{text}");
            assert_eq!(shown.is_ipv4(), address.is_ipv4(), "{text}");
        }
        assert_eq!(size_of::<Option<Client>>(), 8);
    }

    /// A proxy passes on what somebody wrote into `X-Forwarded-For`.
    #[test]
    fn an_address_that_claims_a_principals_key() {
        let principal = Client::of_principal([0xab; 16]);
        for text in ["ffab:abab:abab:abab::1", "ff02::1", "ffff:ffff:ffff:ffff::"] {
            let client = Client::of(text.parse().unwrap());
            assert!(!client.is_principal(), "{text}");
            assert_ne!(client, principal);
            assert!(client.address().is_some(), "{text}");
        }
    }

    #[test]
    fn a_principal_that_is_shown_as_an_address() {
        let mut digest = [0; 16];
        (digest[0], digest[6], digest[7]) = (0x12, 0x34, 0x56);
        let principal = Client::of_principal(digest);
        assert_eq!(principal.to_string(), "principal 12000000000034");
        assert_eq!(principal.address(), None);
        assert!(Client::of_principal([0; 16]).is_principal());
    }
}
