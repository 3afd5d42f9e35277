//! Frames: their heads, their kinds, and those that a client writes. RFC 9113 §4, §6

/// What a client says first. RFC 9113 §3.4
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes before a frame's payload.
pub(super) const HEAD_BYTES: usize = 9;
/// Bytes of a payload that everybody takes, and more than which nobody sends us. RFC 9113 §6.5.2
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 10;
/// A flow-control window before anybody has said another size, and the largest. RFC 9113 §6.9
pub(super) const WINDOW_BYTES: i64 = 65_535;
pub(super) const WINDOW_BYTES_MAX: i64 = (1 << 31) - 1;

/// What a frame is, by its type. RFC 9113 §6
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Of an extension: it is passed over. RFC 9113 §5.5
    Unknown,
}

/// END_STREAM, and ACK of SETTINGS and PING.
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// A frame's head. RFC 9113 §4.1
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: usize,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Head {
    pub(super) fn parse(bytes: &[u8; HEAD_BYTES]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            kind: match kind {
                0 => Kind::Data,
                1 => Kind::Headers,
                2 => Kind::Priority,
                3 => Kind::RstStream,
                4 => Kind::Settings,
                5 => Kind::PushPromise,
                6 => Kind::Ping,
                7 => Kind::GoAway,
                8 => Kind::WindowUpdate,
                9 => Kind::Continuation,
                _ => Kind::Unknown,
            },
            flags,
            // The reserved bit has no meaning.
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & 0x7fff_ffff,
        }
    }

    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The number of a setting. RFC 9113 §6.5.2
pub(super) mod setting {
    pub(in super::super) const HEADER_TABLE_SIZE: u16 = 1;
    pub(in super::super) const ENABLE_PUSH: u16 = 2;
    pub(in super::super) const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub(in super::super) const INITIAL_WINDOW_SIZE: u16 = 4;
    pub(in super::super) const MAX_FRAME_SIZE: u16 = 5;
}

/// The reasons for which streams are reset and connections ended. RFC 9113 §7
pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const CANCEL: u32 = 8;

/// The name of such a reason.
pub(super) fn reason(code: u32) -> String {
    const NAMES: [&str; 14] = [
        "NO_ERROR",
        "PROTOCOL_ERROR",
        "INTERNAL_ERROR",
        "FLOW_CONTROL_ERROR",
        "SETTINGS_TIMEOUT",
        "STREAM_CLOSED",
        "FRAME_SIZE_ERROR",
        "REFUSED_STREAM",
        "CANCEL",
        "COMPRESSION_ERROR",
        "CONNECT_ERROR",
        "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY",
        "HTTP_1_1_REQUIRED",
    ];
    NAMES.get(code as usize).map_or_else(|| format!("the reason {code:#x}"), |name| (*name).to_owned())
}

pub(super) fn write_head(output: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, l0, l1, l2] = (length as u32).to_be_bytes();
    let [s0, s1, s2, s3] = stream.to_be_bytes();
    output.extend_from_slice(&[l0, l1, l2, kind, flags, s0, s1, s2, s3]);
}

/// A block, in as many frames as it takes. RFC 9113 §6.2, §6.10
pub(super) fn write_headers(output: &mut Vec<u8>, stream: u32, end_stream: bool, block: &[u8]) {
    let end_stream = if end_stream { END_STREAM } else { 0 };
    let mut rest = block;
    let mut is_first = true;
    loop {
        let (piece, after) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
        rest = after;
        let end_headers = if rest.is_empty() { END_HEADERS } else { 0 };
        let (kind, flags) = if is_first { (1, end_stream | end_headers) } else { (9, end_headers) };
        write_head(output, piece.len(), kind, flags, stream);
        output.extend_from_slice(piece);
        is_first = false;
        if rest.is_empty() {
            return;
        }
    }
}

pub(super) fn write_data(output: &mut Vec<u8>, stream: u32, end_stream: bool, piece: &[u8]) {
    write_head(output, piece.len(), 0, if end_stream { END_STREAM } else { 0 }, stream);
    output.extend_from_slice(piece);
}

pub(super) fn write_reset(output: &mut Vec<u8>, stream: u32, code: u32) {
    write_head(output, 4, 3, 0, stream);
    output.extend_from_slice(&code.to_be_bytes());
}

pub(super) fn write_settings(output: &mut Vec<u8>, settings: &[(u16, u32)]) {
    write_head(output, 6 * settings.len(), 4, 0, 0);
    for (name, value) in settings {
        output.extend_from_slice(&name.to_be_bytes());
        output.extend_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn write_settings_ack(output: &mut Vec<u8>) {
    write_head(output, 0, 4, ACK, 0);
}

pub(super) fn write_ping_ack(output: &mut Vec<u8>, opaque: &[u8; 8]) {
    write_head(output, 8, 6, ACK, 0);
    output.extend_from_slice(opaque);
}

pub(super) fn write_window_update(output: &mut Vec<u8>, stream: u32, bytes: u32) {
    write_head(output, 4, 8, 0, stream);
    output.extend_from_slice(&bytes.to_be_bytes());
}
