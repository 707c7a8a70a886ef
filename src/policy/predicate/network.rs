//! Networks of client addresses: CIDR, single addresses, and Unix sockets.

use crate::hook::ClientAddress;
use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// Where a client may come from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Network {
    /// A Unix socket.
    Unix,
    /// IPv4: network and mask.
    V4(u32, u32),
    /// IPv6: network and mask.
    V6(u128, u128),
}

impl Network {
    /// Reads `10.0.0.0/8`, `::1`, `unix`.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| "expected a network such as `10.0.0.0/8`, an address, or `unix`")?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let bits: u32 = bits
            .map_or(Ok(whole), str::parse)
            .map_err(|_| "the length behind `/` is not a number")?;
        if bits > whole {
            return Err("the length behind `/` is longer than the address");
        }
        let network = match address {
            IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                (address.to_bits() & !mask == 0).then_some(Self::V4(address.to_bits(), mask))
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                (address.to_bits() & !mask == 0).then_some(Self::V6(address.to_bits(), mask))
            }
        };
        network.ok_or("bits are set behind the length of the network")
    }

    /// Whether every address of the other one lies in it.
    pub(super) fn covers(self, other: Self) -> bool {
        match (self, other) {
            (Self::Unix, Self::Unix) => true,
            (Self::V4(network, mask), Self::V4(inner, narrow)) => {
                narrow & mask == mask && inner & mask == network
            }
            (Self::V6(network, mask), Self::V6(inner, narrow)) => {
                narrow & mask == mask && inner & mask == network
            }
            _ => false,
        }
    }

    /// Whether an address lies in it. An IPv4 address that arrived on an IPv6 socket is an IPv4 address.
    pub(super) fn contains(self, client: ClientAddress) -> bool {
        match (self, client) {
            (Self::Unix, ClientAddress::Unix) => true,
            (Self::V4(network, mask), ClientAddress::Ip(address, _)) => {
                match address.to_canonical() {
                    IpAddr::V4(address) => address.to_bits() & mask == network,
                    IpAddr::V6(_) => false,
                }
            }
            (Self::V6(network, mask), ClientAddress::Ip(address, _)) => {
                match address.to_canonical() {
                    IpAddr::V4(_) => false,
                    IpAddr::V6(address) => address.to_bits() & mask == network,
                }
            }
            _ => false,
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unix => f.write_str("unix"),
            Self::V4(network, mask) => {
                write!(f, "{}/{}", Ipv4Addr::from_bits(network), mask.count_ones())
            }
            Self::V6(network, mask) => {
                write!(f, "{}/{}", Ipv6Addr::from_bits(network), mask.count_ones())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let ip = |text: &str| ClientAddress::Ip(text.parse().unwrap(), 1);
        for (network, client, expected) in [
            ("10.0.0.0/8", ip("10.1.2.3"), true),
            ("10.0.0.0/8", ip("11.1.2.3"), false),
            ("10.0.0.0/8", ip("::ffff:10.1.2.3"), true),
            ("0.0.0.0/0", ip("1.2.3.4"), true),
            ("0.0.0.0/0", ip("::1"), false),
            ("fd00::/8", ip("fd00::7"), true),
            ("::/0", ip("fd00::7"), true),
            ("127.0.0.1", ip("127.0.0.1"), true),
            ("unix", ClientAddress::Unix, true),
            ("unix", ip("127.0.0.1"), false),
            ("0.0.0.0/0", ClientAddress::Unix, false),
        ] {
            assert_eq!(
                Network::parse(network).map(|network| network.contains(client)),
                Ok(expected),
                "{network}"
            );
        }
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/x",
            "localhost",
            "fd00::/129",
        ] {
            assert!(Network::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_within_networks() {
        for (inner, outer, within) in [
            ("10.1.0.0/16", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.1.0.0/16", false),
            ("10.0.0.1", "10.0.0.1", true),
            ("fd00::1", "fd00::/8", true),
            ("unix", "unix", true),
            ("127.0.0.1", "unix", false),
            ("11.0.0.1", "10.0.0.0/8", false),
        ] {
            let parse = |text| Network::parse(text).unwrap();
            assert_eq!(parse(outer).covers(parse(inner)), within, "{inner}");
        }
    }
}
