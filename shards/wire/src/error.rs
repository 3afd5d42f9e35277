//! Everything that a peer can get wrong, by name and place. Offsets (`at`) count from the first byte that was handed to
//! the parser.

use thiserror::Error;

/// Why a request is refused. The connection that carried it cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The head breaks the grammar.
    #[error("malformed request: {0}")]
    Syntax(#[from] SyntaxError),
    /// The body's extent is unclear, or in a coding that we do not know.
    #[error("unclear request framing: {0}")]
    Framing(#[from] FramingError),
    /// A well-formed version whose major number is not 1.
    #[error("unsupported protocol version at byte {at}")]
    VersionUnsupported {
        /// Offset of the version.
        at: u32,
    },
    /// The target is of a form that the method does not allow. RFC 9112 §3.2
    #[error("request target at byte {at} does not fit the method")]
    TargetForm {
        /// Offset of the target.
        at: u32,
    },
    /// An absolute-form target with a scheme other than http and https.
    #[error("unknown scheme in the request target at byte {at}")]
    SchemeUnknown {
        /// Offset of the target.
        at: u32,
    },
    /// The authority inside the target is not `host [":" port]`. User information counts as invalid. RFC 9110 §4.2.4
    #[error("invalid authority in the request target at byte {at}")]
    AuthorityInvalid {
        /// Offset of the authority.
        at: u32,
    },
    /// The target's path has no canonical form.
    #[error("path: {0}")]
    Path(#[from] PathError),
    /// An expectation other than 100-continue. RFC 9110 §10.1.1
    #[error("unknown expectation at byte {at}")]
    ExpectationUnknown {
        /// Offset of the value.
        at: u32,
    },
    /// HTTP/1.1 without a Host field. RFC 9112 §3.2
    #[error("no Host field")]
    HostMissing,
    /// More than one Host field. RFC 9112 §3.2
    #[error("repeated Host field at byte {at}")]
    HostRepeated {
        /// Offset of the second field's name.
        at: u32,
    },
    /// A Host field that is not `host [":" port]`.
    #[error("invalid Host field at byte {at}")]
    HostInvalid {
        /// Offset of the value.
        at: u32,
    },
    /// A Host field that names another authority than an absolute-form target.
    #[error("Host field at byte {at} disagrees with the request target")]
    HostDisagrees {
        /// Offset of the value.
        at: u32,
    },
    /// A member of a Connection field that is not a token.
    #[error("invalid connection option at byte {at}")]
    ConnectionOptionInvalid {
        /// Offset of the member.
        at: u32,
    },
    /// More names in Connection fields than anyone needs.
    #[error("too many connection options at byte {at}")]
    ConnectionOptionsTooMany {
        /// Offset of the first member beyond the bound.
        at: u32,
    },
    /// The request line is longer than the limit.
    #[error("request line is longer than {max} bytes")]
    StartLineTooLong {
        /// The limit.
        max: u32,
    },
    /// The head is longer than the limit.
    #[error("head is longer than {max} bytes")]
    HeadTooLarge {
        /// The limit.
        max: u32,
    },
    /// The head has more fields than the limit.
    #[error("head has more than {max} fields")]
    FieldsTooMany {
        /// The limit.
        max: u16,
    },
    /// The request target is longer than the limit.
    #[error("request target is longer than {max} bytes")]
    TargetTooLong {
        /// The limit.
        max: u32,
    },
    /// A field line is longer than the limit.
    #[error("field at byte {at} is longer than {max} bytes")]
    FieldTooLarge {
        /// Offset of the field's name.
        at: u32,
        /// The limit.
        max: u32,
    },
}

impl RequestError {
    /// The status code that tells the client.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            RequestError::StartLineTooLong { .. } | RequestError::TargetTooLong { .. } => 414,
            RequestError::HeadTooLarge { .. }
            | RequestError::FieldsTooMany { .. }
            | RequestError::FieldTooLarge { .. } => 431,
            // RFC 9112 §6.1: a transfer coding that the server does not understand.
            RequestError::Framing(FramingError::CodingUnknown { .. }) => 501,
            RequestError::ExpectationUnknown { .. } => 417,
            RequestError::VersionUnsupported { .. } => 505,
            _ => 400,
        }
    }
}

/// Why an upstream's response is refused. The client gets 502, and the connection is not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResponseError {
    /// The head breaks the grammar.
    #[error("malformed response: {0}")]
    Syntax(#[from] SyntaxError),
    /// The body's extent is unclear, or in a coding that we do not know.
    #[error("unclear response framing: {0}")]
    Framing(#[from] FramingError),
    /// A well-formed version whose major number is not 1.
    #[error("unsupported protocol version at byte {at}")]
    VersionUnsupported {
        /// Offset of the version.
        at: u32,
    },
    /// A status code below 100.
    #[error("invalid status code at byte {at}")]
    StatusInvalid {
        /// Offset of the status code.
        at: u32,
    },
    /// A member of a Connection field that is not a token.
    #[error("invalid connection option at byte {at}")]
    ConnectionOptionInvalid {
        /// Offset of the member.
        at: u32,
    },
    /// More names in Connection fields than anyone needs.
    #[error("too many connection options at byte {at}")]
    ConnectionOptionsTooMany {
        /// Offset of the first member beyond the bound.
        at: u32,
    },
    /// The status line is longer than the limit.
    #[error("status line is longer than {max} bytes")]
    StartLineTooLong {
        /// The limit.
        max: u32,
    },
    /// The head is longer than the limit.
    #[error("head is longer than {max} bytes")]
    HeadTooLarge {
        /// The limit.
        max: u32,
    },
    /// The head has more fields than the limit.
    #[error("head has more than {max} fields")]
    FieldsTooMany {
        /// The limit.
        max: u16,
    },
    /// A field line is longer than the limit.
    #[error("field at byte {at} is longer than {max} bytes")]
    FieldTooLarge {
        /// Offset of the field's name.
        at: u32,
        /// The limit.
        max: u32,
    },
    /// Bytes came although no request awaits an answer.
    #[error("bytes from the upstream that answer no request")]
    Unsolicited,
    /// 101 although no request asked to switch protocols. RFC 9110 §15.2.2
    #[error("protocol switch that no request asked for")]
    SwitchUnasked,
    /// More informational responses before the final one than the limit.
    #[error("more than {max} informational responses")]
    InformationalTooMany {
        /// The limit.
        max: u8,
    },
}

/// Why a path is refused. See [`path`](crate::path) for the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    /// A percent sign that two hexadecimal digits do not follow. RFC 3986 §2.1
    #[error("invalid percent-encoding at byte {at}")]
    Encoding {
        /// Offset of the percent sign.
        at: u32,
    },
    /// A control character or a backslash, encoded or not.
    #[error("byte {byte:#04x} at byte {at}")]
    Forbidden {
        /// Offset of the byte or of its encoding.
        at: u32,
        /// The byte.
        byte: u8,
    },
    /// `..` where there is nothing to leave.
    #[error("`..` above the root at byte {at}")]
    AboveRoot {
        /// Offset of the segment.
        at: u32,
    },
    /// A segment in which some servers find a `..` and others do not.
    #[error("segment with two readings at byte {at}")]
    Ambiguous {
        /// Offset of the segment.
        at: u32,
    },
}

impl PathError {
    /// The same error in a path that lies `start` bytes further on.
    pub(crate) fn shifted(self, start: u32) -> PathError {
        match self {
            PathError::Encoding { at } => PathError::Encoding { at: at + start },
            PathError::Forbidden { at, byte } => PathError::Forbidden { at: at + start, byte },
            PathError::AboveRoot { at } => PathError::AboveRoot { at: at + start },
            PathError::Ambiguous { at } => PathError::Ambiguous { at: at + start },
        }
    }
}

/// A fault in the grammar of a head or of a trailer section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// LF that no CR precedes. RFC 9112 §2.2 lets a recipient accept it; two readers that differ in this can be played
    /// against each other.
    #[error("line feed without carriage return at byte {at}")]
    BareLf {
        /// Offset of the LF.
        at: u32,
    },
    /// CR that no LF follows. RFC 9112 §2.2
    #[error("carriage return without line feed at byte {at}")]
    BareCr {
        /// Offset of the CR.
        at: u32,
    },
    /// More empty lines before a request line than are forgiven, or any before a status line.
    #[error("empty line before the start line at byte {at}")]
    EmptyLine {
        /// Offset of the line.
        at: u32,
    },
    /// A byte that may not stand where it stands in the start line.
    #[error("byte {byte:#04x} in the {part} at byte {at}")]
    StartLine {
        /// The part of the start line.
        part: StartLinePart,
        /// Offset of the byte.
        at: u32,
        /// The byte.
        byte: u8,
    },
    /// A line that begins with white space: obsolete line folding, or white space before the first field. RFC 9112 §5.2
    #[error("folded line at byte {at}")]
    FoldedLine {
        /// Offset of the line.
        at: u32,
    },
    /// A field line that begins with a colon.
    #[error("field without a name at byte {at}")]
    NameEmpty {
        /// Offset of the colon.
        at: u32,
    },
    /// White space between a field name and its colon. RFC 9112 §5.1
    #[error("white space before a colon at byte {at}")]
    SpaceBeforeColon {
        /// Offset of the white space.
        at: u32,
    },
    /// A byte in a field name that is not a token character.
    #[error("byte {byte:#04x} in a field name at byte {at}")]
    NameByte {
        /// Offset of the byte.
        at: u32,
        /// The byte.
        byte: u8,
    },
    /// A control character in a field value. RFC 9110 §5.5
    #[error("byte {byte:#04x} in a field value at byte {at}")]
    ValueByte {
        /// Offset of the byte.
        at: u32,
        /// The byte.
        byte: u8,
    },
}

/// A part of a request line or a status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLinePart {
    /// The request's method.
    Method,
    /// The request's target.
    Target,
    /// The protocol version.
    Version,
    /// The response's status code.
    Status,
    /// The response's reason phrase.
    Reason,
}

impl std::fmt::Display for StartLinePart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            StartLinePart::Method => "method",
            StartLinePart::Target => "request target",
            StartLinePart::Version => "protocol version",
            StartLinePart::Status => "status code",
            StartLinePart::Reason => "reason phrase",
        })
    }
}

/// Fields that leave unclear where a body ends. RFC 9112 §6.3
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FramingError {
    /// A Content-Length that is not one decimal number below 2⁶⁴.
    #[error("invalid Content-Length at byte {at}")]
    LengthInvalid {
        /// Offset of the value.
        at: u32,
    },
    /// More than one Content-Length, equal ones included.
    #[error("repeated Content-Length at byte {at}")]
    LengthRepeated {
        /// Offset of the second field's name, or of the comma of a list.
        at: u32,
    },
    /// Content-Length and Transfer-Encoding together.
    #[error("Content-Length beside Transfer-Encoding at byte {at}")]
    LengthWithCoding {
        /// Offset of the Transfer-Encoding field's name.
        at: u32,
    },
    /// Transfer-Encoding in an HTTP/1.0 message.
    #[error("Transfer-Encoding in HTTP/1.0 at byte {at}")]
    CodingInHttp10 {
        /// Offset of the field's name.
        at: u32,
    },
    /// A Transfer-Encoding that is not a list of tokens.
    #[error("invalid transfer coding at byte {at}")]
    CodingInvalid {
        /// Offset of the member.
        at: u32,
    },
    /// A coding besides a final `chunked`.
    #[error("unknown transfer coding at byte {at}")]
    CodingUnknown {
        /// Offset of the member.
        at: u32,
    },
    /// The last coding is not `chunked`, so that the body's end cannot be found.
    #[error("last transfer coding at byte {at} is not chunked")]
    ChunkedNotLast {
        /// Offset of the last member.
        at: u32,
    },
    /// `chunked` applied twice. RFC 9112 §7.1
    #[error("chunked applied twice at byte {at}")]
    ChunkedRepeated {
        /// Offset of the second `chunked`.
        at: u32,
    },
}

/// Why a body cannot be decoded. The connection that carried it cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The connection ended before the body did.
    #[error("body is cut short")]
    Truncated,
    /// A chunk that does not begin with a hexadecimal digit, or a size followed by an odd byte.
    #[error("byte {byte:#04x} in a chunk size")]
    ChunkSize {
        /// The byte.
        byte: u8,
    },
    /// A chunk size of more than 16 digits.
    #[error("chunk size has more than 16 digits")]
    ChunkSizeTooLong,
    /// A control character in a chunk extension, or an extension that no semicolon opens.
    #[error("byte {byte:#04x} in a chunk extension")]
    ChunkExtension {
        /// The byte.
        byte: u8,
    },
    /// Chunk extensions beyond the bound of a chunk or of a body.
    #[error("chunk extensions are too long")]
    ChunkExtensionsTooLong,
    /// A line of the framing that does not end in CRLF, or chunk data that no CRLF follows.
    #[error("byte {byte:#04x} where a line of the chunked coding ends")]
    LineEnd {
        /// The byte.
        byte: u8,
    },
    /// A trailer section that breaks the grammar. Offsets count from the start of the section.
    #[error("malformed trailer section: {0}")]
    Trailer(#[from] SyntaxError),
    /// A trailer section longer than a head may be.
    #[error("trailer section is longer than {max} bytes")]
    TrailersTooLarge {
        /// The limit.
        max: u32,
    },
    /// A trailer section with more fields than a head may have.
    #[error("trailer section has more than {max} fields")]
    TrailersTooMany {
        /// The limit.
        max: u16,
    },
}
