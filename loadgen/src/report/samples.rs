//! Runs that tests tell of: always the same, with a stall, a slow tail and a few errors.

use bench_common::host::Machine;

use super::{About, Report};
use crate::record::{Answer, ErrorKind, Handshake, Loop, Recorder, Recording};

const SECOND_NS: u64 = 1_000_000_000;
const MS_NS: u64 = 1_000_000;

/// A report of `seconds` of an open loop at `rate` a second; its server takes about `service_us`, and stalls for 300 ms in the
/// middle of the run.
pub(crate) fn report(name: &str, seconds: u64, rate: u64, service_us: u64) -> Report {
    let mut random = fastrand::Rng::with_seed(seconds + rate + service_us);
    let mut recorder = Recorder::new(Loop::Open);
    for connection in 0..64 {
        recorder.connected(50_000 + connection * 1000);
        recorder.shook_hands(
            if connection < 60 { Handshake::Full } else { Handshake::Resumed },
            900_000 + connection * 3000,
        );
    }
    let stall_ns = seconds * SECOND_NS / 2..seconds * SECOND_NS / 2 + 300 * MS_NS;
    for request in 0..seconds * rate {
        let due_ns = request * SECOND_NS / rate;
        let sent_ns = if stall_ns.contains(&due_ns) { stall_ns.end } else { due_ns };
        // A tail as servers have it: the product of small chances.
        let slow = (0..16).take_while(|_| random.u8(..3) == 0).count() as u32;
        let service_ns = service_us * 1000 * (100 + random.u64(..80)) / 100 * 3_u64.pow(slow) / 2_u64.pow(slow);
        let end_ns = sent_ns + service_ns;
        if end_ns >= seconds * SECOND_NS {
            continue;
        }
        recorder.sent(80);
        recorder.received(250);
        if stall_ns.contains(&due_ns) && random.u8(..20) == 0 {
            recorder.failed(ErrorKind::UnexpectedStatus, Some(503), end_ns);
            continue;
        }
        recorder.answered(&Answer {
            due_ns,
            sent_ns,
            first_byte_ns: sent_ns + service_ns * 3 / 4,
            end_ns,
            status: Some(200),
        });
    }
    Report {
        about: about(name),
        recording: recorder.finish(seconds * SECOND_NS),
        notes: vec!["The first 503 said: <overload>".to_owned()],
    }
}

/// A run of which nothing came.
pub(crate) fn empty() -> Report {
    Report { about: about("nothing"), recording: Recording::default(), notes: Vec::new() }
}

fn about(name: &str) -> About {
    let settings = [("connections", "64"), ("schedule", "constant, 2000 a second"), ("tls", "1.3 & <resumption>")];
    About {
        name: name.to_owned(),
        started: "2026-11-20T12:00:00Z".to_owned(),
        generator: "ringway-loadgen 0.1.0".to_owned(),
        machine: Machine {
            kernel: "6.18.44".to_owned(),
            cpu: "A processor".to_owned(),
            cores: 2,
            congestion_control: "bbr".to_owned(),
        },
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}
