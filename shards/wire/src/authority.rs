//! `host [":" port]`, the one value that routing and framing both depend on. RFC 3986 §3.2

/// The parts of a valid authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authority<'a> {
    /// The host; an IPv6 address keeps its brackets.
    pub host: &'a [u8],
    /// The port, if there is one. `host:` with nothing after the colon has none.
    pub port: Option<u16>,
}

/// Bytes of the longest host that is accepted: the longest name that DNS can hold, and some.
const HOST_BYTES_MAX: usize = 255;

impl<'a> Authority<'a> {
    /// Splits `bytes` if they are a valid authority: a registered name, an IPv4 address or an IPv6 address in brackets,
    /// then at most a port of 0 to 65535. User information is not accepted (RFC 9110 §4.2.4). The host is not empty.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Authority<'a>> {
        let (host_len, host_valid) = match bytes.first()? {
            b'[' => {
                let end = memchr::memchr(b']', bytes)?;
                (end + 1, is_ipv6(&bytes[1..end]))
            }
            _ => {
                let len = registered_name_len(bytes);
                (len, len > 0)
            }
        };
        let (host, rest) = bytes.split_at(host_len);
        let port = match rest {
            [] => None,
            [b':', digits @ ..] => port(digits)?,
            _ => return None,
        };
        (host_valid && host_len <= HOST_BYTES_MAX).then_some(Authority { host, port })
    }

    /// Whether both name the same host and port, where a missing port means `default_port`.
    #[must_use]
    pub fn same(&self, other: &Authority<'_>, default_port: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }
}

/// `Some(None)` for no digits, `None` for what is no port.
fn port(digits: &[u8]) -> Option<Option<u16>> {
    if digits.is_empty() {
        return Some(None);
    }
    if digits.len() > 5 {
        return None;
    }
    let mut value = 0u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u32::from(digit - b'0');
    }
    u16::try_from(value).ok().map(Some)
}

/// Bytes of a registered name that stand for themselves: unreserved and sub-delims.
const NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let others = b"-._~!$&'()*+,;=";
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
};

/// Length of the registered name at the start of `bytes`: of what stands for itself and of percent-encoded bytes.
fn registered_name_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    loop {
        let rest = &bytes[len..];
        len += rest.iter().position(|&byte| !NAME_BYTES[usize::from(byte)]).unwrap_or(rest.len());
        match bytes[len..] {
            [b'%', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => len += 3,
            _ => return len,
        }
    }
}

/// The `IPv6address` of RFC 3986 §3.2.2: up to eight groups of one to four hexadecimal digits, at most one gap `::`
/// that stands for one group or more, and at the end possibly an IPv4 address in place of two groups. No zone.
fn is_ipv6(address: &[u8]) -> bool {
    match address.windows(2).position(|pair| pair == b"::") {
        None => ipv6_groups(address, true) == Some(8),
        Some(gap) => {
            let before = ipv6_groups(&address[..gap], false);
            let after = ipv6_groups(&address[gap + 2..], true);
            // A second gap leaves an empty group in `after`, which is refused there.
            matches!((before, after), (Some(before), Some(after)) if before + after <= 7)
        }
    }
}

/// Number of groups in a list of them, an IPv4 address at the end (where it may stand) counting as two.
fn ipv6_groups(list: &[u8], ipv4_last: bool) -> Option<usize> {
    if list.is_empty() {
        return Some(0);
    }
    let mut groups = 0;
    let mut parts = list.split(|&byte| byte == b':').peekable();
    while let Some(part) = parts.next() {
        let hexadecimal = (1..=4).contains(&part.len()) && part.iter().all(u8::is_ascii_hexdigit);
        groups += match hexadecimal {
            true => 1,
            false if ipv4_last && parts.peek().is_none() && is_ipv4(part) => 2,
            false => return None,
        };
    }
    Some(groups)
}

fn is_ipv4(address: &[u8]) -> bool {
    let octet = |part: &[u8]| match part {
        [digit] => digit.is_ascii_digit(),
        [b'1'..=b'9', rest @ ..] if part.len() <= 3 && rest.iter().all(u8::is_ascii_digit) => {
            part.iter().fold(0u32, |value, digit| value * 10 + u32::from(digit - b'0')) <= 255
        }
        _ => false,
    };
    address.split(|&byte| byte == b'.').count() == 4 && address.split(|&byte| byte == b'.').all(octet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_authorities_are_split() {
        let longest = [b'a'; HOST_BYTES_MAX];
        let cases: &[(&[u8], &[u8], Option<u16>)] = &[
            (b"example.com", b"example.com", None),
            (b"example.com:", b"example.com", None),
            (b"example.com:0", b"example.com", Some(0)),
            (b"EXAMPLE.com:65535", b"EXAMPLE.com", Some(65535)),
            (b"192.0.2.1:8080", b"192.0.2.1", Some(8080)),
            (b"[::1]:8080", b"[::1]", Some(8080)),
            (b"[::]", b"[::]", None),
            (b"[2001:db8:1:2:3:4:5:6]", b"[2001:db8:1:2:3:4:5:6]", None),
            (b"[::ffff:192.0.2.1]", b"[::ffff:192.0.2.1]", None),
            (b"[1:2:3:4:5:6:192.0.2.1]", b"[1:2:3:4:5:6:192.0.2.1]", None),
            (b"a%2Fb_c~", b"a%2Fb_c~", None),
            (&longest, &longest, None),
        ];
        for &(bytes, host, port) in cases {
            assert_eq!(Authority::parse(bytes), Some(Authority { host, port }), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn invalid_authorities_are_refused() {
        let cases: &[&[u8]] = &[
            b"",
            b":80",
            b"user@example.com",
            b"user:password@example.com",
            b"example.com:65536",
            b"example.com:000080",
            b"example.com:+80",
            b"example.com:8a",
            b"example.com:80:80",
            b"exa mple.com",
            b"example.com/",
            b"example.com?",
            b"example.com#",
            b"example.com\\",
            b"a%2",
            b"a%zz",
            b"\xc3\xa4.example",
            b"a\0b",
            b"[]",
            b"[::1",
            b"::1",
            b"[::1]80",
            b"[::1]]",
            b"[1:2:3:4:5:6:7]",
            b"[1:2:3:4:5:6:7:8:9]",
            b"[1:2:3:4:5:6:7::8]",
            b"[1:2:3:4:5:6:7::8:9]",
            b"[1::2::3]",
            b"[:::]",
            b"[::12345]",
            b"[::g]",
            b"[::1%25eth0]",
            b"[192.0.2.1::]",
            b"[::192.0.2.256]",
            b"[::192.0.2.01]",
            b"[::192.0.2]",
            b"[v1.a]",
            &[b'a'; HOST_BYTES_MAX + 1],
        ];
        for &bytes in cases {
            assert_eq!(Authority::parse(bytes), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_missing_port_is_the_default() {
        let authority = |bytes| Authority::parse(bytes).unwrap();
        assert!(authority(b"A.example").same(&authority(b"a.EXAMPLE:80"), 80));
        assert!(!authority(b"a.example").same(&authority(b"a.example:80"), 443));
        assert!(!authority(b"a.example").same(&authority(b"b.example"), 80));
    }
}
