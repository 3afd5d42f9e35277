//! Paths: the bytes behind a first slash.

use wire::path::canonicalize;

/// Panics if a property does not hold for `input`.
pub fn check(input: &[u8]) {
    let path = [b"/", input].concat();
    let mut once = Vec::new();
    if canonicalize(&path, &mut once).is_err() {
        return;
    }
    // One form: to bring it about again changes nothing.
    let mut twice = Vec::new();
    assert_eq!(canonicalize(&once, &mut twice), Ok(()));
    assert_eq!(once, twice);
    has_one_reading(&once);
    // What servers do that decode before they resolve, or cut parameters off, does not lead out of the prefix.
    let decoded = percent_decoded(&once);
    assert!(!decoded.iter().any(|byte| byte.is_ascii_control() || *byte == b'\\'));
    let cut = |segment: &[u8]| segment.split(|&byte| byte == b';').next().unwrap_or_default() == b"..";
    assert!(!decoded.split(|&byte| byte == b'/').any(cut), "{}", once.escape_ascii());
    agrees_with_a_naive_reading(&path, &once);
}

fn has_one_reading(path: &[u8]) {
    assert!(path.starts_with(b"/") && path.is_ascii());
    let segments: Vec<_> = path[1..].split(|&byte| byte == b'/').collect();
    for (index, segment) in segments.iter().enumerate() {
        assert!(!matches!(*segment, b"." | b".."));
        assert!(!segment.is_empty() || index + 1 == segments.len());
    }
}

/// Decodes segment by segment, resolves on a stack, and compares names.
fn agrees_with_a_naive_reading(sent: &[u8], canonical: &[u8]) {
    let mut stack = Vec::new();
    for segment in sent.split(|&byte| byte == b'/') {
        match percent_decoded(segment).as_slice() {
            b"" | b"." => {}
            b".." => assert!(stack.pop().is_some()),
            name => stack.push(name.to_vec()),
        }
    }
    let names = canonical.split(|&byte| byte == b'/').filter(|segment| !segment.is_empty());
    assert_eq!(names.map(percent_decoded).collect::<Vec<_>>(), stack);
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let pair = text.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if text[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    out
}
