//! What Ringway says about the client, and about itself, in what it forwards.
//!
//! `X-Forwarded-For`, `-Proto` and `-Host`, `X-Real-IP`, and where the Plan asks for them `Forwarded` and `X-Request-Id` are
//! Ringway's word. From a peer that is not trusted they are removed first, together with everything else that is called
//! `X-Forwarded-…`; a trusted peer's are kept, and the peer's own address is appended to the lists. Spellings with underscores
//! are removed from everybody's. `X-Client-Cert-…` tell who a client has proved to be where it was asked; else they, and `Client-Cert`
//! of RFC 9440, are treated alike. `Via` (RFC 9110 §7.6.3) is appended in both directions.

use std::fmt::Write as _;

use plan::{Forwarding, Plan, Route};
use wire::h1::{EditError, Edits, Line};
use wire::{FieldName, FieldNames, Method, RequestHead, Version};

use crate::client::Client;
use crate::exchange::Request;
use crate::filter;
use crate::outcome::Error;
use crate::request_id::RequestIds;
use crate::route;
use crate::secure::Identified;

/// Headers by which an upstream learns who the client is: never a stranger's word.
const IDENTITY: FieldNames = FieldNames::of(&[
    FieldName::XForwardedFor,
    FieldName::XForwardedProto,
    FieldName::XForwardedHost,
    FieldName::XForwardedPort,
    FieldName::XForwardedServer,
    FieldName::XForwardedPrefix,
    FieldName::Forwarded,
    FieldName::XRealIp,
    FieldName::XRequestId,
]);

/// The protocol by which the client's request came.
const PROTOCOL: Line = Line::new(FieldName::XForwardedProto, "X-Forwarded-Proto: http\r\n");
const PROTOCOL_SECURE: Line = Line::new(FieldName::XForwardedProto, "X-Forwarded-Proto: https\r\n");

/// The name under which Ringway stands in Via.
const PSEUDONYM: &[u8] = b"ringway";

/// Gives `request` the name that it goes on under: a trusted peer's is kept.
pub(crate) fn name(forwarding: Forwarding, ids: &RequestIds, client: &Client, request: &mut Request) {
    let named = forwarding.names_requests();
    request.keeps_id = named && client.is_trusted() && request.head.names().contains(FieldName::XRequestId);
    // In two steps: in one, the bytes of no name are copied like those of a name.
    request.id = None;
    if named && !request.keeps_id {
        request.id = Some(ids.next());
    }
}

/// Decides the changes to a request's head on its way to the upstream. They are made anew for each attempt: to keep them
/// would take more room than an exchange has while it waits.
pub(crate) fn edit_request(edits: &mut Edits, plan: &Plan, route: &Route, client: &Client, request: &Request) {
    edits.clear();
    try_edit(edits, plan.forwarding, client, request).expect("what was checked at the gate is fit to be written again");
    route::offer_upgrade(route, request, edits);
    filter::on_request(&route.filters.request, request, edits);
}

fn try_edit(edits: &mut Edits, forwarding: Forwarding, client: &Client, request: &Request) -> Result<(), EditError> {
    let Request { head, bytes, .. } = request;
    remove_by_name(edits, client, head, bytes)?;
    let kept = if client.is_trusted() { head.names() } else { FieldNames::EMPTY };
    let keeps = |name| kept.contains(name);
    if !client.is_trusted() {
        edits.remove(IDENTITY);
    }
    let address = client.bytes();
    // A trusted peer that tells whom it forwards for has its reasons not to say it twice.
    if !keeps(FieldName::XRealIp) && !keeps(FieldName::XForwardedFor) {
        edits.add(FieldName::XRealIp, address)?;
    }
    extend_list(edits, kept, head, bytes, FieldName::XForwardedFor, address)?;
    if !keeps(FieldName::XForwardedProto) {
        edits.add_line(if client.secure().is_some() { PROTOCOL_SECURE } else { PROTOCOL });
    }
    if let Some(authority) = head.authority()
        && !keeps(FieldName::XForwardedHost)
    {
        edits.add(FieldName::XForwardedHost, authority.of(bytes))?;
    }
    if forwarding.forwarded {
        let element = forwarded_element(client, head, bytes);
        extend_list(edits, kept, head, bytes, FieldName::Forwarded, element.as_bytes())?;
    }
    if let Some(id) = &request.id
        && forwarding.request_id
    {
        edits.add(FieldName::XRequestId, id)?;
    }
    add_certificate(edits, client)?;
    if let Ok(Some(hops)) = hops_left(head, bytes) {
        edits.replace(FieldName::MaxForwards, (hops - 1).to_string().as_bytes())?;
    }
    edits.add_line(via(head.version()));
    Ok(())
}

/// The changes to every response's head.
pub(crate) fn response_edits() -> Edits {
    let mut edits = Edits::new();
    edits.add_line(via(Version::Http11));
    edits
}

/// Adds the request's name to what an answer says, in the place of whatever name the upstream gave it. None if it is empty, as a
/// trusted peer may have named it.
pub(crate) fn add_name(edits: &mut Edits, request_id: &[u8]) {
    if !request_id.is_empty() {
        edits.replace(FieldName::XRequestId, request_id).expect("a name is ours, or was checked at the gate");
    }
}

/// What an answer of our own says besides the usual. RFC 9110 §10.2.1 and §15.5.6: what is allowed, to who asked or tried more.
pub(crate) fn own_edits(status: u16) -> Edits {
    let mut edits = Edits::new();
    if matches!(status, 204 | 405) {
        const METHODS: &str = "Allow: GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS\r\n";
        edits.add_line(const { Line::new(FieldName::Allow, METHODS) });
    }
    edits
}

const fn via(received: Version) -> Line {
    match received {
        Version::Http10 => const { Line::new(FieldName::Via, "Via: 1.0 ringway\r\n") },
        Version::Http11 => const { Line::new(FieldName::Via, "Via: 1.1 ringway\r\n") },
        Version::Http2 => const { Line::new(FieldName::Via, "Via: 2.0 ringway\r\n") },
    }
}

/// How often the request says that it has come through Ringway. RFC 9110 §7.6.3
pub(crate) fn times_seen(head: &RequestHead, bytes: &[u8]) -> usize {
    if !head.names().contains(FieldName::Via) {
        return 0;
    }
    let lines = head.fields().iter().filter(|field| field.token == FieldName::Via);
    let members = lines.flat_map(|field| field.value.of(bytes).split(|&byte| byte == b','));
    // `[protocol "/"] version pseudonym [comment]`
    let by = members.filter_map(|member| member.trim_ascii().split(|&byte| matches!(byte, b' ' | b'\t')).nth(1));
    by.filter(|by| by.eq_ignore_ascii_case(PSEUDONYM)).count()
}

/// How many more hops an OPTIONS request may go, if it says. RFC 9110 §7.6.2
pub(crate) fn hops_left(head: &RequestHead, bytes: &[u8]) -> Result<Option<u64>, Error> {
    if head.method() != Method::Options || !head.names().contains(FieldName::MaxForwards) {
        return Ok(None);
    }
    let value = head.value(FieldName::MaxForwards, bytes).unwrap_or_default();
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or(Error::CLIENT_MALFORMED)
}

/// Leaves out names without a token by which a stranger may say who the client is, and names that an upstream may take for
/// identity headers although they are spelt with underscores, as one does that turns names into variables (CGI, WSGI): nobody
/// honest sends those, trusted or not.
fn remove_by_name(edits: &mut Edits, client: &Client, head: &RequestHead, bytes: &[u8]) -> Result<(), EditError> {
    if !head.names().contains(FieldName::Other) {
        return Ok(());
    }
    for field in head.fields().iter().filter(|field| field.token == FieldName::Other) {
        let name = field.name.of(bytes);
        // Of a client that was asked itself, nobody else has anything to say.
        let is_believed = client.is_trusted() && !(is_certificate(name) && identified(client).is_some());
        if is_identity(name) && (!is_believed || name.contains(&b'_')) {
            edits.remove_named(name)?;
        }
    }
    Ok(())
}

/// Whether a name, in any case and with underscores for hyphens, is one of those by which clients are identified.
fn is_identity(name: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let begins =
        |with: &[u8]| name.len() >= with.len() && name.iter().map(fold).zip(with).all(|(one, other)| one == *other);
    let is = |other: &[u8]| name.len() == other.len() && begins(other);
    begins(b"x-forwarded-") || is(b"x-real-ip") || is(b"x-request-id") || is_certificate(name)
}

/// Whether a name, in any case and with underscores for hyphens, is one of those by which a client's certificate is told: ours,
/// and those of RFC 9440.
fn is_certificate(name: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    let begins =
        |with: &[u8]| name.len() >= with.len() && name.iter().map(fold).zip(with).all(|(one, other)| one == *other);
    begins(b"x-client-cert") || begins(b"client-cert")
}

fn identified(client: &Client) -> Option<&Identified> {
    client.secure().and_then(|secure| secure.identified.as_ref())
}

/// Tells who a client has proved to be, if it was asked.
fn add_certificate(edits: &mut Edits, client: &Client) -> Result<(), EditError> {
    let Some(identified) = identified(client) else { return Ok(()) };
    let mut add = |name: &[u8], value: &str| edits.append_joined(name, &[value.as_bytes()], b"");
    let Identified::Client(identity) = identified else { return add(b"X-Client-Cert-Verify", "NONE") };
    add(b"X-Client-Cert-Verify", "SUCCESS")?;
    add(b"X-Client-Cert-Subject", &identity.subject)?;
    add(b"X-Client-Cert-Issuer", &identity.issuer)?;
    add(b"X-Client-Cert-Serial", &identity.serial)?;
    add(b"X-Client-Cert-Fingerprint", &identity.fingerprint)?;
    add(b"X-Client-Cert-SAN", &identity.names)
}

/// Appends to a list: where a trusted peer's is kept, one line in the place of all its lines, the new element at its end.
#[inline]
fn extend_list(
    edits: &mut Edits,
    kept: FieldNames,
    head: &RequestHead,
    bytes: &[u8],
    name: FieldName,
    element: &[u8],
) -> Result<(), EditError> {
    if !kept.contains(name) {
        return edits.add(name, element);
    }
    let lines = head.fields().iter().filter(|field| field.token == name);
    let mut list: Vec<&[u8]> = lines.map(|field| field.value.of(bytes)).collect();
    edits.remove(FieldNames::of(&[name]));
    list.push(element);
    edits.append_joined(name.as_str().as_bytes(), &list, b", ")
}

/// `for=192.0.2.1;host="a.example";proto=http`. RFC 7239 §4
fn forwarded_element(client: &Client, head: &RequestHead, bytes: &[u8]) -> String {
    let mut element = match client.text() {
        // RFC 7239 §6: a peer without an address is unknown, and an IPv6 address is quoted and in brackets.
        "unix:" => "for=unknown".to_owned(),
        text if text.contains(':') => format!("for=\"[{text}]\""),
        text => format!("for={text}"),
    };
    if let Some(authority) = head.authority().filter(|authority| !authority.is_empty()) {
        let authority = authority.of(bytes).escape_ascii();
        write!(element, ";host=\"{authority}\"").expect("writing to memory does not fail");
    }
    element.push_str(if client.secure().is_some() { ";proto=https" } else { ";proto=http" });
    element
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_is_recognised_in_every_spelling() {
        for name in [
            "X-Forwarded-Ssl",
            "x_forwarded_for",
            "X-Forwarded_Client-Cert",
            "X_REAL_IP",
            "x-request_id",
            "x_client-cert_subject",
            "Client-Cert-Chain",
        ] {
            assert!(is_identity(name.as_bytes()), "{name}");
        }
        for name in ["X-Forwarded", "X-Real-IPs", "Y-Forwarded-For", "X-Request-Idle", ""] {
            assert!(!is_identity(name.as_bytes()), "{name}");
        }
    }
}
