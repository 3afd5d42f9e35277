//! What an access record costs a shard: nanoseconds to format a line and hand it to the writer.
//!
//! `cargo run --release -p ringway-bench-costs --bin record`. No sockets, no kernel: the request is what curl sends, the ring
//! is emptied between the rounds that are timed, and the figure is the median of the rounds.

#![forbid(unsafe_code)]

use std::hint::black_box;
use std::time::Duration;

use engine::{Instant, KeptFields, NextOutlet, Outcome, Outlets, Record, Recorder, outlet};
use plan::access_log::{Escape, Format, Share};
use plan::{AccessLog, LogTargetId};
use wire::h1::{Parsed, parse_request};
use wire::{Limits, RequestHead};

/// Records a round: fewer than fit into the ring.
const RECORDS: u32 = 1_000;
const ROUNDS: usize = 400;
/// What the access log may add to a request.
const BAR_NS: f64 = 200.0;

const REQUEST: &[u8] = b"GET /api/v1/users/4711?fields=name,email HTTP/1.1\r\nHost: api.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: */*\r\n\
Accept-Encoding: gzip, deflate, br\r\nReferer: https://www.example.com/users\r\nX-Forwarded-For: 198.51.100.7\r\n\r\n";

fn main() {
    let template = |text| Format::template(text, Escape::Apache).expect("a right template");
    let formats = [
        ("json", Format::json(Format::JSON_FIELDS.iter().copied()).expect("known fields")),
        ("common", Format::common()),
        ("combined", Format::combined()),
        ("template", template("{client} {method} {path} {status} {duration_us}")),
    ];
    let mut is_within = true;
    for (name, format) in formats {
        let (ns, bytes) = measure(format);
        is_within &= ns <= BAR_NS;
        println!("{name:<10} {ns:>7.1} ns   {bytes:>4} bytes a record");
    }
    assert!(is_within, "a record costs more than {BAR_NS} ns");
}

/// The median time of a record, and its length.
fn measure(format: Format) -> (f64, usize) {
    let mut head = RequestHead::new();
    assert!(matches!(parse_request(REQUEST, &Limits::default(), &mut head), Ok(Parsed::Complete(_))));
    let log = AccessLog { target: LogTargetId(0), format, only: None, share: Share::ALL, always: None };
    let (outlet, mut records) = outlet(1 << 20);
    let outlets = Outlets::next(&Outlets::default(), vec![NextOutlet::New(outlet)]);
    let (mut recorder, response) = (Recorder::default(), KeptFields::default());
    let record = Record {
        client: "203.0.113.195",
        tls: None,
        request: Some((&head, REQUEST)),
        server_name: None,
        response: &response,
        status: 200,
        outcome: Outcome::Completed,
        route: Some("api.example.com/api"),
        upstream: Some("app"),
        request_id: b"",
        bytes_in: 0,
        bytes_out: 5_120,
        duration: Duration::from_micros(1_042),
    };
    let mut lines = Vec::with_capacity(1 << 20);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..RECORDS {
            assert!(recorder.write(&log, &outlets, black_box(&record), begun), "the ring is emptied in time");
        }
        rounds.push(begun.elapsed().as_nanos() as f64 / f64::from(RECORDS));
        lines.clear();
        records.take(&mut lines);
    }
    rounds.sort_by(f64::total_cmp);
    (rounds[ROUNDS / 2], lines.len() / RECORDS as usize)
}
