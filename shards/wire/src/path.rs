//! The one canonical form of a path: what is matched is what is forwarded.
//!
//! Servers differ in how they read `/a/../b`, `/%61`, `//a` or `/a\b`. A proxy that decides by one reading and forwards
//! another can be led past its own rules (CVE-2026-40912, CVE-2025-66490). So each path is brought to one form at the gate,
//! and nobody behind it ever sees another; a path for which servers are known to have two readings is refused.
//!
//! | as sent | becomes | because |
//! |---|---|---|
//! | `%41`, `%7e`, `%2E` (an unreserved character) | the character | RFC 3986 §6.2.2.2: equivalent |
//! | `%c3`, `%2f` | upper-case digits | RFC 3986 §6.2.2.1 |
//! | `"`, `<`, `>`, `^`, a backtick, `{`, `\|`, `}` | percent-encoded | RFC 3986 §3.3 does not let them stand in a path |
//! | `/./`, `/../` and at the end | removed | RFC 3986 §5.2.4 |
//! | `//` | `/` | most servers merge them |
//! | `%2F` | kept: a character, no separator | RFC 3986 §2.2 |
//! | `..` above the root | refused | an attack or a mistake |
//! | `..` before or after `%2F`, or before `;` | refused | a server that decodes or cuts first climbs a level |
//! | control characters, encoded (`%00`, `%0a`, `%7f`) | refused | they end strings, lines and log entries |
//! | a backslash, raw or encoded | refused | a separator to some |
//! | `%` without two hexadecimal digits | refused | RFC 3986 §2.1 |

use crate::error::PathError;

/// Finds the end of the path in a target that begins with one: where its query begins, or the target ends. Tells also
/// whether the path is in canonical form already, by a look that costs little; where it says no, [`canonicalize`] may still
/// find nothing to change.
#[inline]
pub(crate) fn measure(target: &[u8]) -> (usize, bool) {
    let mut odd = 0;
    let mut behind_slash = 0;
    for (at, &byte) in target.iter().enumerate() {
        let class = CLASSES[usize::from(byte)];
        if class & QUERY != 0 {
            return (at, odd == 0);
        }
        // A dot or a slash behind a slash begins whatever has to be looked at closely.
        odd |= class & (ODD | behind_slash);
        behind_slash = if class & SLASH != 0 { STARTS_ODD_SEGMENT } else { 0 };
    }
    (target.len(), odd == 0)
}

/// Appends the canonical form of `path`, which begins with a slash, to `out`. Offsets of errors count from the path's start.
///
/// # Errors
/// If the path is malformed, or known to be read in two ways. `out` then holds a part of it.
pub fn canonicalize(path: &[u8], out: &mut Vec<u8>) -> Result<(), PathError> {
    debug_assert!(path.first() == Some(&b'/'), "a path is absolute");
    let root = out.len();
    let mut at = 0;
    while at < path.len() {
        // At a slash: a segment follows.
        let length = path[at + 1..].iter().position(|&byte| byte == b'/').unwrap_or(path.len() - at - 1);
        let (start, end) = (at + 1, at + 1 + length);
        let is_last = end == path.len();
        let segment_start = out.len();
        out.push(b'/');
        decode_segment(&path[start..end], start, out)?;
        match &out[segment_start + 1..] {
            b".." => {
                out.truncate(segment_start);
                let parent = out[root..].iter().rposition(|&byte| byte == b'/');
                out.truncate(root + parent.ok_or(PathError::AboveRoot { at: start as u32 })?);
                if is_last {
                    out.push(b'/');
                }
            }
            // An empty segment is a slash too many, unless it is the last.
            b"." | b"" if is_last => out.truncate(segment_start + 1),
            b"." | b"" => out.truncate(segment_start),
            segment if climbs_when_decoded(segment) => return Err(PathError::Ambiguous { at: start as u32 }),
            _ => {}
        }
        at = end;
    }
    Ok(())
}

/// One segment without its slashes: unreserved characters decoded, the digits of others in upper case.
fn decode_segment(segment: &[u8], start: usize, out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut at = 0;
    while let Some(&byte) = segment.get(at) {
        let place = (start + at) as u32;
        match byte {
            b'%' => {
                let digits = segment.get(at + 1..at + 3).and_then(|pair| Some((digit(pair[0])?, digit(pair[1])?)));
                let (high, low) = digits.ok_or(PathError::Encoding { at: place })?;
                match high << 4 | low {
                    byte if is_unreserved(byte) => out.push(byte),
                    byte if is_forbidden(byte) => return Err(PathError::Forbidden { at: place, byte }),
                    byte => push_encoded(byte, out),
                }
                at += 3;
                continue;
            }
            byte if is_forbidden(byte) => return Err(PathError::Forbidden { at: place, byte }),
            byte if CLASSES[byte as usize] & ENCODED != 0 => push_encoded(byte, out),
            byte => out.push(byte),
        }
        at += 1;
    }
    Ok(())
}

/// Whether a server that takes `%2F` for a separator, or cuts parameters off before it resolves dots, would find `..` here.
fn climbs_when_decoded(segment: &[u8]) -> bool {
    let mut rest = segment;
    while let Some(at) = memchr::memmem::find(rest, b"..") {
        let begins = at == 0 && rest.len() == segment.len() || rest[..at].ends_with(b"%2F");
        let after = &rest[at + 2..];
        let ends =
            after.is_empty() || after.starts_with(b"%2F") || after.starts_with(b";") || after.starts_with(b"%3B");
        if begins && ends {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn push_encoded(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

/// RFC 3986 §2.3
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

const fn is_forbidden(byte: u8) -> bool {
    byte.is_ascii_control() || byte == b'\\'
}

/// Makes the fast look fail wherever it stands.
const ODD: u8 = 1;
/// A dot or a slash: makes it fail at the start of a segment.
const STARTS_ODD_SEGMENT: u8 = 2;
/// A slash.
const SLASH: u8 = 4;
/// Written percent-encoded.
const ENCODED: u8 = 8;
/// Ends the path.
const QUERY: u8 = 16;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'.' => STARTS_ODD_SEGMENT,
            b'/' => STARTS_ODD_SEGMENT | SLASH,
            b'?' => QUERY,
            b'%' => ODD,
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => ODD | ENCODED,
            other if is_forbidden(other) => ODD,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(path: &str) -> Result<String, PathError> {
        let mut out = Vec::new();
        canonicalize(path.as_bytes(), &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn equivalent_paths_have_one_form() {
        let rows = [
            ("/", "/"),
            ("/a/b;c=d/e@:!$&'()*+,=", "/a/b;c=d/e@:!$&'()*+,="),
            ("/%7Euser/%41%2d%5F%2e", "/~user/A-_."),
            ("/%c3%a9/%2f%3b", "/%C3%A9/%2F%3B"),
            ("/%25%32%65", "/%252e"),
            ("/{a|b}^`\"<>", "/%7Ba%7Cb%7D%5E%60%22%3C%3E"),
            ("//a///b//", "/a/b/"),
            ("/a/./b/.", "/a/b/"),
            ("/a/b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/a/%2e%2E/b", "/b"),
            ("/a//../b", "/b"),
            ("/.well-known/..a/...", "/.well-known/..a/..."),
            ("/a%2Fb/c", "/a%2Fb/c"),
            ("/a..%2Fb/a..;c", "/a..%2Fb/a..;c"),
        ];
        for (sent, expected) in rows {
            assert_eq!(canonical(sent).as_deref(), Ok(expected), "{sent}");
            assert_eq!(canonical(expected).as_deref(), Ok(expected), "{sent}: a second time");
            assert!(sent == expected || !measure(sent.as_bytes()).1, "{sent}");
        }
    }

    #[test]
    fn what_servers_read_in_two_ways_is_refused() {
        let rows = [
            ("/..", PathError::AboveRoot { at: 1 }),
            ("/a/../../b", PathError::AboveRoot { at: 6 }),
            ("/%2e%2e/b", PathError::AboveRoot { at: 1 }),
            ("/a/..%2fb", PathError::Ambiguous { at: 3 }),
            ("/a%2f..", PathError::Ambiguous { at: 1 }),
            ("/a%2f%2e%2e%2fb", PathError::Ambiguous { at: 1 }),
            ("/a/..;x/b", PathError::Ambiguous { at: 3 }),
            ("/a/..%3bx/b", PathError::Ambiguous { at: 3 }),
            ("/a%00", PathError::Forbidden { at: 2, byte: 0 }),
            ("/a%0d%0a", PathError::Forbidden { at: 2, byte: b'\r' }),
            ("/a%7f", PathError::Forbidden { at: 2, byte: 0x7f }),
            ("/a\\..\\b", PathError::Forbidden { at: 2, byte: b'\\' }),
            ("/a%5cb", PathError::Forbidden { at: 2, byte: b'\\' }),
            ("/%", PathError::Encoding { at: 1 }),
            ("/%4", PathError::Encoding { at: 1 }),
            ("/a%4/1", PathError::Encoding { at: 2 }),
            ("/%u0041", PathError::Encoding { at: 1 }),
            ("/%+1", PathError::Encoding { at: 1 }),
        ];
        for (sent, expected) in rows {
            assert_eq!(canonical(sent), Err(expected), "{sent}");
            assert!(!measure(sent.as_bytes()).1, "{sent}");
        }
    }

    #[test]
    fn a_path_ends_where_its_query_begins() {
        assert_eq!(measure(b"/a?//%"), (2, true));
        assert_eq!(measure(b"/%?"), (2, false));
        assert_eq!(measure(b"/a/b"), (4, true));
    }

    #[test]
    fn an_ordinary_path_is_not_looked_at_twice() {
        for path in ["/", "/index.html", "/api/v2/users/42", "/a-b_c~d/e.f/", "/a;b=c,d:e@f!$&'()*+"] {
            assert!(measure(path.as_bytes()).1, "{path}");
        }
    }
}
