//! What the opening handshake has agreed on. RFC 6455 §9.1

/// Whether a value of `Sec-WebSocket-Extensions` in the answer names permessage-deflate. RFC 7692 §7: an answer lists what
/// was agreed on, and its parameters are tokens or digits, so that a comma always ends a member.
#[must_use]
pub fn agrees_on_deflate(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|member| {
        let name = member.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii().eq_ignore_ascii_case(b"permessage-deflate")
    })
}
