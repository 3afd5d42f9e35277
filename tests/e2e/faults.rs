//! One thing goes wrong, at every byte of an exchange, on either side of the proxy.
//!
//! Whatever a connection does to an exchange, the client sees the right answer, a clean error, or a connection that ends
//! visibly short: never a wrong byte, never a second answer to one request, never an exchange that hangs. The origin sees the
//! request as it was sent, or not whole. And the proxy serves on, with nothing left behind.
//!
//! The positions of one run are drawn by a seed. `RINGWAY_SEEDS=20` draws twenty times as many. A failure names its case, and
//! `RINGWAY_FAULT=post-chunked/upstream/to-client/reset@17` runs that one alone, on a fresh connection to the origin and on a
//! used one.

mod garbled;
mod lanes;

use std::thread;

use kit::fault::{Kind, Way};
use kit::scripted::{Content, Shape, Verdict};
use kit::{Config, Random};

use lanes::{Case, Lanes, Side};

/// The exchanges, by name. The bodies of the last two are large enough to pass from socket to socket.
const EXCHANGES: [(&str, Shape); 10] = [
    ("get", Shape::get(Content::Length(100))),
    ("get-chunked", Shape::get(CHUNKED)),
    ("head", Shape { method: "HEAD", ..Shape::get(Content::Length(100)) }),
    ("post", Shape::post(Content::Length(100))),
    ("post-nothing", Shape::post(Content::Nothing)),
    ("post-chunked", Shape::post(CHUNKED)),
    ("continue", Shape { expects_continue: true, ..Shape::post(Content::Length(50)) }),
    ("pipelined", Shape { pipelined: 2, ..Shape::get(Content::Length(30)) }),
    ("get-large", Shape::get(Content::Length(700_000))),
    ("post-large", Shape::post(Content::Length(700_000))),
];

const CHUNKED: Content = Content::Chunked { bytes: 100, chunk_bytes: 40, trailer: true };

/// Positions of each exchange, side, way and kind that one seed draws.
const POSITIONS: u64 = 64;

#[test]
fn delays_and_small_segments_change_nothing() {
    let lanes = Lanes::start(8, patient(), "20s");
    let cases = cases(&lanes, &[Kind::Delay, Kind::Shorten], POSITIONS);
    lanes.run(&cases, |lane, case, tag| {
        let report = lane.perform(case, tag);
        match report.judge(&case.shape, tag)? {
            Verdict::Right => lane.witness.judge(&case.shape, tag),
            other => Err(format!("{other:?}, where nothing was lost: {report:?}")),
        }
    });
}

#[test]
fn resets_and_ends_are_seen_as_what_they_are() {
    let lanes = Lanes::start(8, patient(), "20s");
    let cases = cases(&lanes, &[Kind::Reset, Kind::End], 2 * POSITIONS);
    lanes.run(&cases, |lane, case, tag| {
        let report = lane.perform(case, tag);
        report.judge(&case.shape, tag)?;
        lane.witness.judge(&case.shape, tag)
    });
}

#[test]
fn stalls_end_in_time() {
    // Each case takes as long as a time-out: many at once, and few positions.
    let lanes = Lanes::start(32, impatient(), "400ms");
    let cases = cases(&lanes, &[Kind::Stall], 12);
    lanes.run(&cases, |lane, case, tag| {
        let report = lane.perform(case, tag);
        report.judge(&case.shape, tag)?;
        lane.witness.judge(&case.shape, tag)
    });
}

#[test]
fn garbled_bytes_mislead_nobody() {
    let lanes = Lanes::start(32, impatient(), "400ms");
    let mut cases = cases(&lanes, &[Kind::Garble(0)], POSITIONS);
    // What is garbled behind the proxy's back says nothing about the proxy.
    cases.retain(|case| (case.side, case.fault.way) != (Side::Client, Way::ToClient));
    lanes.run(&cases, garbled::judge);
}

/// Time-outs that no test reaches, busy as the machine may be.
fn patient() -> Config {
    Config::new().timeout("drain", "0s")
}

/// Time-outs that a test can wait for.
fn impatient() -> Config {
    patient().timeout("head", "400ms").timeout("body_idle", "400ms").timeout("keep_alive", "5s")
}

/// The cases of a run: for each exchange, side, way and kind, some positions of all that there are.
fn cases(lanes: &Lanes, kinds: &[Kind], positions: u64) -> Vec<Case> {
    if let Ok(text) = std::env::var("RINGWAY_FAULT") {
        let case = Case::parse(&text).unwrap_or_else(|error| panic!("RINGWAY_FAULT: {error}"));
        let concerned =
            kinds.iter().any(|kind| std::mem::discriminant(kind) == std::mem::discriminant(&case.fault.kind));
        // Twice: on a fresh connection to the origin, and on a used one.
        return if concerned { vec![case, case] } else { Vec::new() };
    }
    let seeds = std::env::var("RINGWAY_SEEDS").map_or(1, |seeds| seeds.parse().expect("RINGWAY_SEEDS is a number"));
    let mut cases = Vec::new();
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        for (name, shape) in EXCHANGES {
            for side in [Side::Client, Side::Upstream] {
                for way in [Way::ToServer, Way::ToClient] {
                    let bytes = lanes.bytes(&shape, side, way);
                    for kind in kinds {
                        // One of each stretch, so that heads and bodies, beginnings and ends all have their share.
                        let stretches = (0..positions).map(|number| stretch(bytes, number, positions));
                        cases.extend(stretches.map(|range| Case::draw(&mut random, name, side, way, *kind, range)));
                    }
                }
            }
        }
    }
    cases
}

/// The `number`th of `count` stretches that divide the positions of `bytes` bytes. Of a large body most lie in and near its head.
fn stretch(bytes: u64, number: u64, count: u64) -> std::ops::Range<u64> {
    let near = bytes.min(600);
    if bytes > near && number % 4 == 3 {
        return near..bytes + 1;
    }
    let start = number * (near + 1) / count;
    start..((number + 1) * (near + 1) / count).max(start + 1)
}

/// Waits for every thread of `threads`, and passes a panic on.
fn join_all(threads: Vec<thread::ScopedJoinHandle<'_, ()>>) {
    for thread in threads {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}
