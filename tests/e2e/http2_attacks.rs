//! What clients of HTTP/2 must not get away with: each is cut off for what it does, and another connection goes on meanwhile. A ping behind
//! the frames of an attack, and whether it is answered, shows that they were read.

use kit::{Config, Http2Client, Origin, Ringway, standard};
use serde_json::json;

use crate::start;

/// RFC 9113 §7
const PROTOCOL_ERROR: u64 = 1;
const STREAM_CLOSED: u64 = 5;
const FRAME_SIZE_ERROR: u64 = 6;
const COMPRESSION_ERROR: u64 = 9;
const ENHANCE_YOUR_CALM: u64 = 11;

/// A frame of this kind.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// `:method GET`, `:scheme http`, `:path /`, all of the static table, and `:authority test`.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 4, b't', b'e', b's', b't'];

/// One attack, as it is meant.
struct Attack {
    name: &'static str,
    /// What the client does.
    what: fn(&mut Http2Client),
    /// The code of the last GOAWAY.
    code: u64,
    /// The budget that it exceeds, if it does.
    budget: Option<&'static str>,
}

fn ringway(origin: &Origin) -> Ringway {
    start(Config::to(origin.address()))
}

/// Lets each attack loose on a proxy of its own, and has another client ask before and after it.
fn assert_cut_off(attacks: &[Attack]) {
    let origin = standard::start();
    for attack in attacks {
        let ringway = ringway(&origin);
        let mut other = Http2Client::connect(ringway.address());
        other.get("/length/1000").assert_pattern(1_000);
        let mut attacker = Http2Client::connect(ringway.address());
        (attack.what)(&mut attacker);
        // Unless the connection has ended already, it ends now: with the streams that are left.
        let is_read = attacker.is_answered();
        let codes = attacker.wait_for_end();
        assert_eq!(codes.last(), Some(&attack.code), "{}: {codes:?}, ping answered: {is_read}", attack.name);
        other.get("/length/100000").assert_pattern(100_000);
        let memory = ringway.process().memory_bytes();
        assert!(memory < 48 << 20, "{}: {memory} bytes", attack.name);
        drop((attacker, other));
        let counts = ringway.stop_and_count();
        let budgets: Vec<_> = counts.iter().filter(|(name, _)| name.starts_with("http2_budgets")).collect();
        let expected = attack.budget.map(str::to_owned);
        assert_eq!(budgets, expected.iter().map(|name| (name, &1)).collect::<Vec<_>>(), "{}", attack.name);
    }
}

#[test]
fn streams_that_are_opened_to_be_reset() {
    assert_cut_off(&[
        Attack {
            name: "rapid reset, CVE-2023-44487",
            what: |client| drop(client.order(&json!({ "do": "flood", "kind": "rapid_reset", "times": 5_000 }))),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{resets}"),
        },
        Attack {
            name: "made you reset by windows, CVE-2025-8671",
            what: |client| drop(client.order(&json!({ "do": "flood", "kind": "made_you_reset", "times": 5_000 }))),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{faults}"),
        },
        Attack {
            name: "streams beyond what is allowed",
            what: |client| drop(client.order(&json!({ "do": "flood", "kind": "too_many", "times": 5_000 }))),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{refusals}"),
        },
        Attack {
            name: "made you reset by content",
            what: |client| drop(client.order(&json!({ "do": "flood", "kind": "data_after_end", "times": 5_000 }))),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{faults}"),
        },
    ]);
}

#[test]
fn frames_that_make_work_and_bring_nothing() {
    assert_cut_off(&[
        Attack {
            name: "settings, CVE-2019-9515",
            what: |client| client.raw(&frame(SETTINGS, 0, 0, &[0, 1, 0, 0, 16, 0]), 10_000),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{settings}"),
        },
        Attack {
            name: "pings, CVE-2019-9512",
            what: |client| client.raw(&frame(PING, 0, 0, b"question"), 20_000),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{pings}"),
        },
        Attack {
            name: "empty frames, CVE-2019-9518",
            what: |client| {
                let stream = client.request("POST", "/length/1", &[], false);
                client.raw(&frame(DATA, 0, stream, b""), 20_000);
            },
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{empty_frames}"),
        },
        Attack {
            name: "priorities, CVE-2019-9513",
            what: |client| client.raw(&frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 16]), 20_000),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{priorities}"),
        },
        Attack {
            name: "window updates",
            what: |client| client.raw(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), 50_000),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{window_updates}"),
        },
        Attack {
            name: "unknown frames",
            what: |client| client.raw(&frame(0xee, 0, 0, b"?"), 20_000),
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{unknown_frames}"),
        },
        Attack {
            name: "content behind a reset of ours, CVE-2026-26311",
            what: |client| {
                client.raw(&frame(HEADERS, 4, 1, GET), 1);
                client.raw(&frame(WINDOW_UPDATE, 0, 1, &[0; 4]), 1);
                client.raw(&frame(DATA, 0, 1, b"x"), 20_000);
            },
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{late_frames}"),
        },
        Attack {
            name: "content behind a reset of its own",
            what: |client| {
                client.raw(&frame(HEADERS, 4, 1, GET), 1);
                client.raw(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), 1);
                client.raw(&frame(DATA, 0, 1, b"x"), 1);
            },
            code: STREAM_CLOSED,
            budget: None,
        },
    ]);
}

#[test]
fn heads_that_do_not_end() {
    assert_cut_off(&[
        Attack {
            name: "CONTINUATION without content, CVE-2024-27316",
            what: |client| {
                client.raw(&frame(HEADERS, 1, 1, GET), 1);
                client.raw(&frame(CONTINUATION, 0, 1, b""), 20_000);
            },
            code: ENHANCE_YOUR_CALM,
            budget: Some("http2_budgets{continuations}"),
        },
        Attack {
            name: "CONTINUATION by the megabyte",
            what: |client| {
                client.raw(&frame(HEADERS, 1, 1, GET), 1);
                client.raw(&frame(CONTINUATION, 0, 1, &[0; 16_000]), 100);
            },
            code: ENHANCE_YOUR_CALM,
            budget: None,
        },
        Attack {
            name: "a bomb of references to the table, CVE-2026-49975",
            what: |client| {
                // A field of 4 KiB goes into the table, and is referred to sixteen thousand times.
                let field = [&[0x40, 1, b'x', 0x7f, 0x80 + 0x21, 0x1e][..], &[b'y'; 4_000]].concat();
                client.raw(&frame(HEADERS, 5, 1, &[GET, &field].concat()), 1);
                client.raw(&frame(HEADERS, 5, 3, &[GET, &[0xbe; 16_000][..]].concat()), 1);
            },
            code: ENHANCE_YOUR_CALM,
            budget: None,
        },
    ]);
}

#[test]
fn what_no_client_may_say() {
    assert_cut_off(&[
        Attack {
            name: "a block that is none",
            what: |client| client.raw(&frame(HEADERS, 5, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 1),
            code: COMPRESSION_ERROR,
            budget: None,
        },
        Attack {
            name: "a frame that is too large",
            what: |client| client.raw(&frame(DATA, 0, 1, &[0; 16_385]), 1),
            code: FRAME_SIZE_ERROR,
            budget: None,
        },
        Attack {
            name: "a push",
            what: |client| client.raw(&frame(PUSH_PROMISE, 4, 1, &[0, 0, 0, 2]), 1),
            code: PROTOCOL_ERROR,
            budget: None,
        },
        Attack {
            name: "content on a stream that has not begun",
            what: |client| client.raw(&frame(DATA, 0, 9, b"x"), 1),
            code: PROTOCOL_ERROR,
            budget: None,
        },
        Attack {
            name: "another frame within a head",
            what: |client| client.raw(&[frame(HEADERS, 1, 1, GET), frame(PING, 0, 0, b"question")].concat(), 1),
            code: PROTOCOL_ERROR,
            budget: None,
        },
    ]);
}

#[test]
fn a_reader_that_takes_nothing_is_reaped_and_fills_no_memory() {
    let origin = standard::start();
    let config = Config::to(origin.address()).timeout("body_idle", "1s");
    let ringway = start(config);
    let settings = json!({ "4": 0 });
    let mut attacker = Http2Client::connect_with(ringway.address(), &settings);
    let streams: Vec<u32> = (0..100).map(|_| attacker.request("GET", "/length/10000000", &[], true)).collect();
    let mut other = Http2Client::connect(ringway.address());
    other.get("/length/1000000").assert_pattern(1_000_000);
    let memory = ringway.process().memory_bytes();
    assert!(memory < 64 << 20, "{memory} bytes");
    for stream in streams {
        let answer = attacker.wait(stream);
        assert_eq!((answer.status(), answer.bytes(), answer.reset()), (200, 0, Some(8)), "{answer:?}");
    }
    other.get("/length/1000000").assert_pattern(1_000_000);
    drop((attacker, other));
    assert_eq!(ringway.stop_and_count()["limits{timeouts.body_idle}"], 100);
}

#[test]
fn a_reader_that_grants_a_byte_at_a_time_is_held_to_a_rate() {
    let origin = standard::start();
    let config = Config::to(origin.address()).limit("body_rate_min", "\"10KiB\"").timeout("body_rate_grace", "500ms");
    let ringway = start(config);
    let mut client = Http2Client::connect_with(ringway.address(), &json!({ "4": 1 }));
    let stream = client.hold("/length/10000000");
    let mut taken = 0;
    let answer = loop {
        let answer = client.wait_till(stream, "bytes", taken + 1);
        if answer.reset().is_some() {
            break answer;
        }
        taken = answer.bytes();
        client.grant(stream, 1);
    };
    assert_eq!(answer.reset(), Some(8), "{answer:?}");
    drop(client);
    assert_eq!(ringway.stop_and_count()["limits{limits.body_rate_min}"], 1);
}
