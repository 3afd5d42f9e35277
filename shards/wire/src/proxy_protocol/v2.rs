//! Version 2: binary. §2.2

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::crc32c::crc32c;
use super::{Header, HeaderError, Origin, Parsed, V2_BYTES_MAX, V2_SIGNATURE, Version};

/// Bytes ahead of the addresses: signature, version and command, family and transport, length.
pub(super) const FIXED_BYTES: usize = 16;
/// The checksum's type among the TLVs. §2.2.3
const TYPE_CRC32C: u8 = 0x03;
/// Bytes of a TLV ahead of its value: type and length.
const TLV_BYTES: usize = 3;

/// What the addresses of a header are.
#[derive(Clone, Copy)]
enum Family {
    Unspecified,
    Inet,
    Inet6,
    Unix,
}

impl Family {
    fn address_bytes(self) -> usize {
        match self {
            Family::Unspecified => 0,
            Family::Inet => 12,
            Family::Inet6 => 36,
            Family::Unix => 216,
        }
    }
}

/// Reads a header that `bytes` begin with, be it with the first byte only.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let is_local = match bytes.get(V2_SIGNATURE.len()) {
        None => return Ok(Parsed::Partial),
        Some(byte) if byte >> 4 != 2 => return Err(HeaderError::Version),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(HeaderError::Command),
    };
    let Some(family_byte) = bytes.get(13) else { return Ok(Parsed::Partial) };
    let family = match family_byte >> 4 {
        0 => Family::Unspecified,
        1 => Family::Inet,
        2 => Family::Inet6,
        3 => Family::Unix,
        _ => return Err(HeaderError::Family),
    };
    let is_stream = match family_byte & 0xf {
        0 | 2 => false,
        1 => true,
        _ => return Err(HeaderError::Family),
    };
    let Some([high, low]) = bytes.get(14..FIXED_BYTES) else { return Ok(Parsed::Partial) };
    let len = FIXED_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
    if len > V2_BYTES_MAX {
        return Err(HeaderError::TooLong(len));
    }
    if !is_local && len < FIXED_BYTES + family.address_bytes() {
        return Err(HeaderError::Addresses);
    }
    let Some(header) = bytes.get(..len) else { return Ok(Parsed::Partial) };
    let block = &header[FIXED_BYTES..];
    let origin = if is_local {
        // The block is to be passed over, family and all; what looks like a checksum in it is none.
        Origin::Local
    } else {
        check_tlvs(header, FIXED_BYTES + family.address_bytes())?;
        if is_stream { origin(family, block) } else { Origin::Unknown }
    };
    Ok(Parsed::Complete(Header { origin, version: Version::V2 }, len))
}

/// The addresses at the beginning of `block`, which has room for them.
fn origin(family: Family, block: &[u8]) -> Origin {
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    match family {
        Family::Unspecified => Origin::Unknown,
        Family::Unix => Origin::Unix,
        Family::Inet => {
            let ip = |at: usize| Ipv4Addr::new(block[at], block[at + 1], block[at + 2], block[at + 3]);
            let (source, destination) = ((ip(0), port(8)).into(), (ip(4), port(10)).into());
            Origin::Tcp { source, destination }
        }
        Family::Inet6 => {
            let ip = |at: usize| {
                let mut octets = [0; 16];
                octets.copy_from_slice(&block[at..at + 16]);
                Ipv6Addr::from(octets)
            };
            let (source, destination): (SocketAddr, SocketAddr) = ((ip(0), port(32)).into(), (ip(16), port(34)).into());
            Origin::Tcp { source, destination }
        }
    }
}

/// Walks the TLVs from `start` to the header's end, and verifies the checksum if there is one.
fn check_tlvs(header: &[u8], start: usize) -> Result<(), HeaderError> {
    let mut checksum_at = None;
    let mut at = start;
    while at < header.len() {
        let [kind, high, low] = *header.get(at..at + TLV_BYTES).ok_or(HeaderError::Tlv)? else {
            return Err(HeaderError::Tlv);
        };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let value = at + TLV_BYTES;
        if header.len() - value < len {
            return Err(HeaderError::Tlv);
        }
        if kind == TYPE_CRC32C && (len != 4 || checksum_at.replace(value).is_some()) {
            return Err(HeaderError::Checksum);
        }
        at = value + len;
    }
    let Some(at) = checksum_at else { return Ok(()) };
    // It is computed with zeros in its own place.
    let parts: [&[u8]; 3] = [&header[..at], &[0; 4], &header[at + 4..]];
    let told = &header[at..at + 4];
    if crc32c(&parts).to_be_bytes() == *told { Ok(()) } else { Err(HeaderError::Checksum) }
}
