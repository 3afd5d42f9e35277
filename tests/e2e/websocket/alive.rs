//! Pings for ends that are silent, and what becomes of those that answer none.

use std::time::{Duration, Instant};

use kit::frames::{CLOSE, FIN, PING, PONG, TEXT, of_client, of_server};
use kit::{Config, Gate, Peer};

use super::{checked, switching, tunnel};
use crate::start;

const OPTIONS: &str = "{ ping_interval = \"50ms\", pong_timeout = \"1s\" }";

/// Answers every ping until something else comes, which it returns.
fn answer(peer: &mut Peer, of: fn(u8, &[u8]) -> Vec<u8>) -> std::io::Result<kit::frames::Frame> {
    loop {
        let frame = peer.read_frame()?;
        if frame.first != FIN | PING {
            return Ok(frame);
        }
        peer.send(&of(FIN | PONG, &frame.payload))?;
    }
}

#[test]
fn both_ends_are_pinged_and_their_pongs_kept() {
    // Longer than a tunnel may be idle: pongs are bytes.
    let origin = switching(|peer| {
        for _ in 0..20 {
            let ping = peer.read_frame()?;
            assert_eq!((ping.first, ping.is_masked, ping.payload.len()), (FIN | PING, true, 8));
            peer.send(&of_server(FIN | PONG, &ping.payload))?;
        }
        peer.send(&of_server(FIN | TEXT, b"enough"))?;
        let close = answer(peer, of_server)?;
        assert_eq!(close.code(), Some(1000), "no pong of the client has come: {close:?}");
        peer.send(&of_server(FIN | CLOSE, b"\x03\xe8"))?;
        peer.half_close()
    });
    let config = Config::to(origin.address()).timeout("tunnel_idle", "600ms").timeout("body_idle", "100ms");
    let ringway = start(config.route_option("websocket", "{ ping_interval = \"50ms\", pong_timeout = \"5s\" }"));
    let mut client = tunnel(&ringway);
    let begun = Instant::now();
    let message = answer(&mut client, of_client).unwrap();
    assert_eq!(message.payload, b"enough");
    assert!(begun.elapsed() > Duration::from_millis(900), "20 pings, 50 ms apart: {:?}", begun.elapsed());
    client.send(&of_client(FIN | CLOSE, b"\x03\xe8")).unwrap();
    assert_eq!(answer(&mut client, of_client).unwrap().code(), Some(1000));
    client.assert_ends();
    ringway.assert_outcome("/chat", &["completed"]);
    let counts = ringway.stop_and_count();
    assert!(counts["websocket_pings"] >= 25, "{counts:?}");
}

#[test]
fn a_client_that_answers_no_ping_is_cut_off() {
    let origin = switching(|peer| {
        assert_eq!(answer(peer, of_server)?.payload, b"busy");
        let close = answer(peer, of_server)?;
        assert_eq!((close.code(), close.is_masked), (Some(1001), true));
        peer.send(&of_server(FIN | CLOSE, b"\x03\xe9"))?;
        peer.assert_ends();
        Ok(())
    });
    let ringway = checked(&origin, OPTIONS);
    let mut client = tunnel(&ringway);
    assert_eq!(client.read_frame().unwrap().first, FIN | PING);
    // A sign of life, but no pong.
    client.send(&of_client(FIN | TEXT, b"busy")).unwrap();
    assert_eq!(client.read_frame().unwrap().code(), Some(1011));
    client.assert_ends();
    origin.wait_until_closed();
    let record = ringway.record_of("/chat");
    assert_eq!(
        (&record["outcome"], &record["limit"]),
        (&"client_timeout".into(), &"routes.websocket.pong_timeout".into())
    );
    assert_eq!(ringway.stop_and_count()["limits{routes.websocket.pong_timeout}"], 1);
}

#[test]
fn an_upstream_that_answers_no_ping_is_cut_off() {
    let origin = switching(|peer| {
        assert_eq!(peer.read_frame()?.first, FIN | PING);
        assert_eq!(peer.read_frame()?.code(), Some(1011));
        peer.assert_ends();
        Ok(())
    });
    let ringway = checked(&origin, OPTIONS);
    let mut client = tunnel(&ringway);
    assert_eq!(answer(&mut client, of_client).unwrap().code(), Some(1011));
    client.send(&of_client(FIN | CLOSE, b"\x03\xf3")).unwrap();
    client.assert_ends();
    origin.wait_until_closed();
    let record = ringway.record_of("/chat");
    assert_eq!(
        (&record["outcome"], &record["limit"]),
        (&"upstream_timeout".into(), &"routes.websocket.pong_timeout".into())
    );
}

#[test]
fn a_ping_waits_for_the_end_of_the_frame_that_is_passing() {
    let origin = switching(|peer| {
        let message = of_server(FIN | TEXT, &[b'x'; 100]);
        peer.send(&message[..60])?;
        // By the time that this end is pinged, the client would have been too: it has been silent for longer.
        assert_eq!(peer.read_frame()?.first, FIN | PING);
        peer.send(&[&message[60..], &of_server(FIN | TEXT, b"next")].concat())?;
        let close = answer(peer, of_server)?;
        assert_eq!(close.code(), Some(1000));
        peer.send(&of_server(FIN | CLOSE, b"\x03\xe8"))
    });
    let ringway = checked(&origin, "{ ping_interval = \"100ms\", pong_timeout = \"10s\" }");
    let mut client = tunnel(&ringway);
    assert_eq!(client.read_frame().unwrap().payload, [b'x'; 100]);
    let ping = client.read_frame().unwrap();
    assert_eq!(ping.first, FIN | PING, "right behind the frame that it waited for");
    client.send(&of_client(FIN | PONG, &ping.payload)).unwrap();
    assert_eq!(answer(&mut client, of_client).unwrap().payload, b"next");
    client.send(&of_client(FIN | CLOSE, b"\x03\xe8")).unwrap();
    assert_eq!(answer(&mut client, of_client).unwrap().code(), Some(1000));
    ringway.assert_outcome("/chat", &["completed"]);
}

#[test]
fn pings_and_pongs_of_the_ends_are_theirs() {
    let origin = switching(|peer| {
        let ping = answer_own(peer)?;
        assert_eq!(ping.payload, b"client's");
        peer.send(&of_server(FIN | PONG, &ping.payload))?;
        peer.send(&of_server(FIN | PONG, b"unasked"))?;
        peer.read_to_end().map(drop)
    });
    let ringway = checked(&origin, "{ ping_interval = \"30ms\", pong_timeout = \"10s\" }");
    let mut client = tunnel(&ringway);
    client.send(&of_client(FIN | PING, b"client's")).unwrap();
    for expected in [&b"client's"[..], b"unasked"] {
        let pong = answer(&mut client, of_client).unwrap();
        assert_eq!((pong.first, &pong.payload[..]), (FIN | PONG, expected));
    }
}

/// Answers pings of eight bytes, Ringway's, and returns another one.
fn answer_own(peer: &mut Peer) -> std::io::Result<kit::frames::Frame> {
    loop {
        let frame = peer.read_frame()?;
        if frame.first != FIN | PING || frame.payload == b"client's" {
            return Ok(frame);
        }
        peer.send(&of_server(FIN | PONG, &frame.payload))?;
    }
}

#[test]
fn a_client_is_not_cut_off_because_the_upstream_does_not_read() {
    let read = Gate::new();
    let origin = switching({
        let read = read.clone();
        move |peer| {
            read.wait();
            let close = loop {
                let frame = peer.read_frame()?;
                match frame.first & 0xf {
                    CLOSE => break frame,
                    PING => peer.send(&of_server(FIN | PONG, &frame.payload))?,
                    _ => {}
                }
            };
            peer.send(&of_server(FIN | CLOSE, &close.payload))
        }
    });
    // The upstream answers when it reads; what counts here is the client, whose pongs are behind what nobody takes.
    let ringway = checked(&origin, "{ ping_interval = \"100ms\", pong_timeout = \"400ms\" }");
    let mut client = tunnel(&ringway);
    let mut writer = client.second();
    let writing = std::thread::spawn(move || {
        let message = of_client(FIN | kit::frames::BINARY, &vec![1; 1 << 20]);
        (0..20).try_for_each(|_| writer.send(&message))
    });
    // It is the upstream that is found silent.
    let close = answer_reading(&mut client);
    assert_eq!(close.code(), Some(1011));
    let record = ringway.record_of("/chat");
    assert_eq!(
        (&record["outcome"], &record["limit"]),
        (&"upstream_timeout".into(), &"routes.websocket.pong_timeout".into())
    );
    read.open();
    drop(client);
    let _ = writing.join().unwrap();
}

/// Reads until something comes that is no ping; answers none, since another thread is writing.
fn answer_reading(client: &mut Peer) -> kit::frames::Frame {
    loop {
        let frame = client.read_frame().unwrap();
        if frame.first != FIN | PING {
            return frame;
        }
    }
}
