//! What Ringway says about the client, and about itself, in what it forwards.
//!
//! `X-Forwarded-For`, `-Proto` and `-Host` are Ringway's word. From a peer that is not trusted they are removed first,
//! together with the other headers by which upstreams identify clients; a trusted peer's are kept, and the peer's own
//! address is appended to the list. Spellings with underscores are removed from everybody's. `Via` (RFC 9110 §7.6.3) is appended in both directions.

use wire::h1::{EditError, Edits};
use wire::{FieldName, FieldNames, RequestHead, Version};

use crate::client::Client;
use crate::exchange::Request;

/// Headers by which an upstream learns who the client is: never a stranger's word.
const IDENTITY: FieldNames = FieldNames::of(&[
    FieldName::XForwardedFor,
    FieldName::XForwardedProto,
    FieldName::XForwardedHost,
    FieldName::XForwardedPort,
    FieldName::Forwarded,
    FieldName::XRealIp,
]);

/// The same names in any case, with hyphens: what an upstream that turns names into variables (CGI, WSGI) makes of
/// `X_Forwarded_For` too.
const IDENTITY_NAMES: [&[u8]; 6] =
    [b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip", b"x-request-id"];

/// The protocol by which the client's request came. TLS will say otherwise.
const PROTOCOL: &[u8] = b"http";

/// Decides the changes to a request's head.
pub(crate) fn edit_request(client: &Client, request: &mut Request) {
    let Request { head, bytes, edits } = request;
    edits.clear();
    try_edit(edits, client, head, bytes).expect("what was checked at the gate is fit to be written again");
}

fn try_edit(edits: &mut Edits, client: &Client, head: &RequestHead, bytes: &[u8]) -> Result<(), EditError> {
    remove_aliases(edits, head, bytes)?;
    if client.trusted {
        extend_forwarded_for(edits, client, head, bytes)?;
    } else {
        edits.remove(IDENTITY);
        edits.append(b"X-Forwarded-For", client.text().as_bytes())?;
    }
    let keeps = |name| client.trusted && head.names().contains(name);
    if !keeps(FieldName::XForwardedProto) {
        edits.append(b"X-Forwarded-Proto", PROTOCOL)?;
    }
    if let Some(authority) = head.authority()
        && !keeps(FieldName::XForwardedHost)
    {
        edits.append(b"X-Forwarded-Host", authority.of(bytes))?;
    }
    edits.append(b"Via", via(head.version()))
}

/// The changes to every response's head.
pub(crate) fn response_edits() -> Edits {
    let mut edits = Edits::new();
    edits.append(b"Via", via(Version::Http11)).expect("a constant field is valid");
    edits
}

fn via(received: Version) -> &'static [u8] {
    match received {
        Version::Http10 => b"1.0 ringway",
        Version::Http11 => b"1.1 ringway",
    }
}

/// Leaves out names that an upstream may take for identity headers although they are spelt with underscores. Nobody honest
/// sends them, trusted or not.
fn remove_aliases(edits: &mut Edits, head: &RequestHead, bytes: &[u8]) -> Result<(), EditError> {
    if !head.names().contains(FieldName::Other) {
        return Ok(());
    }
    for field in head.fields().iter().filter(|field| field.token == FieldName::Other) {
        let name = field.name.of(bytes);
        if name.contains(&b'_') && IDENTITY_NAMES.iter().any(|identity| is_alias(name, identity)) {
            edits.remove_named(name)?;
        }
    }
    Ok(())
}

fn is_alias(name: &[u8], identity: &[u8]) -> bool {
    let fold = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == identity.len() && name.iter().map(fold).eq(identity.iter().copied())
}

/// One line in the place of all lines of the list, our peer at its end.
fn extend_forwarded_for(edits: &mut Edits, client: &Client, head: &RequestHead, bytes: &[u8]) -> Result<(), EditError> {
    let mut list = Vec::new();
    if head.names().contains(FieldName::XForwardedFor) {
        let lines = head.fields().iter().filter(|field| field.token == FieldName::XForwardedFor);
        list.extend(lines.map(|field| field.value.of(bytes)));
        edits.remove(FieldNames::of(&[FieldName::XForwardedFor]));
    }
    list.push(client.text().as_bytes());
    edits.append_joined(b"X-Forwarded-For", &list, b", ")
}
