//! What a line says: a flat list of pieces, compiled once.

use std::fmt;

/// Pieces of one format.
const PIECES_MAX: usize = 128;
/// Bytes of a template.
const TEMPLATE_BYTES_MAX: usize = 4096;
/// Names of header fields in one format, of requests or of responses.
const HEADERS_MAX: usize = 32;
/// Bytes of a header field's name.
const NAME_BYTES_MAX: usize = 64;

/// A line, as the pieces that it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The pieces in their order. Each line ends with a newline that stands in none of them.
    pub pieces: Vec<Piece>,
    /// How values are written so that none can break its line.
    pub escape: Escape,
    /// Names of the header fields of responses that the pieces refer to, which have to be kept while a response passes.
    pub response_headers: Vec<String>,
}

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Text(String),
    /// A value. Where there is none, it is empty in JSON and otherwise `-`.
    Value(Field),
    /// A member of a JSON object that is left out where there is no value: what precedes the value (`,"limit":"`), and the
    /// value. The comma is left out of the first member.
    Member(String, Field),
}

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// As the inside of a JSON string: what is not printable ASCII is `\u00XX`, byte by byte.
    Json,
    /// As Apache's httpd does: `\n`, `\t` and the like, `\xXX` for other bytes outside of printable ASCII, `\"` and `\\`.
    Apache,
}

/// Declares the fields with their names: one table for the reader of templates, the documentation and the engine.
macro_rules! fields {
    ($( $(#[doc = $doc:literal])* $field:ident = $name:literal, )*) => {
        /// A value that a line may show.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Field {
            $( $(#[doc = $doc])* $field, )*
            /// `request_header.NAME`: the first header field of that name in the request. The name is in lower case.
            RequestHeader(String),
            /// `response_header.NAME`: that of the upstream's response, by its place in [`Format::response_headers`].
            ResponseHeader(u8),
        }

        /// As templates name it; a response's header field by its place.
        impl fmt::Display for Field {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $( Field::$field => f.write_str($name), )*
                    Field::RequestHeader(name) => write!(f, "{REQUEST_HEADER}{name}"),
                    Field::ResponseHeader(place) => write!(f, "{RESPONSE_HEADER}{place}"),
                }
            }
        }

        impl Field {
            /// The names of all fields, but for those of header fields.
            pub const NAMES: &'static [&'static str] = &[ $( $name, )* ];

            fn named(name: &str) -> Option<Field> {
                match name {
                    $( $name => Some(Field::$field), )*
                    _ => None,
                }
            }
        }
    };
}

fields! {
    /// When the exchange ended: `2026-11-20T07:21:34.043012Z`.
    Time = "time",
    /// The same as Apache writes it, without its brackets: `20/Nov/2026:07:21:34 +0000`.
    TimeCommon = "time_common",
    /// The same in milliseconds since 1970.
    TimeUnixMs = "time_unix_ms",
    /// The address of the client's connection; `unix:` on a Unix socket.
    Client = "client",
    /// The request's method.
    Method = "method",
    /// The host that the client asked for, without the port.
    Host = "host",
    /// Path and query, the path in its canonical form.
    Path = "path",
    /// The path alone.
    PathOnly = "path_only",
    /// The query alone, without its question mark.
    Query = "query",
    /// The request's version: `HTTP/1.1`.
    Protocol = "protocol",
    /// Method, path with query, and version: `GET / HTTP/1.1`.
    RequestLine = "request",
    /// The status that the client got.
    Status = "status",
    /// How the exchange ended, in a word.
    Outcome = "outcome",
    /// The limit that was met, if one was.
    Limit = "limit",
    /// The name of the route.
    Route = "route",
    /// The name of the upstream.
    Upstream = "upstream",
    /// The request's name, where requests are named.
    RequestId = "request_id",
    /// The name that the client's TLS asked for.
    ServerName = "sni",
    /// The version of TLS: `TLSv1.3`.
    TlsVersion = "tls_version",
    /// The cipher suite, as IANA names it: `TLS_AES_128_GCM_SHA256`.
    TlsCipher = "tls_cipher",
    /// What keys were exchanged with: `X25519MLKEM768`.
    TlsGroup = "tls_group",
    /// `yes` where a session was resumed, else `no`.
    TlsResumed = "tls_resumed",
    /// Bytes of the request's body.
    BytesIn = "bytes_in",
    /// Bytes of the response's body.
    BytesOut = "bytes_out",
    /// The same, and no value where there were none: Apache's `%b`.
    BytesOutCommon = "bytes_out_common",
    /// How long the exchange took, in microseconds.
    DurationUs = "duration_us",
    /// The same in milliseconds, with three decimals.
    DurationMs = "duration_ms",
    /// The same in seconds, with six decimals.
    DurationS = "duration_s",
}

/// How the names of header fields begin.
const REQUEST_HEADER: &str = "request_header.";
const RESPONSE_HEADER: &str = "response_header.";

impl Field {
    /// Whether its value is a number, which stands without quotes in JSON.
    #[must_use]
    pub const fn is_number(&self) -> bool {
        matches!(
            self,
            Field::TimeUnixMs
                | Field::Status
                | Field::BytesIn
                | Field::BytesOut
                | Field::BytesOutCommon
                | Field::DurationUs
                | Field::DurationMs
                | Field::DurationS
        )
    }
}

impl Field {
    /// Whether it has a value in every exchange, be it an empty one.
    const fn is_always_there(&self) -> bool {
        !matches!(
            self,
            Field::Query
                | Field::RequestLine
                | Field::Limit
                | Field::Route
                | Field::Upstream
                | Field::RequestId
                | Field::ServerName
                | Field::TlsVersion
                | Field::TlsCipher
                | Field::TlsGroup
                | Field::TlsResumed
                | Field::BytesOutCommon
                | Field::RequestHeader(_)
                | Field::ResponseHeader(_)
        )
    }
}

/// What is wrong with a template or a list of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// There is no field of that name.
    UnknownField(String),
    /// This is not the name of a header field.
    HeaderName(String),
    /// A brace without its other one, or one inside of another.
    Brace,
    /// A character that would break the line, or that not every reader understands.
    Character(char),
    /// There is nothing in it.
    Empty,
    /// There is more in it than a line may have.
    TooLong,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TemplateError::UnknownField(name) => write!(f, "no field is named `{name}`"),
            TemplateError::HeaderName(name) => write!(f, "`{name}` is not the name of a header field"),
            TemplateError::Brace => {
                f.write_str("a brace without its other one; a brace itself is written `{{` or `}}`")
            }
            TemplateError::Character(char) => write!(f, "the character {char:?} stands in no template"),
            TemplateError::Empty => f.write_str("it is empty"),
            TemplateError::TooLong => write!(f, "it has more than {PIECES_MAX} pieces or {TEMPLATE_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for TemplateError {}

impl Format {
    /// The fields of [`Format::json`] where none are named.
    pub const JSON_FIELDS: &'static [&'static str] = &[
        "time",
        "client",
        "method",
        "host",
        "path",
        "status",
        "outcome",
        "limit",
        "route",
        "upstream",
        "request_id",
        "bytes_in",
        "bytes_out",
        "duration_us",
    ];

    /// One JSON object a line, with these fields as its members.
    ///
    /// # Errors
    /// When a name is not that of a field, or there are none, or too many.
    pub fn json<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Format, TemplateError> {
        let mut format = Format { pieces: Vec::new(), escape: Escape::Json, response_headers: Vec::new() };
        let mut text = "{".to_owned();
        // Once a member stands there for sure, the comma after it need not be decided line by line.
        let mut follows = false;
        for name in names {
            let field = format.field(name)?;
            let quote = if field.is_number() { "" } else { "\"" };
            let begin = format!("\"{name}\":{quote}");
            let is_sure = field.is_always_there();
            if is_sure && (follows || format.pieces.is_empty()) {
                text.push_str(if follows { "," } else { "" });
                format.pieces.push(Piece::Text(std::mem::take(&mut text) + &begin));
                format.pieces.push(Piece::Value(field));
                text.push_str(quote);
            } else {
                if !text.is_empty() {
                    format.pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                format.pieces.push(Piece::Member(format!(",{begin}"), field));
            }
            follows |= is_sure;
        }
        if format.pieces.is_empty() {
            return Err(TemplateError::Empty);
        }
        text.push('}');
        format.pieces.push(Piece::Text(text));
        format.checked()
    }

    /// The Common Log Format: `%h %l %u %t "%r" %>s %b` of Apache's httpd.
    #[must_use]
    pub fn common() -> Format {
        let text = r#"{client} - - [{time_common}] "{request}" {status} {bytes_out_common}"#;
        Format::template(text, Escape::Apache).expect("a template of ours is right")
    }

    /// The Combined Log Format: common, then who sent the client here, and what the client is.
    #[must_use]
    pub fn combined() -> Format {
        let text = concat!(
            r#"{client} - - [{time_common}] "{request}" {status} {bytes_out_common} "#,
            r#""{request_header.referer}" "{request_header.user-agent}""#
        );
        Format::template(text, Escape::Apache).expect("a template of ours is right")
    }

    /// Text with fields in braces: `{client} {status}`. `{{` and `}}` stand for braces.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn template(text: &str, escape: Escape) -> Result<Format, TemplateError> {
        if let Some(char) = text.chars().find(|char| !(' '..='~').contains(char) && *char != '\t') {
            return Err(TemplateError::Character(char));
        }
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError::TooLong);
        }
        let mut format = Format { pieces: Vec::new(), escape, response_headers: Vec::new() };
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = rest.split_once('}').filter(|_| brace == "{").ok_or(TemplateError::Brace)?;
            if name.contains('{') {
                return Err(TemplateError::Brace);
            }
            rest = after;
            if !literal.is_empty() {
                format.pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            let field = format.field(name)?;
            format.pieces.push(Piece::Value(field));
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            format.pieces.push(Piece::Text(literal));
        }
        format.checked()
    }

    fn field(&mut self, name: &str) -> Result<Field, TemplateError> {
        if let Some(header) = name.strip_prefix(REQUEST_HEADER) {
            return header_name(header).map(Field::RequestHeader);
        }
        let Some(header) = name.strip_prefix(RESPONSE_HEADER) else {
            return Field::named(name).ok_or_else(|| TemplateError::UnknownField(name.to_owned()));
        };
        let header = header_name(header)?;
        let known = self.response_headers.iter().position(|known| *known == header);
        let place = known.unwrap_or_else(|| {
            self.response_headers.push(header);
            self.response_headers.len() - 1
        });
        u8::try_from(place).map(Field::ResponseHeader).map_err(|_| TemplateError::TooLong)
    }

    fn checked(self) -> Result<Format, TemplateError> {
        let too_long = self.pieces.len() > PIECES_MAX || self.response_headers.len() > HEADERS_MAX;
        match self.pieces.is_empty() {
            true => Err(TemplateError::Empty),
            false if too_long => Err(TemplateError::TooLong),
            false => Ok(self),
        }
    }
}

/// The name of a header field in lower case. RFC 9110 §5.6.2
fn header_name(name: &str) -> Result<String, TemplateError> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_token) {
        return Err(TemplateError::HeaderName(name.to_owned()));
    }
    Ok(name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(text: &str) -> Result<Vec<Piece>, TemplateError> {
        Format::template(text, Escape::Apache).map(|format| format.pieces)
    }

    #[test]
    fn a_template_becomes_a_flat_list() {
        let pieces = template("{client} {{{status}}} {request_header.User-Agent}").unwrap();
        let text = |text: &str| Piece::Text(text.to_owned());
        let agent = Piece::Value(Field::RequestHeader("user-agent".to_owned()));
        assert_eq!(pieces, [Piece::Value(Field::Client), text(" {"), Piece::Value(Field::Status), text("} "), agent]);
        let format = Format::template("{response_header.Age}{response_header.age}", Escape::Apache).unwrap();
        assert_eq!(format.response_headers, ["age"]);
        assert_eq!(format.pieces, [Piece::Value(Field::ResponseHeader(0)), Piece::Value(Field::ResponseHeader(0))]);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        assert_eq!(template("{statsu}"), Err(TemplateError::UnknownField("statsu".to_owned())));
        assert_eq!(template("{request_header.}"), Err(TemplateError::HeaderName(String::new())));
        for text in ["{status", "status}", "{a{b}}", "{"] {
            assert_eq!(template(text), Err(TemplateError::Brace), "{text}");
        }
        assert_eq!(template("a\nb"), Err(TemplateError::Character('\n')));
        assert_eq!(template(""), Err(TemplateError::Empty));
        assert_eq!(template(&"{status}".repeat(200)), Err(TemplateError::TooLong));
    }

    #[test]
    fn json_decides_beforehand_where_it_can() {
        let shown = |names: &[&'static str]| {
            let pieces = Format::json(names.iter().copied()).unwrap().pieces;
            let shown = pieces.iter().map(|piece| match piece {
                Piece::Text(text) => text.clone(),
                Piece::Value(_) => "…".to_owned(),
                Piece::Member(begin, _) => format!("({begin}…)"),
            });
            shown.collect::<String>()
        };
        assert_eq!(shown(&["host", "status", "limit", "time"]), r#"{"host":"…","status":…(,"limit":"…),"time":"…"}"#);
        // Nobody knows yet whether a comma precedes the status.
        assert_eq!(shown(&["limit", "status", "host"]), r#"{(,"limit":"…)(,"status":…),"host":"…"}"#);
        assert_eq!(shown(&["limit"]), r#"{(,"limit":"…)}"#);
    }

    #[test]
    fn the_fields_of_json_exist() {
        assert!(Format::json(Format::JSON_FIELDS.iter().copied()).is_ok());
        assert_eq!(Format::json([]), Err(TemplateError::Empty));
    }
}
