//! Whose word about the client is believed.

use std::fmt;
use std::net::IpAddr;

/// Which peers may tell us who the client behind them is.
///
/// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host` of a peer inside one of the networks are kept, and the
/// peer's own address is appended to `X-Forwarded-For`. From anyone else they are removed, together with `Forwarded`, and
/// written anew. A peer on a Unix socket is trusted when `unix` says so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustPolicy {
    /// Networks of trusted peers. Empty by default: nobody is trusted.
    pub networks: Vec<Network>,
    /// Whether peers on Unix sockets are trusted.
    pub unix: bool,
}

impl TrustPolicy {
    /// Whether a peer at `address` is trusted.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// A block of addresses in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix_bits: u8,
}

impl Network {
    /// The block of all addresses whose first `prefix_bits` bits are those of `base`. `None` if the family has fewer bits.
    #[must_use]
    pub fn new(base: IpAddr, prefix_bits: u8) -> Option<Network> {
        let bits = if base.is_ipv4() { 32 } else { 128 };
        (prefix_bits <= bits).then_some(Network { base, prefix_bits })
    }

    /// Whether `address` lies in the block. An IPv4 address in IPv6 clothing (`::ffff:a.b.c.d`) counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base.to_canonical(), address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.prefix_bits.min(32));
                u64::from(base.to_bits() ^ address.to_bits()) >> shift == 0
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let difference = base.to_bits() ^ address.to_bits();
                self.prefix_bits == 0 || difference >> (128 - u32::from(self.prefix_bits)) == 0
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(base: &str, bits: u8) -> Network {
        Network::new(base.parse().unwrap(), bits).unwrap()
    }

    #[test]
    fn a_block_holds_its_addresses_and_no_others() {
        let cases = [
            ("10.0.0.0", 8, "10.255.0.1", true),
            ("10.0.0.0", 8, "11.0.0.1", false),
            ("0.0.0.0", 0, "203.0.113.9", true),
            ("192.0.2.7", 32, "192.0.2.7", true),
            ("192.0.2.7", 32, "192.0.2.6", false),
            ("10.0.0.0", 8, "::ffff:10.1.2.3", true),
            ("2001:db8::", 32, "2001:db8:1::1", true),
            ("2001:db8::", 32, "2001:db9::1", false),
            ("::", 0, "10.0.0.1", false),
        ];
        for (base, bits, address, inside) in cases {
            assert_eq!(network(base, bits).contains(address.parse().unwrap()), inside, "{address} in {base}/{bits}");
        }
    }

    #[test]
    fn a_prefix_longer_than_the_family_is_refused() {
        assert_eq!(Network::new("10.0.0.0".parse().unwrap(), 33), None);
        assert_eq!(Network::new("::".parse().unwrap(), 129), None);
    }
}
