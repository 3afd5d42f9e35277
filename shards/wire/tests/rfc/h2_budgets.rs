//! The budgets of HTTP/2: each with its attack, which is told to calm down and then cut off, and with the heaviest
//! traffic that is none. The lines of the security page on rapid reset, made-you-reset, floods of CONTINUATION,
//! SETTINGS, PING and empty frames.

use wire::Method;
use wire::h2::frame::{END_HEADERS, Kind, headers as headers_frame, settings as ids};
use wire::h2::{Budget, BudgetKind, Budgets, Config, ConnectionError, Culprit, ErrorCode, Event};

use crate::h2_end::{End, GET, OK, POST, data, frame, headers, rst_stream, settings, window_update};

/// How an attack went: after how many rounds the peer was told, and after how many it was cut off.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    told: u32,
    cut: u32,
}

/// Rounds of an attack without a pause, until it is cut off.
#[track_caller]
fn attack(end: &mut End, kind: BudgetKind, mut round: impl FnMut(&mut End, u32) -> Vec<u8>) -> Fate {
    let mut told = None;
    for index in 0..1_000_000 {
        let bytes = round(end, index);
        let outcome = end.try_feed(&bytes);
        let goaways = end.sent_of(Kind::GoAway);
        if let Err(error) = outcome {
            assert_eq!(error, ConnectionError::Budget(kind));
            assert_eq!(goaways[0].payload[4..], ErrorCode::ENHANCE_YOUR_CALM.0.to_be_bytes());
            return Fate { told: told.expect("told before it is cut off"), cut: index };
        }
        if end.connection.calm().is_some() && told.is_none() {
            assert_eq!(end.connection.calm(), Some(kind));
            assert_eq!(goaways[0].payload[4..], ErrorCode::ENHANCE_YOUR_CALM.0.to_be_bytes());
            told = Some(index);
        } else {
            assert_eq!(goaways, [], "told once");
        }
    }
    panic!("never cut off");
}

fn id(index: u32) -> u32 {
    2 * index + 1
}

/// CVE-2023-44487
#[test]
fn rapid_resets() {
    let round = |_: &mut End, index| [headers(id(index), GET, true), rst_stream(id(index), ErrorCode::CANCEL)].concat();
    let mut end = End::server();
    let told = (0..).find(|index| {
        let bytes = round(&mut end, *index);
        end.feed(&bytes);
        end.connection.calm().is_some()
    });
    assert_eq!(told, Some(500));
    // From then on its streams are not taken, so that there is nothing to be reset and no work to be done.
    assert_eq!(end.feed(&headers(id(1_000), GET, true)), []);
    assert_eq!(end.connection.active(), 0);
    let late = attack_after(&mut end, |index| {
        [headers(id(2_000 + index), GET, true), rst_stream(id(2_000 + index), ErrorCode::CANCEL)].concat()
    });
    assert_eq!(late.0, ConnectionError::Budget(BudgetKind::LateFrames));
    assert!(late.1 <= 4_000, "{late:?}");
}

/// Goes on until the connection ends: the error and the rounds.
fn attack_after(end: &mut End, mut round: impl FnMut(u32) -> Vec<u8>) -> (ConnectionError, u32) {
    for index in 0..1_000_000 {
        if let Err(error) = end.try_feed(&round(index)) {
            return (error, index);
        }
        end.sent();
    }
    panic!("never cut off");
}

/// CVE-2025-8671: the client has the server do the resetting.
#[test]
fn made_resets() {
    type Fault = fn(u32) -> Vec<u8>;
    let faults: [Fault; 5] = [
        |id| [headers(id, GET, true), window_update(id, 0)].concat(),
        |id| [headers(id, GET, true), window_update(id, (1 << 31) - 1)].concat(),
        |id| [headers(id, GET, true), data(id, b"", true)].concat(),
        |id| [headers(id, GET, true), frame(Kind::Priority, 0, id, b"abc")].concat(),
        |id| [headers(id, POST, false), headers(id, b"", false)].concat(),
    ];
    for fault in faults {
        let mut end = End::server();
        let told = (0..).find(|index| {
            end.feed(&fault(id(*index)));
            end.connection.calm().is_some()
        });
        assert_eq!(told, Some(100));
        assert_eq!(end.connection.calm(), Some(BudgetKind::Faults));
        assert_eq!(end.feed(&headers(id(1_000), GET, true)), []);
    }
    // Heads that are malformed, and what the caller lays to the client's charge.
    let mut end = End::server();
    let told = (0..).find(|index| {
        let events = end.feed(&headers(id(*index), b"\x82", true));
        let [Event::Malformed { stream, .. }] = events[..] else { panic!("{events:?}") };
        end.connection.reset(stream, ErrorCode::PROTOCOL_ERROR, Culprit::Us);
        end.connection.calm().is_some()
    });
    assert_eq!(told, Some(100));
    for (culprit, calm) in [(Culprit::Us, None), (Culprit::Peer, Some(BudgetKind::Faults))] {
        let mut end = End::server();
        for index in 0..100 {
            let stream = end.ask(id(index), GET, true);
            end.connection.reset(stream, ErrorCode::PROTOCOL_ERROR, culprit);
        }
        end.feed(&headers(id(100), b"\x82", true));
        assert_eq!(end.connection.calm(), calm);
    }
}

#[test]
fn streams_that_are_refused() {
    let mut end = End::new(Config { streams_max: 1, ..Config::server() });
    end.ask(1, GET, true);
    let told = (1..).find(|index| {
        end.feed(&headers(id(*index), GET, true));
        end.connection.calm().is_some()
    });
    assert_eq!((told, end.connection.calm()), (Some(501), Some(BudgetKind::Refusals)));
    end.sent();
    assert_eq!(end.feed(&headers(id(600), GET, true)), []);
    assert_eq!(end.sent(), [], "from then on streams are not even refused");
    // Before it knows our settings, a client is not to blame.
    let mut end = End::bare(Config { streams_max: 1, ..Config::server() });
    end.feed(&[wire::h2::PREFACE.as_slice(), &settings(&[])].concat());
    (0..2_000).for_each(|index| _ = end.feed(&headers(id(index), GET, true)));
    assert_eq!(end.connection.calm(), None);
}

/// CVE-2019-9515
#[test]
fn settings_without_end() {
    assert_eq!(attack(&mut End::server(), BudgetKind::Settings, |_, _| settings(&[])), Fate { told: 63, cut: 127 });
    // A frame full of settings counts for many.
    let many: Vec<(u16, u32)> = (0..2_730).map(|index| (0x1000 + index, 0)).collect();
    let fate = attack(&mut End::server(), BudgetKind::Settings, |_, _| settings(&many));
    assert_eq!(fate, Fate { told: 0, cut: 1 });
    attack(&mut End::client(), BudgetKind::Settings, |_, _| frame(Kind::Settings, 1, 0, b""));
}

/// CVE-2019-9512
#[test]
fn pings_without_end() {
    let fate = attack(&mut End::server(), BudgetKind::Pings, |_, _| frame(Kind::Ping, 0, 0, b"flooding"));
    assert_eq!(fate, Fate { told: 1_000, cut: 2_000 });
}

/// CVE-2019-9518
#[test]
fn frames_that_say_nothing() {
    let empty = Fate { told: 200, cut: 400 };
    let mut end = End::server();
    end.ask(1, POST, false);
    assert_eq!(attack(&mut end, BudgetKind::EmptyFrames, |_, _| data(1, b"", false)), empty);
    let mut end = End::server();
    end.ask(1, POST, false);
    let padded = |_: &mut End, _| frame(Kind::Data, 8, 1, &[3, 0, 0, 0]);
    assert_eq!(attack(&mut end, BudgetKind::EmptyFrames, padded), empty);
}

/// CVE-2024-27316, CVE-2019-9518: blocks that never end.
#[test]
fn continuations_without_end() {
    let first = |end: &mut End| end.feed(&frame(Kind::Headers, 0, 1, GET));
    let mut end = End::server();
    first(&mut end);
    let fate = attack(&mut end, BudgetKind::Continuations, |_, _| frame(Kind::Continuation, 0, 1, b"\x00"));
    assert_eq!(fate, Fate { told: 128, cut: 256 });
    let mut end = End::server();
    first(&mut end);
    let fate = attack(&mut end, BudgetKind::Continuations, |_, _| frame(Kind::Continuation, 0, 1, b""));
    assert_eq!(fate.told, 128, "whichever of the two comes first");
    // Long ones are held to a bound of bytes.
    let mut end = End::server();
    first(&mut end);
    let (error, rounds) = attack_after(&mut end, |_| frame(Kind::Continuation, 0, 1, &[0; 16_384]));
    assert_eq!((error, rounds), (ConnectionError::HeaderBlockTooLarge { max: 64 << 10 }, 3));
    // And blocks in many pieces, one after the other.
    let mut end = End::server();
    let fate = attack(&mut end, BudgetKind::Continuations, |end, index| {
        if end.connection.calm().is_none() {
            end.connection.streams().collect::<Vec<_>>().into_iter().for_each(|stream| end.answer(stream, true));
        }
        let pieces = GET[1..].iter().map(|byte| frame(Kind::Continuation, 0, id(index), &[*byte]));
        let pieces = pieces.chain([frame(Kind::Continuation, END_HEADERS, id(index), b"")]);
        [frame(Kind::Headers, 1, id(index), &GET[..1])].into_iter().chain(pieces).collect::<Vec<_>>().concat()
    });
    assert_eq!(fate, Fate { told: 31, cut: 53 });
}

/// CVE-2019-9513
#[test]
fn priorities_without_end() {
    let fate = Fate { told: 500, cut: 1_000 };
    let old = |_: &mut End, _| frame(Kind::Priority, 0, 1, &[0, 0, 0, 3, 1]);
    assert_eq!(attack(&mut End::server(), BudgetKind::Priorities, old), fate);
    let new = |_: &mut End, index: u32| {
        frame(Kind::PriorityUpdate, 0, 0, &[&id(index).to_be_bytes(), b"u=1".as_slice()].concat())
    };
    assert_eq!(attack(&mut End::server(), BudgetKind::Priorities, new), fate);
}

#[test]
fn window_updates_without_end() {
    let fate = attack(&mut End::server(), BudgetKind::WindowUpdates, |_, _| window_update(0, 1));
    assert_eq!(fate, Fate { told: 4_000, cut: 8_000 });
}

/// CVE-2019-9511: a window that is granted byte by byte makes a frame of each.
#[test]
fn content_that_is_taken_crumb_by_crumb() {
    let mut end = End::with_settings(Config::server(), &[(ids::INITIAL_WINDOW_SIZE, 0)]);
    let stream = end.ask(1, GET, true);
    end.answer(stream, false);
    end.connection.queue_data(stream, 1 << 20, true).unwrap();
    let fate = attack(&mut end, BudgetKind::WindowUpdates, |_, _| window_update(1, 1));
    assert!(fate.told < 4_010, "{fate:?}");
}

/// What comes after a reset was on its way, up to a point.
#[test]
fn content_after_a_reset() {
    let mut end = End::server();
    let stream = end.ask(1, POST, false);
    end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
    assert_eq!(attack(&mut end, BudgetKind::LateFrames, |_, _| data(1, b"x", false)), Fate { told: 2_000, cut: 4_000 });
}

#[test]
fn frames_of_unknown_kinds() {
    let fate = attack(&mut End::server(), BudgetKind::UnknownFrames, |_, _| frame(Kind::Unknown(0xfa), 0, 0, b"?"));
    assert_eq!(fate, Fate { told: 500, cut: 1_000 });
}

/// What was spent is forgiven with time, and a client that is slow is no attacker.
#[test]
fn time_forgives() {
    let mut end = End::server();
    let ping = frame(Kind::Ping, 0, 0, b"patience");
    // 50 a second: that is what is forgiven.
    for _ in 0..100_000 {
        end.now_us += 20_000;
        end.feed(&ping);
        end.sent();
    }
    assert_eq!(end.connection.calm(), None);
    // The time before the connection forgives nothing.
    let mut end = End::server();
    end.now_us = 1_000_000;
    assert_eq!(attack(&mut end, BudgetKind::Pings, |_, _| ping.clone()).told, 1_000);
}

#[test]
fn budgets_can_be_set() {
    let mut budgets = Budgets::default();
    budgets.set(BudgetKind::Pings, Budget { calm: 3, close: 1, per_second: 0 });
    assert_eq!(budgets.of(BudgetKind::Pings).close, 3, "never below the first");
    let mut end = End::new(Config { budgets, ..Config::server() });
    for _ in 0..3 {
        end.feed(&frame(Kind::Ping, 0, 0, &[0; 8]));
    }
    assert!(end.try_feed(&frame(Kind::Ping, 0, 0, &[0; 8])).is_err());
    for kind in BudgetKind::ALL {
        let budget = Budgets::default().of(kind);
        assert!(budget.calm < budget.close && budget.per_second > 0, "{kind:?}");
    }
}

/// The heaviest traffic that is none of these: `requests` on `parallel` streams, each answered with `bytes`, in no time
/// at all.
fn load(
    config: Config,
    said: &[(u16, u32)],
    (requests, parallel, bytes): (u32, u32, usize),
    mut each: impl FnMut(u32) -> Vec<u8>,
    mut acknowledge: impl FnMut(&[crate::h2_end::Frame]) -> Vec<u8>,
) {
    let mut end = End::with_settings(config, said);
    let mut next = 0;
    while next < requests || end.connection.active() > 0 {
        for _ in end.connection.active() as u32..parallel.min(end.connection.active() as u32 + requests - next) {
            let events = end.feed(&each(id(next)));
            let Some(Event::Head { stream, .. }) = events.first() else { panic!("{events:?}") };
            end.answer(*stream, bytes == 0);
            if bytes > 0 {
                end.connection.queue_data(*stream, bytes, true).unwrap();
            }
            next += 1;
        }
        let sent = end.sent();
        let back = acknowledge(&sent);
        end.feed(&back);
        assert_eq!(end.connection.calm(), None, "after {next} requests");
    }
}

/// h2load -m 100: streams one after the other without a pause; its windows are large, and acknowledged by halves.
#[test]
fn a_load_generator_is_no_attack() {
    let large = [(ids::INITIAL_WINDOW_SIZE, (1 << 30) - 1)];
    load(
        Config::server(),
        &large,
        (200_000, 100, 128),
        |id| headers(id, GET, true),
        |sent| {
            let bytes: usize =
                sent.iter().filter(|frame| frame.kind == Kind::Data).map(|frame| frame.payload.len()).sum();
            if bytes > 0 { window_update(0, bytes as u32) } else { Vec::new() }
        },
    );
    let requests = |id| [headers(id, POST, false), data(id, &[0; 100], true)].concat();
    load(Config::server(), &large, (50_000, 100, 0), requests, |_| Vec::new());
}

/// Clients that acknowledge every frame, on its stream and on the connection, and send a PING with each.
#[test]
fn acknowledging_every_frame_is_no_attack() {
    let acknowledge = |sent: &[crate::h2_end::Frame]| {
        let mut back = Vec::new();
        for frame_sent in sent.iter().filter(|frame| frame.kind == Kind::Data && !frame.payload.is_empty()) {
            let bytes = frame_sent.payload.len() as u32;
            back.extend(window_update(0, bytes));
            back.extend(window_update(frame_sent.stream, bytes));
            back.extend(frame(Kind::Ping, 0, 0, b"bdp-ping"));
        }
        back
    };
    load(Config::server(), &[], (50_000, 32, 200), |id| headers(id, GET, true), acknowledge);
    load(Config::server(), &[], (200, 8, 1 << 20), |id| headers(id, GET, true), acknowledge);
}

/// Heads that take a second frame each, and frames that only test whether unknown ones are ignored.
#[test]
fn long_heads_and_grease_are_no_attack() {
    let long = [GET, b"\x00\x01x\x7f\x81\x7d", &[b'~'; 16_128]].concat();
    let asked = |id| {
        let grease = frame(Kind::Unknown(0x0b), 0, id, b"grease");
        [
            frame(Kind::Headers, 1, id, &long[..16_000]),
            frame(Kind::Continuation, END_HEADERS, id, &long[16_000..]),
            grease.clone(),
            grease,
        ]
        .concat()
    };
    load(Config::server(), &[], (5_000, 10, 0), asked, |_| Vec::new());
}

/// A hundred uploads that are refused in the middle: what was on the way is much, and all of it was granted.
#[test]
fn uploads_that_are_cut_off_are_no_attack() {
    for frame_bytes in [16_384, 1_100] {
        let mut end =
            End::new(Config { stream_window_bytes: 300_000, connection_window_bytes: 1 << 26, ..Config::server() });
        let streams: Vec<_> = (0..100).map(|index| end.ask(id(index), POST, false)).collect();
        for stream in &streams {
            end.connection.reset(*stream, ErrorCode::CANCEL, Culprit::Us);
        }
        for stream in &streams {
            (0..300_000 / frame_bytes).for_each(|_| _ = end.feed(&data(stream.id, &vec![0; frame_bytes], false)));
        }
        assert_eq!(end.connection.calm(), None);
    }
}

/// Old browsers: a tree of priorities at first, one with each request and one in its head; and a page of two hundred
/// requests that is left again and again.
#[test]
fn a_browser_is_no_attack() {
    let old = |id| {
        let priority = |id| frame(Kind::Priority, 0, id, &[0x80, 0, 0, 0, 200]);
        let head = [b"\x80\0\0\0\xdb".as_slice(), GET].concat();
        let flags = END_HEADERS | 1 | headers_frame::PRIORITY;
        let first: Vec<u8> = if id == 1 {
            (1..12).map(|index| priority(2 * index + 201)).collect::<Vec<_>>().concat()
        } else {
            Vec::new()
        };
        [
            first,
            frame(Kind::Headers, flags, id, &head),
            priority(id),
            frame(Kind::PriorityUpdate, 0, 0, &[&id.to_be_bytes(), b"u=1".as_slice()].concat()),
        ]
        .concat()
    };
    load(Config::server(), &[], (20_000, 100, 3_000), old, |sent| {
        let bytes: usize = sent.iter().map(|frame| frame.payload.len()).sum();
        if bytes > 0 { window_update(0, bytes as u32) } else { Vec::new() }
    });

    let mut end = End::server();
    for page in 0..50 {
        end.now_us += 1_000_000;
        let ids = || (page * 120..page * 120 + 120).map(id);
        let asked: Vec<_> = ids().map(|id| end.ask(id, GET, true)).collect();
        asked[..60].iter().for_each(|stream| end.answer(*stream, true));
        ids().skip(60).for_each(|id| _ = end.feed(&rst_stream(id, ErrorCode::CANCEL)));
        end.sent();
        assert_eq!(end.connection.calm(), None, "page {page}");
    }
}

/// An upstream that restarts ends everything it has, and one that is overloaded refuses what it gets.
#[test]
fn an_upstream_in_trouble_is_no_attacker() {
    let mut end = End::client();
    for round in 0..20 {
        end.now_us += 500_000;
        let streams: Vec<_> = (0..200).map(|_| end.request(Method::Get, true)).collect();
        end.sent();
        streams.iter().for_each(|stream| _ = end.feed(&rst_stream(stream.id, ErrorCode::REFUSED_STREAM)));
        assert_eq!(end.connection.calm(), None, "round {round}");
    }
    for _ in 0..50_000 {
        let stream = end.request(Method::Get, true);
        end.feed(
            &[headers(stream.id, OK, false), data(stream.id, b"some", false), data(stream.id, b"thing", true)].concat(),
        );
        end.sent();
    }
    assert_eq!(end.connection.calm(), None);
}
