//! Every body arrives byte for byte as over a direct connection: method × framing × version × keep-alive × size, both ways.
//! The gigabyte is in `tests/long`.

use kit::{Address, Config, Framing, Head, Peer, standard};

use crate::start;

const SMALL_SIZES: [u64; 9] = [0, 1, 100, 4_095, 4_096, 4_097, 16 << 10, 64 << 10, 65_537];
const RESPONSE_FRAMINGS: [&str; 3] = ["length", "chunked", "close"];

/// Fields that only the proxy adds, or that differ between two answers to the same question.
const PROXY_FIELDS: [&str; 3] = ["via", "date", "x-saw"];
const PROXY_REQUEST_FIELDS: [&str; 6] =
    ["via:", "x-forwarded-for:", "x-forwarded-proto:", "x-forwarded-host:", "x-real-ip:", "x-client-cert-"];

/// One kind of exchange. The request's body and the response's are both `size` bytes long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    method: &'static str,
    version: &'static str,
    keep_alive: bool,
    request: Option<Framing>,
    response: &'static str,
    size: u64,
}

impl Cell {
    /// Runs the exchange on `peer` and returns the response's head, after the whole body was verified.
    fn run(&self, peer: &mut Peer) -> Head {
        let Cell { method, version, response, size, .. } = *self;
        let connection = if self.keep_alive { "keep-alive" } else { "close" };
        let mut head = format!("{method} /{response}/{size} {version}\r\nHost: test\r\nConnection: {connection}\r\n");
        head += "X-Order: first\r\nAccept: */*\r\nx-order: second\r\n";
        match self.request {
            None => head += "\r\n",
            Some(Framing::Chunked) => head += "Transfer-Encoding: chunked\r\n\r\n",
            Some(_) => head += &format!("Content-Length: {size}\r\n\r\n"),
        }
        peer.send(head.as_bytes()).unwrap();
        match self.request {
            None => {}
            Some(Framing::Chunked) => peer.send_pattern_chunked(size, 5_000).unwrap(),
            Some(_) => peer.send_pattern(0, size).unwrap(),
        }
        let expected = if method == "HEAD" || response == "status" { 0 } else { size };
        peer.read_pattern_response(method, expected).unwrap_or_else(|error| panic!("{self:?}: {error}"))
    }

    /// Whether the client may use its connection again, by the word of the response.
    fn persists(&self, head: &Head) -> bool {
        self.keep_alive && !head.lists("connection", "close") && {
            self.version == "HTTP/1.1" || head.lists("connection", "keep-alive")
        }
    }
}

/// What must be the same over the proxy and over a direct connection: what an answer of the standard origin tells of itself and of
/// its request.
pub(crate) fn seen(head: &Head) -> (u16, Vec<(String, String)>, Vec<String>) {
    let request_fields = head.values("x-saw").into_iter().map(str::to_owned);
    let request_fields = request_fields.filter(|field| {
        let field = field.to_ascii_lowercase();
        !PROXY_REQUEST_FIELDS.iter().any(|name| field.starts_with(name))
    });
    (head.status(), framing_last(head.end_to_end(&PROXY_FIELDS)), framing_last(request_fields.collect()))
}

/// Moves the length of the body to the end: a proxy frames a body itself, and may write that field where it likes.
fn framing_last<T: std::fmt::Debug>(mut fields: Vec<T>) -> Vec<T> {
    fields.sort_by_key(|field| format!("{field:?}").to_ascii_lowercase().contains("content-length"));
    fields
}

/// Runs each cell over the proxy and over a direct connection, and compares. Connections are kept where the cell says so.
pub(crate) fn compare(connect: impl Fn() -> Peer, origin: &Address, cells: &[Cell]) {
    let mut kept: Option<Peer> = None;
    for cell in cells {
        let direct = cell.run(&mut Peer::connect(origin));
        let mut client = kept.take().unwrap_or_else(&connect);
        let head = cell.run(&mut client);
        assert_eq!(seen(&head), seen(&direct), "{cell:?}");
        if cell.persists(&head) {
            assert!(client.is_idle(), "{cell:?}: something follows the response");
            kept = Some(client);
        } else {
            let must_persist = cell.keep_alive && cell.version == "HTTP/1.1" && cell.response != "close";
            assert!(!must_persist, "{cell:?}: the connection was to be kept: {head:?}");
            client.assert_ends();
        }
    }
}

/// All cells of a method over `sizes`.
pub(crate) fn cells(method: &'static str, request: Option<Framing>, sizes: &[u64]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        if version == "HTTP/1.0" && request == Some(Framing::Chunked) {
            continue; // RFC 9112 §6.1: HTTP/1.0 has no Transfer-Encoding.
        }
        for keep_alive in [true, false] {
            for response in RESPONSE_FRAMINGS {
                let cell = |&size| Cell { method, version, keep_alive, request, response, size };
                cells.extend(sizes.iter().map(cell));
            }
        }
    }
    cells
}

/// Uploads 64 MiB to `peer`, from which as many come back.
pub(crate) fn sixty_four_mebibytes(peer: &mut Peer, request: Framing, response: &'static str) {
    let request = Some(request);
    let cell = Cell { method: "PUT", version: "HTTP/1.1", keep_alive: false, request, response, size: 64 << 20 };
    let head = cell.run(peer);
    assert_eq!(head.field("x-body"), Some("67108864"), "the upload arrived whole");
}

fn check(method: &'static str, request: Option<Framing>, sizes: &[u64]) {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).shards(2));
    compare(|| ringway.connect(), origin.address(), &cells(method, request, sizes));
}

#[test]
fn get_without_a_body() {
    check("GET", None, &SMALL_SIZES);
}

#[test]
fn get_with_a_body() {
    check("GET", Some(Framing::Length(0)), &[0, 1, 4_097, 65_537]);
}

#[test]
fn head_brings_the_fields_and_no_body() {
    check("HEAD", None, &SMALL_SIZES);
}

#[test]
fn post_with_a_length() {
    check("POST", Some(Framing::Length(0)), &SMALL_SIZES);
}

#[test]
fn post_in_chunks() {
    check("POST", Some(Framing::Chunked), &SMALL_SIZES);
}

#[test]
fn post_without_a_body() {
    check("POST", None, &[0, 100]);
}

#[test]
fn put_in_both_framings() {
    check("PUT", Some(Framing::Length(0)), &[0, 100, 65_537]);
    check("PUT", Some(Framing::Chunked), &[0, 100, 65_537]);
}

#[test]
fn delete_options_patch_and_a_method_of_ones_own() {
    for method in ["DELETE", "OPTIONS", "PATCH", "X-Own"] {
        check(method, None, &[0, 4_096]);
        check(method, Some(Framing::Length(0)), &[0, 4_096]);
    }
}

#[test]
fn a_mebibyte_each_way_in_each_framing() {
    for request in [None, Some(Framing::Length(0)), Some(Framing::Chunked)] {
        check("POST", request, &[1 << 20]);
    }
}

#[test]
fn sixty_four_mebibytes_each_way() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).shards(2));
    for (request, response) in
        [(Framing::Length(0), "chunked"), (Framing::Chunked, "length"), (Framing::Length(0), "close")]
    {
        sixty_four_mebibytes(&mut ringway.connect(), request, response);
    }
}

#[test]
fn responses_without_a_body_keep_the_connection() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let mut cells = Vec::new();
    for method in ["GET", "POST", "HEAD"] {
        for status in [204, 304, 204] {
            let request = (method == "POST").then_some(Framing::Length(0));
            let (version, keep_alive, response) = ("HTTP/1.1", true, "status");
            cells.push(Cell { method, version, keep_alive, request, response, size: status });
        }
    }
    compare(|| ringway.connect(), origin.address(), &cells);
    assert_eq!(origin.accepted(), cells.len() + 1, "a direct connection for each cell, and one of the proxy");
}

#[test]
fn many_clients_at_once_get_each_their_own_bodies() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).shards(2));
    std::thread::scope(|scope| {
        for client in 0..16_u64 {
            let ringway = &ringway;
            scope.spawn(move || {
                let mut peer = ringway.connect();
                for round in 0..40_u64 {
                    let size = (client * 7_919 + round * 104_729) % 200_000;
                    let response = if round % 2 == 0 { "length" } else { "chunked" };
                    let request = Some(if round % 3 == 0 { Framing::Chunked } else { Framing::Length(0) });
                    let cell = Cell { method: "POST", version: "HTTP/1.1", keep_alive: true, request, response, size };
                    let head = cell.run(&mut peer);
                    assert_eq!(head.field("x-body"), Some(size.to_string().as_str()), "{cell:?}");
                }
            });
        }
    });
}
