//! Tests of minutes, which `tests/run.sh --long` runs: a gigabyte each way in each framing, byte for byte; [`storm`];
//! [`astray`]; and [`scanners`].

mod astray;
mod scanners;
mod storm;

use std::thread;

use kit::{Config, Framing, Peer, Ringway, standard};

const GIBIBYTE: u64 = 1 << 30;
/// Memory that a proxy which streams may take for one exchange, far below what it carries.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

fn start(config: Config) -> Ringway {
    Ringway::start(env!("CARGO_BIN_EXE_ringway"), config)
}

/// Sends a request with a gigabyte of body, and receives a response with another.
fn exchange(client: &mut Peer, request: Framing, response: &str) {
    let framing = match request {
        Framing::Chunked => "Transfer-Encoding: chunked".to_owned(),
        _ => format!("Content-Length: {GIBIBYTE}"),
    };
    let head = format!("PUT /{response}/{GIBIBYTE} HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n");
    client.send(head.as_bytes()).unwrap();
    match request {
        Framing::Chunked => client.send_pattern_chunked(GIBIBYTE, 50_000).unwrap(),
        _ => client.send_pattern(0, GIBIBYTE).unwrap(),
    }
    let head = client.read_pattern_response("PUT", GIBIBYTE).unwrap();
    assert_eq!(head.field("x-body"), Some(GIBIBYTE.to_string().as_str()), "the upload arrived whole");
}

#[test]
fn a_gibibyte_each_way_arrives_whole_and_is_not_kept() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()));
    let memory = ringway.process().memory_bytes();
    for (request, response) in
        [(Framing::Length(0), "length"), (Framing::Chunked, "chunked"), (Framing::Length(0), "close")]
    {
        exchange(&mut ringway.connect(), request, response);
        let growth = ringway.process().memory_bytes().saturating_sub(memory);
        assert!(growth <= GROWTH_BYTES_MAX, "the proxy's memory grew by {growth} bytes");
    }
}

#[test]
fn four_gibibytes_at_once_arrive_whole() {
    let origin = standard::start();
    let ringway = start(Config::to(origin.address()).shards(2));
    thread::scope(|scope| {
        for response in ["length", "chunked"] {
            scope.spawn(|| exchange(&mut ringway.connect(), Framing::Length(0), response));
        }
    });
}
