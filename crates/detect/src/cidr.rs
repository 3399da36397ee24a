//! Networks, IPv4 and IPv6.

use std::net::IpAddr;

/// A network: addresses that share a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cidr {
    address: IpAddr,
    prefix: u32,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `fe80::/10`, or one address.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok()?)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(bits);
        (prefix <= bits).then_some(Cidr { address, prefix })
    }

    /// The network of this length around an address.
    pub fn around(address: IpAddr, prefix: u32) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Cidr { address, prefix }.first())
    }

    /// The same network by its first address.
    fn first(self) -> Self {
        let host = |bits: u32| bits - self.prefix;
        let address = match self.address {
            IpAddr::V4(v4) => {
                IpAddr::V4(v4.to_bits().checked_shr(host(32)).unwrap_or(0).checked_shl(host(32)).unwrap_or(0).into())
            }
            IpAddr::V6(v6) => {
                IpAddr::V6(v6.to_bits().checked_shr(host(128)).unwrap_or(0).checked_shl(host(128)).unwrap_or(0).into())
            }
        };
        Cidr { address, ..self }
    }

    /// Whether it is IPv6, and its prefix length.
    pub fn prefix(&self) -> (bool, u32) {
        (self.address.is_ipv6(), self.prefix)
    }

    /// True when the text is an address inside. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.trim().parse::<IpAddr>() else { return false };
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_prefix(u128::from(network.to_bits()), u128::from(address.to_bits()), 32, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_prefix(network.to_bits(), address.to_bits(), 128, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V4(mapped)) => {
                same_prefix(network.to_bits(), mapped.to_ipv6_mapped().to_bits(), 128, self.prefix) && self.prefix >= 96
            }
            (IpAddr::V4(_), IpAddr::V6(_)) => false,
        }
    }
}

impl std::fmt::Display for Cidr {
    /// The first address and the length: every way to write a network becomes the same text.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first().address, self.prefix)
    }
}

fn same_prefix(a: u128, b: u128, bits: u32, prefix: u32) -> bool {
    prefix == 0 || (a ^ b) >> (bits - prefix) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.1.2.3", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("192.168.1.1", "192.168.1.1", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("127.0.0.0/8", "::ffff:127.0.0.1", true),
            ("10.0.0.0/8", "not an address", false),
        ] {
            assert_eq!(Cidr::parse(network).expect(network).contains(address), inside, "{network} {address}");
        }
        for bad in ["10.0.0.0/33", "x/8", "10.0.0.0/", ""] {
            assert_eq!(Cidr::parse(bad), None, "{bad}");
        }
    }
}
