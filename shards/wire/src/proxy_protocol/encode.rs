//! Headers for the servers that we open connections to.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::io::Write as _;

use super::v2::FIXED_BYTES;
use super::{V2_BYTES_MAX, V2_SIGNATURE};

/// Who a connection is opened for, as a server is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announced {
    /// Ourselves. Version 1 has no word for it and says that it does not know, which some servers refuse. §2.1
    Local,
    /// Somebody without an address of TCP.
    Unknown,
    /// A client, and the address that it had connected to.
    Tcp {
        /// The client's address.
        source: SocketAddr,
        /// The address that it had connected to.
        destination: SocketAddr,
    },
}

const _: () = assert!(FIXED_BYTES + 36 <= V2_BYTES_MAX);

/// Appends a header of version 1. §2.1
pub fn encode_v1(out: &mut Vec<u8>, announced: Announced) {
    let Announced::Tcp { source, destination } = announced else {
        return out.extend_from_slice(b"PROXY UNKNOWN\r\n");
    };
    let written = match one_family(source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            write!(out, "PROXY TCP4 {from} {to} {} {}\r\n", source.port(), destination.port())
        }
        (from, to) => {
            let (from, to) = (Sets(segments(from)), Sets(segments(to)));
            write!(out, "PROXY TCP6 {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
    written.expect("a vector takes all");
}

/// Appends a header of version 2, without TLVs. §2.2
pub fn encode_v2(out: &mut Vec<u8>, announced: Announced) {
    out.extend_from_slice(V2_SIGNATURE);
    let (source, destination) = match announced {
        Announced::Local => return out.extend_from_slice(&[0x20, 0x00, 0, 0]),
        Announced::Unknown => return out.extend_from_slice(&[0x21, 0x00, 0, 0]),
        Announced::Tcp { source, destination } => (source, destination),
    };
    match one_family(source, destination) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&from.octets());
            out.extend_from_slice(&to.octets());
        }
        (from, to) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            for segment in segments(from).into_iter().chain(segments(to)) {
                out.extend_from_slice(&segment.to_be_bytes());
            }
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
}

/// Both addresses as of IPv4 if both are, else both as of IPv6.
fn one_family(source: SocketAddr, destination: SocketAddr) -> (IpAddr, IpAddr) {
    (source.ip().to_canonical(), destination.ip().to_canonical())
}

fn segments(address: IpAddr) -> [u16; 8] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .segments()
}

/// An IPv6 address in sets of hexadecimal digits throughout: where it has IPv4 inside, the usual notation does not.
struct Sets([u16; 8]);

impl std::fmt::Display for Sets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let address = Ipv6Addr::from(self.0);
        if address.to_ipv4_mapped().is_none() {
            return address.fmt(f);
        }
        let [.., a, b] = self.0;
        write!(f, "::ffff:{a:x}:{b:x}")
    }
}
