//! Ends that break a rule: each is told which, the other one that it is over, and the record that it happened.

use kit::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, of_client, of_server};
use kit::{Gate, Peer, Ringway};

use super::{checked, switching, tunnel};

const OPTIONS: &str = "{ frame_bytes = \"1KiB\", message_bytes = \"2KiB\" }";

/// Frames, each by its first byte and payload, of which the last is wrong; what the offender is told; as what it is counted.
type Violation = (Vec<(u8, Vec<u8>)>, u16, &'static str);

fn violations() -> Vec<Violation> {
    vec![
        (vec![(FIN | 0x40 | TEXT, vec![])], 1002, "protocol"),
        (vec![(FIN | 0x20 | TEXT, vec![])], 1002, "protocol"),
        (vec![(FIN | 0x3, vec![])], 1002, "protocol"),
        (vec![(FIN | CONTINUATION, vec![])], 1002, "protocol"),
        (vec![(TEXT, b"a".to_vec()), (FIN | TEXT, b"b".to_vec())], 1002, "protocol"),
        (vec![(PING, vec![])], 1002, "protocol"),
        (vec![(FIN | PING, vec![0; 126])], 1002, "protocol"),
        (vec![(FIN | CLOSE, vec![3])], 1002, "protocol"),
        (vec![(FIN | CLOSE, vec![3, 0xed])], 1002, "protocol"),
        (vec![(FIN | CLOSE, vec![3, 0xe8, 0xff])], 1007, "text"),
        (vec![(FIN | TEXT, vec![b'a', 0xff])], 1007, "text"),
        (vec![(TEXT, vec![0xe2, 0x98]), (FIN | CONTINUATION, vec![b'a'])], 1007, "text"),
        (vec![(FIN | BINARY, vec![0; 1025])], 1009, "size"),
        (vec![(BINARY, vec![0; 1024]), (CONTINUATION, vec![0; 1024]), (FIN | CONTINUATION, vec![0])], 1009, "size"),
    ]
}

fn outcome(side: &str, reason: &str) -> String {
    if reason == "size" && side == "client" { "client_too_large".to_owned() } else { format!("{side}_malformed") }
}

#[track_caller]
fn assert_counted(ringway: Ringway, side: &str, reason: &str) {
    let record = ringway.record_of("/chat");
    assert_eq!(record["outcome"], outcome(side, reason), "{record}");
    let limit = record["limit"].as_str();
    assert_eq!(limit.is_some_and(|limit| limit.starts_with("routes.websocket.")), reason == "size", "{record}");
    let breach = match (side, reason) {
        ("client", "protocol") => "websocket_breaches{client_protocol}",
        ("client", "text") => "websocket_breaches{client_text}",
        ("client", _) => "websocket_breaches{client_size}",
        (_, "protocol") => "websocket_breaches{upstream_protocol}",
        (_, "text") => "websocket_breaches{upstream_text}",
        (_, _) => "websocket_breaches{upstream_size}",
    };
    let counts = ringway.stop_and_count();
    assert_eq!(counts[breach], 1, "{counts:?}");
    let sizes = ["limits{routes.websocket.frame_bytes}", "limits{routes.websocket.message_bytes}"];
    let met: u64 = sizes.iter().filter_map(|name| counts.get(*name)).sum();
    assert_eq!(met, u64::from(reason == "size"), "{counts:?}");
}

#[test]
fn a_client_that_breaks_a_rule_is_told_and_the_upstream_that_it_has_gone() {
    for (frames, code, reason) in violations() {
        let origin = switching(|peer| {
            let last = loop {
                let frame = peer.read_frame()?;
                if frame.first == FIN | CLOSE {
                    break frame;
                }
            };
            assert_eq!((last.code(), last.is_masked), (Some(1001), true));
            peer.send(&of_server(FIN | CLOSE, b"\x03\xe9"))?;
            peer.assert_ends();
            Ok(())
        });
        let ringway = checked(&origin, OPTIONS);
        let mut client = tunnel(&ringway);
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| of_client(*first, payload)).collect();
        client.send(&bytes).unwrap();
        let close = client.read_frame().unwrap();
        assert_eq!((close.code(), close.is_masked), (Some(code), false), "{frames:?}");
        client.assert_ends();
        drop(client);
        origin.wait_until_closed();
        assert_counted(ringway, "client", reason);
    }
}

#[test]
fn an_upstream_that_breaks_a_rule_is_told_and_the_client_that_it_has_failed() {
    for (frames, code, reason) in violations() {
        let sent = frames.clone();
        let origin = switching(move |peer| {
            let bytes: Vec<u8> = sent.iter().flat_map(|(first, payload)| of_server(*first, payload)).collect();
            peer.send(&bytes)?;
            let close = peer.read_frame()?;
            assert_eq!((close.code(), close.is_masked), (Some(code), true), "{sent:?}");
            peer.assert_ends();
            Ok(())
        });
        let ringway = checked(&origin, OPTIONS);
        let mut client = tunnel(&ringway);
        let last = loop {
            let frame = client.read_frame().unwrap();
            if frame.first == FIN | CLOSE {
                break frame;
            }
        };
        assert_eq!(last.code(), Some(1011), "{frames:?}");
        client.send(&of_client(FIN | CLOSE, b"\x03\xf3")).unwrap();
        client.assert_ends();
        drop(client);
        origin.wait_until_closed();
        assert_counted(ringway, "upstream", reason);
    }
}

#[test]
fn masks_are_the_clients_alone() {
    let origin = switching(|peer| peer.read_to_end().map(drop));
    let ringway = checked(&origin, "true");
    let mut client = tunnel(&ringway);
    client.send(&of_server(FIN | TEXT, b"not masked")).unwrap();
    assert_eq!(client.read_frame().unwrap().code(), Some(1002));
    let origin = switching(|peer| {
        peer.send(&of_client(FIN | TEXT, b"masked"))?;
        assert_eq!(peer.read_frame()?.code(), Some(1002));
        Ok(())
    });
    let ringway = checked(&origin, "true");
    assert_eq!(tunnel(&ringway).read_frame().unwrap().code(), Some(1011));
    origin.wait_until_closed();
}

#[test]
fn compressed_messages_are_for_those_who_agreed_on_them() {
    let agreeing = |extensions: &'static str| {
        kit::Origin::start(move |peer: &mut Peer, _| {
            peer.read_head()?;
            let head = format!("HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n{extensions}\r\n");
            peer.send(head.as_bytes())?;
            let frame = peer.read_frame()?;
            peer.send(&of_server(frame.first, &frame.payload))?;
            peer.read_to_end().map(drop)
        })
    };
    // Text that is no UTF-8 until it is decompressed.
    let compressed = of_client(FIN | 0x40 | TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    for (extensions, agreed) in [
        ("", false),
        ("Sec-WebSocket-Extensions: x-other\r\n", false),
        ("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n", true),
        ("sec-websocket-extensions: x-a\r\nSEC-WEBSOCKET-EXTENSIONS: permessage-deflate\r\n", true),
    ] {
        let origin = agreeing(extensions);
        let ringway = checked(&origin, "true");
        let mut client = tunnel(&ringway);
        client.send(&compressed).unwrap();
        let frame = client.read_frame().unwrap();
        assert_eq!(frame.first == FIN | 0x40 | TEXT, agreed, "{extensions:?}: {frame:?}");
        assert_eq!(frame.code(), (!agreed).then_some(1002), "{extensions:?}");
    }
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_not_told_but_closed() {
    let (half, told) = (Gate::new(), Gate::new());
    let origin = switching({
        let (half, told) = (half.clone(), told.clone());
        move |peer| {
            assert_eq!(peer.read_bytes(10)?.len(), 10);
            half.open();
            // The client's frame never ends.
            let rest = peer.read_to_end();
            assert!(rest.as_ref().is_ok_and(|rest| !rest.contains(&(FIN | CLOSE))), "{rest:?}");
            told.open();
            Ok(())
        }
    });
    let ringway = checked(&origin, "true");
    let mut client = tunnel(&ringway);
    let frame = of_client(FIN | TEXT, b"aaaaaaaaaa\xff");
    client.send(&frame[..10]).unwrap();
    half.wait();
    client.send(&frame[10..]).unwrap();
    assert_eq!(client.read_frame().unwrap().code(), Some(1007));
    told.wait();
    ringway.assert_outcome("/chat", &["client_malformed"]);
}
