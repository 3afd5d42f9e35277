//! RFC 9218: what clients say of the order in which they want things, and the order in which content goes out.

use wire::h2::frame::{Kind, settings as ids};
use wire::h2::{Config, Culprit, ErrorCode, Priority, Role, StreamKey};

use crate::h2_end::{End, GET, Outcome, frame, headers, window_update};

const PROTOCOL: Outcome = Outcome::Connection(ErrorCode::PROTOCOL_ERROR);

fn priority(urgency: u8, is_incremental: bool) -> Priority {
    Priority { urgency, is_incremental }
}

/// §4: a dictionary of which two members matter.
#[test]
fn values_are_read() {
    let rows: [(&str, Option<(u8, bool)>); 31] = [
        ("", Some((3, false))),
        ("u=0", Some((0, false))),
        ("u=7,i", Some((7, true))),
        ("u=5, i", Some((5, true))),
        ("i", Some((3, true))),
        ("i=?1", Some((3, true))),
        ("i=?0", Some((3, false))),
        ("i, i=?0", Some((3, false))),
        ("u=1 , \t i", Some((1, true))),
        ("  u=2  ", Some((2, false))),
        // What is outside of its range or of another type counts as not said.
        ("u=8", Some((3, false))),
        ("u=-1", Some((3, false))),
        ("u=1.0", Some((3, false))),
        ("u", Some((3, false))),
        ("u=?1, i=1", Some((3, false))),
        // What nobody knows is passed over.
        ("u=1;x=2, i;a", Some((1, true))),
        ("x=\"a,b\", u=4", Some((4, false))),
        ("x=\"a\\\",b\", u=4", Some((4, false))),
        ("*a.b-c_d*=:YWI=:, u=6", Some((6, false))),
        ("x=(a b), i", Some((3, true))),
        // What is no dictionary is not said at all.
        ("u=1,", None),
        (",", None),
        ("u=1,,i", None),
        ("U=1", None),
        ("=1", None),
        ("u=1 i", Some((3, false))),
        ("1", None),
        ("i!", None),
        ("x=\"a", None),
        ("x=\"a\\", None),
        ("x=\x01", None),
    ];
    for (value, expected) in rows {
        let expected = expected.map(|(urgency, is_incremental)| priority(urgency, is_incremental));
        assert_eq!(Priority::parse(value.as_bytes()), expected, "{value:?}");
    }
}

/// A request with a Priority field.
fn asking(id: u32, value: &str) -> Vec<u8> {
    let field = [b"\x00\x08priority".as_slice(), &[value.len() as u8], value.as_bytes()].concat();
    headers(id, &[GET, if value.is_empty() { b"" } else { field.as_slice() }].concat(), true)
}

fn update(id: u32, value: &str) -> Vec<u8> {
    frame(Kind::PriorityUpdate, 0, 0, &[&id.to_be_bytes(), value.as_bytes()].concat())
}

fn key(end: &End, id: u32) -> StreamKey {
    end.connection.streams().find(|key| key.id == id).unwrap()
}

/// A server that has an answer of so many frames for each request, in this order.
fn answering(requests: &[(u32, &str)], frames: usize) -> End {
    let mut end = End::with_settings(Config::server(), &[(ids::INITIAL_WINDOW_SIZE, 1 << 30)]);
    end.feed(&window_update(0, 1 << 30));
    for (id, value) in requests {
        end.feed(&asking(*id, value));
        let stream = key(&end, *id);
        end.answer(stream, false);
        end.connection.queue_data(stream, frames * 16_384, true).unwrap();
    }
    end
}

fn order(end: &mut End) -> Vec<u32> {
    end.sent_of(Kind::Data).iter().map(|frame| frame.stream).collect()
}

/// §5 and §7
#[test]
fn priorities_are_said_in_heads_and_in_frames() {
    let mut end = End::server();
    end.feed(&update(3, "u=6"));
    end.feed(&update(5, "u=1"));
    end.feed(&update(5, "u=2, i"));
    end.feed(&[asking(1, ""), asking(3, "u=0"), asking(5, ""), asking(7, "u=4, i"), asking(9, "u=,")].concat());
    let said = |end: &End, id| end.connection.priority(key(end, id)).unwrap();
    assert_eq!(said(&end, 1), Priority::UNSAID);
    assert_eq!(said(&end, 3), priority(6, false), "the frame is the client's last word");
    assert_eq!(said(&end, 5), priority(2, true));
    assert_eq!(said(&end, 7), priority(4, true));
    assert_eq!(said(&end, 9), Priority::UNSAID);
    end.feed(&update(1, "u=0"));
    assert_eq!(said(&end, 1), priority(0, false));
    end.feed(&update(1, "no dictionary,"));
    assert_eq!(said(&end, 1), priority(0, false));
    let stream = key(&end, 1);
    end.connection.set_priority(stream, priority(7, true));
    assert_eq!(said(&end, 1), priority(7, true));
    end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
    assert_eq!(end.outcome(&update(1, "u=0")), Outcome::Ignored, "on a stream that is over");
    assert_eq!(end.connection.priority(stream), None);
}

/// §7.1
#[test]
fn priority_updates_are_a_clients_about_its_streams() {
    assert_eq!(End::server().outcome(&update(0, "u=1")), PROTOCOL);
    assert_eq!(End::server().outcome(&update(2, "u=1")), PROTOCOL);
    assert_eq!(End::new(crate::h2_end::config(Role::Client)).outcome(&update(1, "u=1")), PROTOCOL);
    // Of streams that never come, few are remembered.
    let mut end = End::server();
    for id in 0..100 {
        end.feed(&update(2 * id + 1, "u=0"));
    }
    end.ask(1, GET, true);
    end.ask(199, GET, true);
    assert_eq!(end.connection.priority(key(&end, 1)), Some(Priority::UNSAID));
    assert_eq!(end.connection.priority(key(&end, 199)), Some(priority(0, false)));
}

/// §10: the more urgent first.
#[test]
fn urgency_goes_before_everything() {
    let mut end = answering(&[(1, "u=5"), (3, "u=1, i"), (5, ""), (7, "u=0"), (9, "u=7, i")], 2);
    assert_eq!(order(&mut end), [7, 7, 3, 3, 5, 5, 1, 1, 9, 9]);
}

/// §10: those that are of use in parts share, the others come whole, in the order in which they were asked for.
#[test]
fn incremental_streams_take_turns() {
    let mut end = answering(&[(1, "i"), (3, "i"), (5, "i")], 3);
    assert_eq!(order(&mut end), [1, 3, 5, 1, 3, 5, 1, 3, 5]);
    let mut end = answering(&[(1, "u=2"), (3, "u=2"), (5, "u=2")], 2);
    assert_eq!(order(&mut end), [1, 1, 3, 3, 5, 5]);
    // Also if the answers become ready in another order.
    let mut end = answering(&[], 0);
    let streams: Vec<StreamKey> = [1, 3, 5]
        .map(|id| {
            end.feed(&asking(id, "u=2"));
            key(&end, id)
        })
        .to_vec();
    for stream in streams.iter().rev() {
        end.answer(*stream, false);
        end.connection.queue_data(*stream, 20_000, true).unwrap();
    }
    assert_eq!(order(&mut end), [1, 1, 3, 3, 5, 5]);
}

/// A client that says nothing may have many users: its streams take turns.
#[test]
fn streams_of_which_nothing_is_said_take_turns() {
    assert_eq!(order(&mut answering(&[(1, ""), (3, "")], 3)), [1, 3, 1, 3, 1, 3]);
}

/// Within a level nobody starves: neither behind a long answer that comes whole, nor behind many that come in parts.
#[test]
fn whole_and_incremental_streams_of_a_level_share() {
    let mut end = answering(&[(1, "u=3"), (3, "u=3, i"), (5, "u=3, i"), (7, "u=3")], 4);
    let order = order(&mut end);
    assert_eq!(order[..8], [1, 3, 1, 5, 1, 3, 1, 5]);
    assert_eq!(order[8..], [7, 3, 7, 5, 7, 3, 7, 5]);
}

/// A change counts from the next frame on, wherever the stream stands.
#[test]
fn priorities_change_under_way() {
    let mut end = answering(&[(1, "u=4"), (3, "u=4"), (5, "u=4"), (7, "i")], 2);
    let mut out = Vec::new();
    assert!(end.connection.poll_output(&mut out).is_some(), "the first frame of stream 7");
    end.feed(&update(5, "u=0"));
    end.feed(&update(1, "u=7, i"));
    assert_eq!(order(&mut end), [5, 5, 7, 3, 3, 1, 1]);
    // One that goes leaves the others in order.
    let mut end = answering(&[(1, "i"), (3, "i"), (5, "i"), (7, "i")], 2);
    for id in [1, 5] {
        let stream = key(&end, id);
        end.connection.reset(stream, ErrorCode::CANCEL, Culprit::Us);
    }
    assert_eq!(order(&mut end), [3, 7, 3, 7]);
}

/// RFC 9113 §5.3.2: the old priorities change nothing.
#[test]
fn old_priorities_are_ignored() {
    let mut end = answering(&[(1, ""), (3, "")], 2);
    end.feed(&frame(Kind::Priority, 0, 1, &[0x80, 0, 0, 3, 255]));
    end.feed(&frame(Kind::Priority, 0, 3, &[0, 0, 0, 3, 0]));
    end.feed(&frame(Kind::Priority, 0, 99, &[0, 0, 0, 3, 0]));
    assert_eq!(order(&mut end), [1, 3, 1, 3]);
    assert_eq!(end.outcome(&headers(5, GET, true)), Outcome::Taken);
}
