//! Telling a server who a connection is opened for: a header of the PROXY protocol ahead of everything else.

use plan::SendProxy;
use ring::{Buffer, Stream};
use wire::proxy_protocol::{encode_v1, encode_v2};

use crate::client::Client;

/// Room for a header of either version, without TLVs.
const ROOM_BYTES: usize = 128;

/// Writes the header to a connection that carries nothing yet. It leaves with what is written next.
pub(super) fn announce(stream: &mut Stream, version: SendProxy, client: &Client) {
    let mut header = Buffer::with_room(ROOM_BYTES);
    match version {
        SendProxy::V1 => encode_v1(&mut header, client.announced()),
        SendProxy::V2 => encode_v2(&mut header, client.announced()),
    }
    stream.write(header.freeze());
}
