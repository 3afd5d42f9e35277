//! Fields that a route sets, adds and removes, the same for each message.
//!
//! What is wrong with a field is found here, once: what is left for a request is to copy the lines and to leave the names out.
//! Whatever is set is first removed from what the peer sent. In requests that goes for every spelling of the name with
//! underscores for hyphens as well, since servers that turn names into variables (CGI, WSGI) cannot tell them apart.

use std::fmt;

use thiserror::Error;
use wire::h1::{EditError, Edits};
use wire::{FieldName, FieldNames};

/// Fields that Ringway writes itself into requests: what it says of the client and of itself is never the route's word. Names
/// that begin with `x-forwarded-` are among them.
const OURS_IN_REQUESTS: FieldNames = FieldNames::of(&[
    FieldName::Expect,
    FieldName::Forwarded,
    FieldName::MaxForwards,
    FieldName::Via,
    FieldName::XRealIp,
    FieldName::XRequestId,
]);

/// Fields that Ringway writes itself into answers.
const OURS_IN_RESPONSES: FieldNames = FieldNames::of(&[FieldName::Via]);

/// Fields that describe an answer's content or say how long it may be kept. Those of a route are about what its upstream
/// answers, and would be wrong, or do harm, in an answer of Ringway's own: an error that caches keep.
const ABOUT_CONTENT: FieldNames = FieldNames::of(&[
    FieldName::AcceptRanges,
    FieldName::Age,
    FieldName::Allow,
    FieldName::CacheControl,
    FieldName::ContentDisposition,
    FieldName::ContentEncoding,
    FieldName::ContentLanguage,
    FieldName::ContentLocation,
    FieldName::ContentRange,
    FieldName::ContentType,
    FieldName::Etag,
    FieldName::Expires,
    FieldName::LastModified,
    FieldName::RetryAfter,
]);

/// Which messages the edits are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To upstreams.
    Requests,
    /// To clients.
    Responses,
}

/// The changes to a head.
#[derive(Clone, PartialEq, Eq)]
pub struct HeaderEdits {
    direction: Direction,
    edits: Edits,
    /// What an answer of Ringway's own gets: no line about content, and nothing to remove.
    own: Edits,
    /// In requests, the removed names that have a hyphen, in lower case: to be found in spellings with underscores too.
    aliased: Vec<String>,
}

/// Why a change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The name is no token. RFC 9110 §5.1
    #[error("invalid field name")]
    NameInvalid,
    /// The value is empty.
    #[error("empty value")]
    ValueEmpty,
    /// The value is not printable ASCII, blanks and tabs inside it excepted. RFC 9110 §5.5
    #[error("invalid field value")]
    ValueInvalid,
    /// The field frames the message, routes it, or concerns one connection only.
    #[error("a field of the connection")]
    OfConnection,
    /// The field is one that Ringway writes.
    #[error("a field that Ringway writes")]
    Ours,
}

impl HeaderEdits {
    /// No changes.
    #[must_use]
    pub fn new(direction: Direction) -> HeaderEdits {
        HeaderEdits { direction, edits: Edits::new(), own: Edits::new(), aliased: Vec::new() }
    }

    /// Puts one line in the place of all fields of that name.
    ///
    /// # Errors
    /// If the name or the value is not to be written. Nothing has changed then.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        self.add(name, value)?;
        self.remove(name)
    }

    /// Adds a line after those of the peer.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), HeaderError> {
        self.check_name(name)?;
        check_value(value)?;
        self.edits.append(name.as_bytes(), value.as_bytes())?;
        if self.direction == Direction::Responses && !ABOUT_CONTENT.contains(FieldName::of(name.as_bytes())) {
            self.own.append(name.as_bytes(), value.as_bytes())?;
        }
        Ok(())
    }

    /// Leaves out all fields of that name that the peer sent.
    ///
    /// # Errors
    /// If the name is not to be written.
    pub fn remove(&mut self, name: &str) -> Result<(), HeaderError> {
        self.check_name(name)?;
        self.edits.remove_named(name.as_bytes())?;
        if self.direction == Direction::Requests && name.contains(['-', '_']) {
            let hyphened = folded(name);
            if name.contains('_') {
                self.edits.remove_named(hyphened.as_bytes())?;
            }
            self.aliased.push(hyphened);
        }
        Ok(())
    }

    /// Whether there are no changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.edits == Edits::new()
    }

    /// The changes, spellings with underscores excepted.
    #[must_use]
    pub fn edits(&self) -> &Edits {
        &self.edits
    }

    /// The lines for an answer of Ringway's own.
    #[must_use]
    pub fn own(&self) -> &Edits {
        &self.own
    }

    /// Whether `name`, in any case, is a spelling with underscores of one that is removed from requests.
    #[must_use]
    pub fn removes_alias(&self, name: &[u8]) -> bool {
        let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
        let is = |other: &str| name.len() == other.len() && name.iter().zip(other.bytes()).all(|(a, b)| fold(*a) == b);
        name.contains(&b'_') && self.aliased.iter().any(|removed| is(removed))
    }

    /// Whether a field of that name that a client sends is left out, however it is spelt.
    #[must_use]
    pub fn removes(&self, name: &[u8]) -> bool {
        self.edits.removed_names().any(|removed| removed.eq_ignore_ascii_case(name)) || self.removes_alias(name)
    }

    /// A name in a spelling that servers may take for another is treated as that other.
    fn check_name(&self, name: &str) -> Result<(), HeaderError> {
        let (ours, name) = match self.direction {
            Direction::Requests => (OURS_IN_REQUESTS, folded(name)),
            Direction::Responses => (OURS_IN_RESPONSES, name.to_owned()),
        };
        let is_forwarded = self.direction == Direction::Requests && name.starts_with("x-forwarded-");
        if is_forwarded || ours.contains(FieldName::of(name.as_bytes())) {
            return Err(HeaderError::Ours);
        }
        Ok(Edits::new().remove_named(name.as_bytes())?)
    }
}

/// A name in lower case, with hyphens for underscores.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn check_value(value: &str) -> Result<(), HeaderError> {
    if value.is_empty() {
        return Err(HeaderError::ValueEmpty);
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bytes = value.as_bytes();
    // RFC 9110 §5.5: blanks around it are no part of a value, and what is not ASCII means nothing that all agree upon.
    let valid = bytes.iter().all(|byte| byte.is_ascii_graphic() || is_blank(Some(byte)));
    if valid && !is_blank(bytes.first()) && !is_blank(bytes.last()) { Ok(()) } else { Err(HeaderError::ValueInvalid) }
}

impl From<EditError> for HeaderError {
    fn from(error: EditError) -> HeaderError {
        match error {
            EditError::NameInvalid => HeaderError::NameInvalid,
            EditError::ValueInvalid => HeaderError::ValueInvalid,
            EditError::Reserved(_) => HeaderError::OfConnection,
        }
    }
}

/// As it is written on the wire.
impl fmt::Debug for HeaderEdits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let removed: Vec<String> = self.edits.removed_names().map(text).collect();
        let lines = |edits: &Edits| text(edits.appended()).lines().map(str::to_owned).collect::<Vec<_>>();
        f.debug_struct("HeaderEdits")
            .field("direction", &self.direction)
            .field("removed", &removed)
            .field("added", &lines(&self.edits))
            .field("added_to_own", &lines(&self.own))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_requests() -> HeaderEdits {
        HeaderEdits::new(Direction::Requests)
    }

    #[test]
    fn what_is_set_is_removed_first_in_every_spelling() {
        let mut edits = of_requests();
        edits.set("X-Team_Name", "red").unwrap();
        edits.set("User-Agent", "ringway").unwrap();
        for alias in ["x_team_name", "X-TEAM_NAME", "user_agent", "User_Agent"] {
            assert!(edits.removes_alias(alias.as_bytes()), "{alias}");
        }
        for other in ["x-team-name", "X_Team_Names", "X_Team", "_", ""] {
            assert!(!edits.removes_alias(other.as_bytes()), "{other}");
        }
        assert!(edits.removes(b"x-team-name") && edits.removes(b"USER_AGENT") && !edits.removes(b"X-Team"));
        let removed: Vec<&[u8]> = edits.edits().removed_names().collect();
        assert_eq!(removed, [&b"User-Agent"[..], b"X-Team_Name", b"x-team-name"]);
        assert_eq!(edits.edits().appended(), b"X-Team_Name: red\r\nUser-Agent: ringway\r\n");
    }

    #[test]
    fn what_ringway_writes_is_not_for_routes_to_change() {
        let cases = [
            ("Connection", HeaderError::OfConnection),
            ("Content_Length", HeaderError::OfConnection),
            ("transfer-encoding", HeaderError::OfConnection),
            ("Host", HeaderError::OfConnection),
            ("Upgrade", HeaderError::OfConnection),
            ("Via", HeaderError::Ours),
            ("X-Real_IP", HeaderError::Ours),
            ("X_Forwarded_Client_Cert", HeaderError::Ours),
            ("Expect", HeaderError::Ours),
            ("X Y", HeaderError::NameInvalid),
            ("", HeaderError::NameInvalid),
            ("Ä", HeaderError::NameInvalid),
        ];
        for (name, error) in cases {
            let mut edits = of_requests();
            assert_eq!(edits.set(name, "x"), Err(error), "{name}");
            assert_eq!(edits.add(name, "x"), Err(error), "{name}");
            assert_eq!(edits.remove(name), Err(error), "{name}");
            assert!(edits.is_empty(), "{name}");
        }
        let mut edits = HeaderEdits::new(Direction::Responses);
        assert_eq!(edits.add("Via", "1.1 x"), Err(HeaderError::Ours));
        assert_eq!(edits.set("Content-Length", "1"), Err(HeaderError::OfConnection));
        assert_eq!(edits.set("X-Request-Id", "told by the route"), Ok(()));
    }

    #[test]
    fn a_value_is_visible_and_has_no_blanks_around_it() {
        for (value, error) in [
            ("", HeaderError::ValueEmpty),
            (" ", HeaderError::ValueInvalid),
            ("a ", HeaderError::ValueInvalid),
            ("\ta", HeaderError::ValueInvalid),
            ("a\r\nb: c", HeaderError::ValueInvalid),
            ("a\0", HeaderError::ValueInvalid),
            ("é", HeaderError::ValueInvalid),
        ] {
            let mut edits = of_requests();
            assert_eq!(edits.set("X", value), Err(error), "{value:?}");
            assert!(edits.is_empty(), "{value:?}");
        }
        assert_eq!(of_requests().add("X", "a \"b\";\tc"), Ok(()));
    }

    #[test]
    fn an_answer_of_ringways_own_gets_no_line_about_content() {
        let mut edits = HeaderEdits::new(Direction::Responses);
        edits.set("Cache-Control", "max-age=60").unwrap();
        edits.set("Strict-Transport-Security", "max-age=60").unwrap();
        edits.add("Content-Security-Policy", "default-src 'self'").unwrap();
        edits.remove("Server").unwrap();
        let expected = "Strict-Transport-Security: max-age=60\r\nContent-Security-Policy: default-src 'self'\r\n";
        assert_eq!(edits.own().appended(), expected.as_bytes());
        assert_eq!(edits.own().removed_names().count(), 0);
        assert!(!edits.removes_alias(b"content_security_policy"), "only servers take one name for another");
    }
}
