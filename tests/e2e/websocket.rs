//! WebSockets that their route looks into: frames checked, messages bounded, ends pinged, and a drain that closes.

mod alive;
mod violations;

use std::io;
use std::time::{Duration, Instant};

use kit::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, of_client, of_server};
use kit::websockets::{self, Messages, WebSocketClients};
use kit::{Authority, Config, Origin, Peer, Ringway, TlsFront, WebSocketServer};

use crate::{BINARY as PROGRAM, start};

const ASK: &[u8] = b"GET /chat HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// An origin that switches protocols, and then runs `talk`.
fn switching(talk: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    Origin::start(move |peer, _| {
        peer.read_head()?;
        peer.send(SWITCH)?;
        talk(peer)
    })
}

/// Sends back whatever comes, as it came, until the end.
fn mirror(peer: &mut Peer) -> io::Result<()> {
    let mut writer = peer.second();
    peer.read_body(kit::Framing::UntilClose, &mut |piece| writer.send(piece).unwrap_or_default())?;
    peer.half_close()
}

/// Sends back every message, and closes when it is told to.
fn echo(peer: &mut Peer) -> io::Result<()> {
    loop {
        let frame = peer.read_frame()?;
        assert!(frame.is_masked, "RFC 6455 §5.1: {frame:?}");
        let first = if frame.first == FIN | PING { FIN | PONG } else { frame.first };
        peer.send(&of_server(first, &frame.payload))?;
        if frame.first == FIN | CLOSE {
            return peer.half_close();
        }
    }
}

/// The proxy before `origin`, on a route with these options for its WebSockets.
fn checked(origin: &Origin, options: &str) -> Ringway {
    start(Config::to(origin.address()).route_option("websocket", options))
}

/// A client whose connection has become a tunnel.
fn tunnel(ringway: &Ringway) -> Peer {
    let mut client = ringway.connect();
    client.send(ASK).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    assert_eq!(head.status(), 101, "{head:?}");
    client
}

#[test]
fn pythons_websockets_speak_through_it_compressed_or_not() {
    let server = WebSocketServer::start();
    let config = Config::to(server.address()).shards(2);
    let ringway = start(config.route_option("websocket", "{ message_bytes = \"1MiB\", ping_interval = \"10ms\" }"));
    websockets::speak(&ringway.url("/chat"), Messages::Plain);
    websockets::speak(&ringway.url("/chat"), Messages::Compressed);
    let counts = ringway.stop_and_count();
    assert_eq!((counts["websockets"], counts["exchanges{completed}"]), (16, 16), "{counts:?}");
    assert!(!counts.keys().any(|name| name.starts_with("websocket_breaches")), "{counts:?}");
}

#[test]
fn frames_pass_as_they_lie_however_they_come() {
    let origin = switching(|peer| {
        let frames = [of_server(BINARY, b"be"), of_server(FIN | PING, b"?"), of_server(FIN | CONTINUATION, b"gin")];
        let large = of_server(FIN | BINARY, &vec![7; 300_000]);
        peer.send_in_pieces(&frames.concat(), 11)?;
        peer.send(&large)?;
        echo(peer)
    });
    let ringway = checked(&origin, "true");
    let mut client = tunnel(&ringway);
    for (first, payload) in [(BINARY, &b"be"[..]), (FIN | PING, b"?"), (FIN | CONTINUATION, b"gin")] {
        let frame = client.read_frame().unwrap();
        assert_eq!((frame.first, frame.is_masked, &frame.payload[..]), (first, false, payload));
    }
    assert_eq!(client.read_frame().unwrap().payload, vec![7; 300_000]);
    let said = [
        of_client(FIN | PONG, b"?"),
        of_client(TEXT, "\u{2603} and half of \u{2603}".as_bytes().split_at(14).0),
        of_client(FIN | PING, b"mine"),
        of_client(FIN | CONTINUATION, "\u{2603} and half of \u{2603}".as_bytes().split_at(14).1),
        of_client(FIN | BINARY, &[0xff; 70_000]),
        of_client(FIN | CLOSE, b"\x03\xe8done"),
    ];
    client.send_in_pieces(&said[..4].concat(), 50).unwrap();
    client.send(&said[4..].concat()).unwrap();
    let mut heard = Vec::new();
    while heard.last() != Some(&(FIN | CLOSE)) {
        heard.push(client.read_frame().unwrap().first);
    }
    assert_eq!(heard, [FIN | PONG, TEXT, FIN | PONG, FIN | CONTINUATION, FIN | BINARY, FIN | CLOSE]);
    client.assert_ends();
    let record = ringway.record_of("/chat");
    assert_eq!((record["status"].as_u64(), record["outcome"].as_str()), (Some(101), Some("completed")), "{record}");
    let sent: usize = said.iter().map(Vec::len).sum();
    assert_eq!(record["bytes_in"].as_u64(), Some(sent as u64), "{record}");
    assert!(origin.received(0).ends_with(&said.concat()), "the origin got what was sent, byte for byte");
}

#[test]
fn an_end_without_a_close_frame_is_passed_on() {
    let origin = switching(|peer| {
        assert_eq!(peer.read_frame()?.payload, b"last words");
        peer.assert_ends();
        peer.send(&of_server(FIN | TEXT, b"so be it"))
    });
    let ringway = checked(&origin, "true");
    let mut client = tunnel(&ringway);
    client.send(&of_client(FIN | TEXT, b"last words")).unwrap();
    client.half_close().unwrap();
    assert_eq!(client.read_frame().unwrap().payload, b"so be it");
    client.assert_ends();
    ringway.assert_outcome("/chat", &["completed"]);
}

#[test]
fn what_is_no_websocket_is_not_looked_into() {
    for (protocol, option) in [("mqtt", "true"), ("websocket", "false")] {
        let origin = Origin::start(move |peer, _| {
            peer.read_head()?;
            let head =
                format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
            peer.send(head.as_bytes())?;
            mirror(peer)
        });
        let config = Config::to(origin.address()).route_option("websocket", option);
        let ringway = start(config.route_option("upgrades", "[\"mqtt\", \"websocket\"]"));
        let mut client = ringway.connect();
        let ask = format!("GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
        client.send(ask.as_bytes()).unwrap();
        assert_eq!(client.read_final_head().unwrap().0.status(), 101);
        client.send(b"no frames at all").unwrap();
        assert_eq!(client.read_bytes(16).unwrap(), b"no frames at all");
        client.half_close().unwrap();
        client.assert_ends();
        ringway.assert_outcome("/", &["completed"]);
    }
}

#[test]
fn it_is_the_same_over_tls() {
    let authority = Authority::new();
    let certificate = authority.sign(&["ws.example"]);
    let origin = switching(echo);
    let config = Config::to(origin.address()).route_option("websocket", "{ message_bytes = \"100KiB\" }");
    let ringway = start(config.tls(&[&certificate]));
    let front = TlsFront::start(ringway.address(), "ws.example", &authority.path(), "1.3");
    let mut client = front.connect();
    client.send(ASK).unwrap();
    assert_eq!(client.read_final_head().unwrap().0.status(), 101);
    client.send(&of_client(FIN | BINARY, &[1; 100_000])).unwrap();
    assert_eq!(client.read_frame().unwrap().payload, [1; 100_000]);
    // Its head says enough; the front gives up on what it cannot pass on, and with that on what it has received.
    client.send(&of_client(FIN | BINARY, &[1; 103_000])[..14]).unwrap();
    assert_eq!(client.read_frame().unwrap().code(), Some(1009));
    client.assert_ends();
}

#[test]
fn a_reload_leaves_it_and_a_drain_closes_it() {
    let server = WebSocketServer::start();
    let config = || Config::to(server.address()).timeout("drain", "15s").route_option("websocket", "true");
    let mut ringway = Ringway::start_supervised(PROGRAM, config());
    let mut clients = WebSocketClients::open(&ringway.url("/chat"), 20);
    clients.assert_echo();
    ringway.reload(config().route_option("stream_timeout", "\"1h\""));
    clients.assert_echo();
    let begun = Instant::now();
    ringway.terminate();
    clients.assert_closed_with(1001);
    assert_eq!(ringway.wait().code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(10), "nobody waits for the drain's end: {:?}", begun.elapsed());
    let outcomes: Vec<_> = ringway.records().iter().map(|record| record["outcome"].to_string()).collect();
    assert_eq!(outcomes, vec!["\"completed\""; 20]);
}

#[test]
fn a_drain_awaits_the_close_frames_of_both_ends() {
    let (told, heard) = (kit::Gate::new(), kit::Gate::new());
    let origin = switching({
        let (told, heard) = (told.clone(), heard.clone());
        move |peer| {
            // Half of a message is on its way: the close frame comes behind it.
            peer.send(&of_server(FIN | BINARY, &[9; 100])[..50])?;
            let close = peer.read_frame()?;
            assert_eq!((close.code(), close.is_masked), (Some(1001), true));
            told.open();
            peer.send(&of_server(FIN | BINARY, &[9; 100])[50..])?;
            peer.send(&of_server(FIN | TEXT, b"too late"))?;
            heard.wait();
            peer.send(&of_server(FIN | CLOSE, b"\x03\xe9"))?;
            peer.assert_ends();
            Ok(())
        }
    });
    let config = Config::to(origin.address()).timeout("drain", "15s").route_option("websocket", "true");
    let mut ringway = start(config);
    let mut client = tunnel(&ringway);
    assert_eq!(client.read_bytes(50).unwrap(), of_server(FIN | BINARY, &[9; 100])[..50]);
    ringway.terminate();
    told.wait();
    client.read_bytes(52).unwrap();
    assert_eq!(client.read_frame().unwrap().code(), Some(1001), "and nothing after it");
    client.send(&of_client(FIN | CLOSE, b"\x03\xe9")).unwrap();
    client.assert_ends();
    heard.open();
    assert_eq!(ringway.wait().code(), Some(0));
    assert_eq!(ringway.record_of("/chat")["outcome"], "completed");
}

#[test]
fn who_does_not_close_is_cut_off_when_the_drain_is_over() {
    let origin = switching(|peer| peer.read_to_end().map(drop));
    let config = Config::to(origin.address()).timeout("drain", "300ms").route_option("websocket", "true");
    let mut ringway = start(config);
    let mut client = tunnel(&ringway);
    ringway.terminate();
    assert_eq!(client.read_frame().unwrap().code(), Some(1001));
    client.assert_ends();
    assert_eq!(ringway.wait().code(), Some(0));
    let record = ringway.record_of("/chat");
    assert_eq!((&record["outcome"], &record["limit"]), (&"request_timeout".into(), &"timeouts.drain".into()));
    origin.wait_until_closed();
}
