//! Priorities by RFC 9218: what a client says about a stream. Which stream's turn it is,
//! [`scheduler`](super::scheduler) decides.

/// Urgency and whether the response is of use in parts. RFC 9218 §4
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// 0 to 7, the lower the more urgent.
    pub urgency: u8,
    /// Whether the client can use the response before it is whole, so that streams of the same urgency share what there
    /// is.
    pub is_incremental: bool,
}

impl Priority {
    /// The urgency of a stream of which nothing is said. RFC 9218 §4.1
    pub const URGENCY_DEFAULT: u8 = 3;
    /// The least urgent.
    pub const URGENCY_MAX: u8 = 7;

    /// What RFC 9218 supposes of a client that says nothing: urgency 3, not incremental. But that client may well never
    /// have heard of priorities, and behind it may be many users (another proxy, a gRPC channel): the turn of its
    /// streams then goes round, so that no download holds up what was asked for later. RFC 9218 §10 leaves this to the
    /// server.
    pub const UNSAID: Priority = Priority { urgency: Priority::URGENCY_DEFAULT, is_incremental: true };

    /// Reads the value of a Priority field, or of PRIORITY_UPDATE: a dictionary with the members `u` and `i`. RFC 9218
    /// §4
    ///
    /// A member that is out of its range or of another type counts as not said; `None` if the value is no dictionary,
    /// which then is to be ignored as a whole.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Priority> {
        let mut priority = Priority { urgency: Priority::URGENCY_DEFAULT, is_incremental: false };
        let mut rest = value.trim_ascii();
        while !rest.is_empty() {
            let (key, behind) = split_key(rest)?;
            let end = member_end(behind)?;
            let item = behind[..end].split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii_end();
            match (key, item) {
                (b"u", [b'=', digit @ b'0'..=b'7']) => priority.urgency = digit - b'0',
                (b"u", _) => priority.urgency = Priority::URGENCY_DEFAULT,
                (b"i", b"" | b"=?1") => priority.is_incremental = true,
                (b"i", _) => priority.is_incremental = false,
                _ => {}
            }
            rest = match behind[end..].split_first() {
                Some((_, next)) => Some(next.trim_ascii_start()).filter(|next| !next.is_empty())?,
                None => &[],
            };
        }
        Some(priority)
    }
}

/// `( lcalpha / "*" ) *( lcalpha / DIGIT / "_" / "-" / "." / "*" )`. RFC 9651 §4.2.3.3
fn split_key(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_first = |byte: u8| byte.is_ascii_lowercase() || byte == b'*';
    let is_next = |byte: u8| is_first(byte) || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.');
    bytes.first().copied().filter(|&first| is_first(first))?;
    let end = bytes.iter().position(|&byte| !is_next(byte)).unwrap_or(bytes.len());
    Some(bytes.split_at(end))
}

/// Where the member that begins at `bytes`, behind its key, ends: at a comma outside of a string, or where everything
/// ends.
fn member_end(bytes: &[u8]) -> Option<usize> {
    // A bare key is followed by its parameters, its white space or the next member.
    if !matches!(bytes.first(), None | Some(b'=' | b';' | b',' | b' ' | b'\t')) {
        return None;
    }
    let mut in_string = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => at += 1,
            b',' if !in_string => return Some(at),
            0x20..=0x7e | b'\t' => {}
            _ => return None,
        }
        at += 1;
    }
    (!in_string && at == bytes.len()).then_some(at)
}
