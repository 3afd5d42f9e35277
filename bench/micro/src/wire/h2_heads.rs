//! The heads of [`h1`](super::h1) as blocks of HTTP/2, on a connection on which they repeat: for `shards/wire/src/h2/gate.rs` and
//! `write.rs`.

use std::hint::black_box;

use wire::h1::{Edits, Parsed, ResponseFraming, parse_request, parse_response};
use wire::h2::{Asked, HeadDecoder, HeadEncoder};
use wire::hpack::TABLE_BYTES_DEFAULT;
use wire::{BodyLength, Limits, Method, RequestHead, ResponseHead, Scheme, Version};

use super::h1::{REQUEST, RESPONSE};

/// How often each has been sent before what repeats of it is in the tables.
const WARM_UP: usize = 3;

/// Both directions of a connection, seen from both ends.
pub struct Heads {
    limits: Limits,
    request: RequestHead,
    response: ResponseHead,
    edits: Edits,
    client: HeadEncoder,
    server: HeadEncoder,
    from_client: HeadDecoder,
    from_server: HeadDecoder,
    request_block: Vec<u8>,
    response_block: Vec<u8>,
    head: RequestHead,
    answer: ResponseHead,
    text: Vec<u8>,
}

impl Default for Heads {
    fn default() -> Heads {
        let limits = Limits::default();
        let (mut request, mut response) = (RequestHead::new(), ResponseHead::new());
        let parsed = parse_request(REQUEST, &limits, &mut request);
        assert!(matches!(parsed, Ok(Parsed::Complete(_))));
        let parsed = parse_response(RESPONSE, &limits, &mut response);
        assert!(matches!(parsed, Ok(Parsed::Complete(_))));
        let mut heads = Heads {
            limits,
            request,
            response,
            edits: Edits::new(),
            client: HeadEncoder::new(TABLE_BYTES_DEFAULT),
            server: HeadEncoder::new(TABLE_BYTES_DEFAULT),
            from_client: HeadDecoder::new(TABLE_BYTES_DEFAULT),
            from_server: HeadDecoder::new(TABLE_BYTES_DEFAULT),
            request_block: Vec::with_capacity(4096),
            response_block: Vec::with_capacity(4096),
            head: RequestHead::new(),
            answer: ResponseHead::new(),
            text: Vec::with_capacity(4096),
        };
        for _ in 0..WARM_UP {
            heads.both_ways();
        }
        heads
    }
}

impl Heads {
    /// Writes the request, as for an upstream.
    pub fn write_request(&mut self) {
        let Heads { client, request_block, request, edits, .. } = self;
        request_block.clear();
        client.write_request(request_block, request, black_box(REQUEST), edits, Scheme::Https, b"");
        black_box(request_block);
    }

    /// Reads the request, as from a client.
    pub fn decode_request(&mut self) {
        let Heads { from_client, request_block, limits, head, text, .. } = self;
        let decoded = from_client.decode_request(black_box(request_block), limits, true, head, text);
        assert!(decoded.is_ok());
    }

    /// Writes the response, as for a client.
    pub fn write_response(&mut self) {
        let Heads { server, response_block, response, edits, .. } = self;
        response_block.clear();
        let framing = ResponseFraming::of(Method::Get, Version::Http2, response.status(), BodyLength::Exact(128));
        server.write_response(response_block, response, black_box(RESPONSE), edits, framing);
        black_box(response_block);
    }

    /// Reads the response, as from an upstream.
    pub fn decode_response(&mut self) {
        let Heads { from_server, response_block, limits, answer, text, .. } = self;
        let asked = Asked::default();
        let decoded = from_server.decode_response(black_box(response_block), limits, false, asked, answer, text);
        assert!(decoded.is_ok());
    }

    /// All that heads cost in a request that comes and goes on in HTTP/2: each read once and written once.
    pub fn both_ways(&mut self) {
        self.write_request();
        self.decode_request();
        self.write_response();
        self.decode_response();
    }
}
