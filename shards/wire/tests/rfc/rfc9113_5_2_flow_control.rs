//! RFC 9113 §5.2 and §6.9: flow control, both ways. What a model of it says over thousands of seeds is in `h2_pair`.

use wire::h2::frame::{Kind, PADDED, settings as ids};
use wire::h2::{Config, Culprit, ErrorCode, Event, StreamKey};

use crate::h2_end::{End, Frame, GET, Outcome, POST, data, frame, headers, settings, window_update};

const FLOW: Outcome = Outcome::Connection(ErrorCode::FLOW_CONTROL_ERROR);

fn lengths(sent: &[Frame]) -> Vec<(u32, usize)> {
    sent.iter().filter(|frame| frame.kind == Kind::Data).map(|frame| (frame.stream, frame.payload.len())).collect()
}

fn increments(sent: &[Frame]) -> Vec<(u32, u32)> {
    let updates = sent.iter().filter(|frame| frame.kind == Kind::WindowUpdate);
    updates.map(|frame| (frame.stream, u32::from_be_bytes(frame.payload[..].try_into().unwrap()))).collect()
}

fn answering(end: &mut End, id: u32, bytes: usize) -> StreamKey {
    let stream = end.ask(id, GET, true);
    end.answer(stream, false);
    end.connection.queue_data(stream, bytes, true).unwrap();
    stream
}

#[test]
fn no_more_is_sent_than_the_stream_takes() {
    let mut end = End::with_settings(Config::server(), &[(ids::INITIAL_WINDOW_SIZE, 10)]);
    let stream = answering(&mut end, 1, 25);
    assert_eq!(lengths(&end.sent()), [(1, 10)]);
    assert_eq!((end.connection.queued(stream), end.connection.sent(stream)), (15, 10));
    assert_eq!(end.connection.send_windows(stream).0, 0);
    assert!(!end.connection.wants_output());
    end.feed(&window_update(1, 1));
    assert_eq!(lengths(&end.sent()), [(1, 1)]);
    end.feed(&window_update(1, 100));
    assert_eq!(lengths(&end.sent()), [(1, 14)]);
    assert_eq!(end.connection.active(), 0);
}

#[test]
fn no_more_is_sent_than_the_connection_takes() {
    let mut end = End::with_settings(Config::server(), &[(ids::INITIAL_WINDOW_SIZE, 1 << 20)]);
    answering(&mut end, 1, 60_000);
    answering(&mut end, 3, 60_000);
    let sent: usize = lengths(&end.sent()).iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sent, 65_535);
    // What takes no window goes through.
    let empty = end.ask(5, GET, true);
    end.answer(empty, false);
    end.connection.queue_data(empty, 0, true).unwrap();
    let trailing = end.ask(7, GET, true);
    end.answer(trailing, false);
    end.connection.queue_trailers(trailing).unwrap();
    assert_eq!(lengths(&end.sent()), [(5, 0), (7, 0)]);
    end.feed(&window_update(0, 1 << 20));
    let sent: usize = lengths(&end.sent()).iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sent, 120_000 - 65_535);
}

/// §5.2.1: a stream whose window is used up stops no other.
#[test]
fn a_stream_that_is_stopped_stops_no_other() {
    let mut end = End::server();
    end.feed(&window_update(0, 1 << 20));
    answering(&mut end, 1, 100_000);
    answering(&mut end, 3, 30_000);
    let sent = lengths(&end.sent());
    assert_eq!(sent.iter().filter(|(stream, _)| *stream == 3).map(|(_, bytes)| bytes).sum::<usize>(), 30_000);
    assert_eq!(sent.iter().filter(|(stream, _)| *stream == 1).map(|(_, bytes)| bytes).sum::<usize>(), 65_535);
}

/// §6.9.2: SETTINGS change the windows of all streams, also below 0, and the connection's not.
#[test]
fn settings_change_windows_in_use() {
    let mut end = End::with_settings(Config::server(), &[(ids::INITIAL_WINDOW_SIZE, 1_000)]);
    let stream = answering(&mut end, 1, 5_000);
    assert_eq!(lengths(&end.sent()), [(1, 1_000)]);
    end.feed(&settings(&[(ids::INITIAL_WINDOW_SIZE, 300)]));
    end.feed(&window_update(1, 700));
    assert_eq!(lengths(&end.sent()), [], "the window is 0 now");
    assert_eq!(end.connection.send_windows(stream).0, 0);
    end.feed(&settings(&[(ids::INITIAL_WINDOW_SIZE, 400)]));
    assert_eq!(lengths(&end.sent()), [(1, 100)]);
    // One that has not begun to send.
    end.feed(&settings(&[(ids::INITIAL_WINDOW_SIZE, 0)]));
    answering(&mut end, 3, 10);
    assert_eq!(lengths(&end.sent()), []);
    end.feed(&settings(&[(ids::INITIAL_WINDOW_SIZE, 100_000)]));
    let sent: usize = lengths(&end.sent()).iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(sent, 3_900 + 10);
}

/// §6.9.1
#[test]
fn windows_do_not_grow_without_end() {
    let most = (1 << 31) - 1;
    assert_eq!(End::server().outcome(&window_update(0, most - 65_535)), Outcome::Ignored);
    assert_eq!(End::server().outcome(&window_update(0, most - 65_534)), FLOW);
    assert_eq!(End::server().outcome(&window_update(0, 0)), Outcome::Connection(ErrorCode::PROTOCOL_ERROR));
    let mut end = End::server();
    end.ask(1, GET, true);
    end.feed(&window_update(1, 1));
    assert_eq!(end.outcome(&settings(&[(ids::INITIAL_WINDOW_SIZE, most)])), FLOW, "a stream's window overflows");
    assert_eq!(End::server().outcome(&settings(&[(ids::INITIAL_WINDOW_SIZE, most + 1)])), FLOW);
}

/// A fast upload fills no memory: it is stopped by whoever does not take it, and by nobody else.
#[test]
fn no_more_is_taken_than_was_granted() {
    let mut end = End::server();
    let stream = end.ask(1, POST, false);
    for _ in 0..3 {
        end.feed_and_hold(&data(1, &[0; 16_384], false));
    }
    assert_eq!(end.sent_of(Kind::WindowUpdate), [], "nothing was released");
    end.feed_and_hold(&data(1, &[0; 16_383], false));
    assert_eq!(end.connection.held(), 65_535);
    assert_eq!(end.outcome(&data(1, b"x", false)), FLOW);

    // The same, with half of it released in between: one frame for the stream.
    let mut end = End::server();
    let stream_2 = end.ask(1, POST, false);
    assert_eq!(stream, stream_2);
    for _ in 0..4 {
        end.feed_and_hold(&data(1, &[0; 16_000], false));
    }
    for _ in 0..64 {
        end.connection.release(stream, 1_000);
    }
    assert_eq!(increments(&end.sent()), [(1, 64_000)]);
    assert_eq!(end.connection.held(), 0);
}

#[test]
fn the_connection_as_a_whole_is_bounded() {
    let config = Config { connection_window_bytes: 100_000, held_bytes_max: 120_000, ..Config::server() };
    let mut end = End::new(config);
    let streams: Vec<StreamKey> = (0..4).map(|index| end.ask(2 * index + 1, POST, false)).collect();
    for stream in &streams[..3] {
        for _ in 0..4 {
            end.feed_and_hold(&data(stream.id, &[0; 8_000], false));
        }
    }
    // 96,000 of 100,000 are held, and 20,000 more than was granted at first may be: too few for a frame.
    assert_eq!(increments(&end.sent()), []);
    assert_eq!(end.outcome(&data(7, &[0; 4_001], false)), FLOW);

    let config = Config { connection_window_bytes: 100_000, held_bytes_max: 300_000, ..Config::server() };
    let mut end = End::new(config);
    for id in [1, 3, 5] {
        end.ask(id, POST, false);
        for _ in 0..4 {
            end.feed_and_hold(&data(id, &[0; 8_000], false));
        }
        end.sent();
    }
    // Three slow streams hold nearly a connection's window; the fourth has another.
    end.ask(7, POST, false);
    for _ in 0..8 {
        assert_eq!(end.feed_and_hold(&data(7, &[0; 8_000], false)).len(), 1);
    }
    assert_eq!(end.connection.held(), 160_000);
}

/// §6.9.1: padding counts, and is given back at once.
#[test]
fn padding_takes_window() {
    let mut end = End::server();
    end.ask(1, POST, false);
    let padding = [[255_u8].as_slice(), &[0; 255]].concat();
    for _ in 0..128 {
        end.feed_and_hold(&frame(Kind::Data, PADDED, 1, &padding));
    }
    assert_eq!(increments(&end.sent()), [(1, 128 * 256)]);
    assert_eq!(end.connection.held(), 0);
}

/// §5.1: what comes on a stream that was reset counts on the connection, and is given back there.
#[test]
fn data_after_a_reset_counts_on_the_connection() {
    let mut end = End::new(Config { connection_window_bytes: 0, ..Config::server() });
    let stream = end.ask(1, POST, false);
    let held = end.feed_and_hold(&data(1, &[0; 10_000], false));
    assert!(matches!(&held[..], [Event::Data { .. }]));
    end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
    end.sent();
    assert_eq!(end.feed(&data(1, &[0; 16_000], false)), []);
    assert_eq!(end.feed(&data(1, &[0; 16_384], false)), []);
    assert_eq!(increments(&end.sent()), [(0, 42_384)], "what was held does not count before it is very much");
    assert_eq!(end.connection.held(), 10_000);
    end.connection.release(stream, 10_000);
    assert_eq!(end.connection.held(), 0, "what was held was owed, though its stream is gone");
    // More than the stream's window cannot have been on the way.
    assert_eq!(end.outcome(&data(1, &[0; 16_384], false)), Outcome::Ignored);
    assert_eq!(end.outcome(&data(1, &[0; 16_384], false)), FLOW);
}

/// A frame of content that was under way when its stream was reset.
#[test]
fn a_reset_in_the_middle_of_a_frame_loses_no_window() {
    let mut end = End::new(Config { connection_window_bytes: 0, ..Config::server() });
    let stream = end.ask(1, POST, false);
    end.feed(&data(1, &[0; 16_384], false)[..5_000]);
    end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
    end.feed(&data(1, &[0; 16_384], false)[5_000..]);
    assert_eq!(end.connection.held(), 0);
    end.ask(3, POST, false);
    for _ in 0..2 {
        end.feed(&data(3, &[0; 16_384], false));
    }
    assert_eq!(increments(&end.sent()), [(0, 3 * 16_384), (3, 2 * 16_384)]);
}

/// Windows grow when a round trip fills them, and not when their data is not taken.
#[test]
fn windows_grow_with_the_bandwidth() {
    let config = Config { stream_window_bytes_max: 1 << 19, ..Config::server() };
    for is_slow in [false, true] {
        let mut end = End::new(config.clone());
        let stream = end.ask(1, POST, false);
        assert_eq!(upload(&mut end, stream, if is_slow { 60_000 } else { 0 }), 1 << 19, "slow: {is_slow}");
    }
}

/// Forty round trips of a client that sends all it may; what came is taken off our hands when it is more than `held_max`
/// bytes. Returns the bytes that there were at most, granted or in hand.
fn upload(end: &mut End, stream: StreamKey, held_max: i64) -> i64 {
    let granted_by = |sent: &[_]| -> i64 {
        increments(sent).iter().filter(|(id, _)| *id == stream.id).map(|(_, by)| i64::from(*by)).sum()
    };
    let (mut granted, mut held) = (65_535_i64, 0);
    let mut most = 0;
    for _ in 0..40 {
        // A round trip: all that may be sent comes, and then the answer to the PING that went out when it began.
        let mut pings = Vec::new();
        while granted > 0 {
            let bytes = granted.min(16_384);
            end.feed_and_hold(&data(stream.id, &vec![0; bytes as usize], false));
            granted -= bytes;
            held += bytes;
            let sent = end.sent();
            granted += granted_by(&sent);
            pings.extend(sent.into_iter().filter(|frame| frame.kind == Kind::Ping));
            most = most.max(granted + held);
        }
        assert!(pings.len() <= 1);
        if held > held_max {
            end.connection.release(stream, held as usize);
            held = 0;
        }
        end.now_us += 20_000;
        for ping in pings {
            end.feed(&frame(Kind::Ping, 1, 0, &ping.payload));
        }
        granted += granted_by(&end.sent());
    }
    most
}

/// Windows that have grown leave every other stream that with which it begins, however much of them lies in the caller's hands.
#[test]
fn windows_grow_by_what_no_other_stream_needs() {
    let config = Config {
        streams_max: 4,
        stream_window_bytes_max: 1 << 20,
        connection_window_bytes: 1 << 19,
        connection_window_bytes_max: 1 << 19,
        held_bytes_max: 4 * 65_535 + (1 << 19) + 100_000,
        ..Config::server()
    };
    let mut end = End::new(config);
    let first = end.ask(1, POST, false);
    assert_eq!(upload(&mut end, first, 0), 65_535 + 100_000);
    let second = end.ask(3, POST, false);
    assert_eq!(upload(&mut end, second, 0), 65_535, "the first has grown by all there is");
    end.feed(&frame(Kind::RstStream, 0, 1, &8_u32.to_be_bytes()));
    let third = end.ask(5, POST, false);
    assert_eq!(upload(&mut end, third, 0), 65_535 + 100_000, "what the first had is to be had again");

    // Now nobody takes anything, and each may still fill its window.
    for stream in [second, third, end.ask(7, POST, false), end.ask(9, POST, false)] {
        let mut came = 0;
        while came < 65_535 - 8_000 {
            assert_eq!(end.feed_and_hold(&data(stream.id, &[0; 8_000], false)).len(), 1, "stream {}", stream.id);
            came += 8_000;
            end.sent();
        }
    }
}

/// A path that one window holds is measured seldom.
#[test]
fn measurements_become_rare_where_they_change_nothing() {
    let mut end = End::server();
    let mut pings = 0;
    for index in 0..1_000 {
        end.now_us += 2_000;
        end.feed(&headers(2 * index + 1, POST, false));
        end.feed(&data(2 * index + 1, b"small", true));
        let sent = end.sent();
        for ping in sent.iter().filter(|frame| frame.kind == Kind::Ping) {
            pings += 1;
            end.feed(&frame(Kind::Ping, 1, 0, &ping.payload));
        }
        for stream in end.connection.streams().collect::<Vec<_>>() {
            end.answer(stream, true);
        }
    }
    assert!((3..8).contains(&pings), "{pings} in two seconds");
}

/// One end of a stream that has ended needs no window.
#[test]
fn no_window_is_given_to_who_has_nothing_to_send() {
    let mut end = End::server();
    let stream = end.ask(1, POST, false);
    for _ in 0..3 {
        end.feed_and_hold(&data(1, &[0; 16_384], false));
    }
    end.feed_and_hold(&data(1, &[0; 10_000], true));
    end.connection.release(stream, 3 * 16_384 + 10_000);
    assert_eq!(increments(&end.sent()), []);
}
