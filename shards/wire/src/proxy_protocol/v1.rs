//! Version 1: one line of text. §2.1

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::str::FromStr;

use super::{Header, HeaderError, Origin, Parsed, V1_BYTES_MAX, V1_SIGNATURE, Version};

/// Reads a header that `bytes` begin with, be it with the first byte only.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, HeaderError> {
    let window = &bytes[..bytes.len().min(V1_BYTES_MAX)];
    // The first of the two ends the line, and only both together do so rightly.
    let Some(end) = window.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
        return if bytes.len() < V1_BYTES_MAX { Ok(Parsed::Partial) } else { Err(HeaderError::LineTooLong) };
    };
    match window[end..] {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if window.len() < V1_BYTES_MAX => return Ok(Parsed::Partial),
        [b'\r'] => return Err(HeaderError::LineTooLong),
        _ => return Err(HeaderError::Line),
    }
    let line = window[..end].strip_prefix(V1_SIGNATURE).ok_or(HeaderError::Line)?;
    let origin = origin(line).ok_or(HeaderError::Line)?;
    Ok(Parsed::Complete(Header { origin, version: Version::V1 }, end + 2))
}

/// What stands behind the signature.
fn origin(line: &[u8]) -> Option<Origin> {
    let (protocol, rest) = match line.iter().position(|byte| *byte == b' ') {
        Some(blank) => (&line[..blank], Some(&line[blank + 1..])),
        None => (line, None),
    };
    match protocol {
        // Whatever follows is to be ignored.
        b"UNKNOWN" => Some(Origin::Unknown),
        b"TCP4" => addresses(rest?, |text| Ipv4Addr::from_str(text).ok().map(IpAddr::V4)),
        b"TCP6" => addresses(rest?, ipv6),
        _ => None,
    }
}

/// Both addresses, then both ports, one blank between each.
fn addresses(text: &[u8], ip: impl Fn(&str) -> Option<IpAddr>) -> Option<Origin> {
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let (source, destination) = (ip(words.next()?)?, ip(words.next()?)?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    let (source, destination) = (SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port));
    Some(Origin::Tcp { source, destination })
}

/// Sets of hexadecimal digits only: an IPv4 address at the end is another notation.
fn ipv6(text: &str) -> Option<IpAddr> {
    if text.contains('.') {
        return None;
    }
    Ipv6Addr::from_str(text).ok().map(IpAddr::V6)
}

/// 0 to 65535, without zeros ahead.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if is_plain { text.parse().ok() } else { None }
}
