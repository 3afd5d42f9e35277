//! A session against a server's bytes, by the sections of RFC 6455.

use proptest::prelude::*;

use super::Session;
use crate::{
    client::protocol::{Answered, Event, Failure, Key},
    load::Target,
    record::ErrorKind,
    scenario::Expect,
};

fn target(message: &[u8]) -> &'static Target {
    let message = message.to_vec().leak();
    Box::leak(Box::new(Target {
        usual: b"",
        last: b"",
        fields: &[],
        body: message,
        to_head: false,
        expect: Expect::default(),
        weight: 1,
    }))
}

/// The server's answer to the session's handshake, from the RFC's own example where the key is known.
fn opened(seed: u64) -> Session {
    let mut session = Session::new(b"GET / HTTP/1.1\r\nHost: x\r\n", seed);
    let mut request = Vec::new();
    session.open(&mut request);
    let request = String::from_utf8(request).expect("a head");
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).expect("a key");
    let accept = super::handshake::accept(key.as_bytes());
    let mut answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n".to_vec();
    answer.extend_from_slice(&[b"Sec-WebSocket-Accept: ", accept.as_slice(), b"\r\n\r\n"].concat());
    let received = session.receive(&answer).expect("an upgrade");
    assert_eq!((received.consumed, received.event), (answer.len(), Some(Event::Opened)));
    session
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..65536 => frame.extend_from_slice(&[&[126][..], &(length as u16).to_be_bytes()].concat()),
        length => frame.extend_from_slice(&[&[127][..], &(length as u64).to_be_bytes()].concat()),
    }
    frame.extend_from_slice(payload);
    frame
}

/// The answers in `bytes`, which come in pieces.
fn answers(session: &mut Session, bytes: &[u8], piece: usize) -> Result<Vec<Answered>, Failure> {
    let mut answers = Vec::new();
    for mut input in bytes.chunks(piece) {
        while !input.is_empty() {
            let received = session.receive(input)?;
            input = &input[received.consumed..];
            match received.event {
                Some(Event::Answered(answered)) => answers.push(answered),
                Some(other) => panic!("{other:?}"),
                None => assert!(input.is_empty()),
            }
        }
    }
    Ok(answers)
}

#[test]
fn section_5_3_messages_are_masked_and_carry_their_length() {
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let mut session = opened(3);
        let message: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let mut output = Vec::new();
        session.request(target(&message), Key(0), &mut output);
        let header = output.len() - length;
        assert_eq!((output[0], output[1] & 0x80), (0x82, 0x80));
        let mask = &output[header - 4..header];
        let unmasked: Vec<u8> =
            output[header..].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        assert_eq!(unmasked, message);
    }
}

#[test]
fn an_echo_is_verified() {
    let cases: [(&[u8], Option<ErrorKind>); 4] = [
        (b"hello", None),
        (b"hellx", Some(ErrorKind::UnexpectedHash)),
        (b"hell", Some(ErrorKind::UnexpectedLength)),
        (b"hello!", Some(ErrorKind::UnexpectedLength)),
    ];
    for (echo, unexpected) in cases {
        let mut session = opened(5);
        session.request(target(b"hello"), Key(0), &mut Vec::new());
        let answered = answers(&mut session, &frame(0x82, echo), 99).expect("a frame");
        assert_eq!(answered, [Answered { key: Key(0), status: None, unexpected, last: false }]);
        assert_eq!(session.end(), Ok(()));
    }
}

#[test]
fn section_5_4_and_5_5_fragments_with_a_ping_between() {
    let mut session = opened(7);
    session.request(target(b"hello"), Key(0), &mut Vec::new());
    let bytes = [frame(0x02, b"he"), frame(0x89, b"ping"), frame(0x00, b""), frame(0x80, b"llo")].concat();
    for piece in 1..bytes.len() {
        let mut session = opened(7);
        session.request(target(b"hello"), Key(0), &mut Vec::new());
        assert_eq!(answers(&mut session, &bytes, piece).expect("frames").len(), 1);
        let mut reply = Vec::new();
        assert!(session.reply(&mut reply));
        assert_eq!((reply[0], reply[1], reply.len()), (0x8a, 0x84, 2 + 4 + 4));
    }
    assert_eq!(answers(&mut session, &bytes[..4], 99).expect("a fragment"), []);
    assert_eq!(session.end().expect_err("cut").kind, ErrorKind::ClosedEarly);
}

#[test]
fn what_a_server_may_not_send_is_refused() {
    let long = [&[0x89, 126, 0, 126][..], &[0; 126]].concat();
    for bytes in [
        &[0xc2, 0][..],                          // a reserved bit, RFC 6455 §5.2
        &[0x83, 0],                              // a reserved opcode
        &[0x82, 0x80, 0, 0, 0, 0],               // a mask, §5.1
        &[0x09, 0],                              // a ping in pieces, §5.5
        &long,                                   // a ping that is too long
        &[0x82, 126, 0, 5],                      // a length in more bytes than it needs
        &[0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0], // likewise
        &[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], // a length of more than 63 bits
        &[0x80, 0],                              // a continuation of nothing, §5.4
        &[0x02, 0, 0x82, 0],                     // a message within another
    ] {
        let mut session = opened(9);
        session.request(target(b""), Key(0), &mut Vec::new());
        let failure = answers(&mut session, bytes, 99).expect_err("refused");
        assert_eq!(failure.kind, ErrorKind::Malformed, "{bytes:x?}");
    }
    assert_eq!(answers(&mut opened(9), &[0x82, 0], 99).expect_err("unsolicited").kind, ErrorKind::Malformed);
}

#[test]
fn section_4_1_an_upgrade_has_to_be_one() {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    for (answer, kind) in [
        ("HTTP/1.1 200 OK\r\n", ErrorKind::UnexpectedStatus),
        (&format!("{head}\r\n"), ErrorKind::Malformed),
        (&format!("{head}Sec-WebSocket-Accept: x\r\n"), ErrorKind::Malformed),
        (&format!("{head}Sec-WebSocket-Extensions: permessage-deflate\r\n"), ErrorKind::Malformed),
        ("HTTP/1.1 101\r\n", ErrorKind::Malformed),
    ] {
        let mut session = Session::new(b"GET / HTTP/1.1\r\n", 1);
        assert_eq!(session.receive(answer.as_bytes()).expect_err("no upgrade").kind, kind, "{answer}");
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), piece in 1..20_usize) {
        let outcome = |piece| {
            let mut session = opened(11);
            (0..3).for_each(|_| session.request(target(b"abc"), Key(0), &mut Vec::new()));
            answers(&mut session, &bytes, piece)
        };
        prop_assert_eq!(outcome(piece), outcome(bytes.len().max(1)));
    }
}
