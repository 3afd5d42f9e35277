//! Streams of events: server-sent events, and what GraphQL sends to who has subscribed. Every event arrives at once, and they
//! last for as long as they are wanted.

use std::io;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use kit::{Authority, Config, Gate, Origin, Peer, Ringway, TlsFront, standard};

use crate::start;

const EVENT_STREAM: &str = "text/event-stream; charset=utf-8";
/// As graphql-over-http has it.
const SUBSCRIPTION: &str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=1.0";
const EVENTS: usize = 20;

/// How an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Chunked,
    WithConnection,
}

fn head(content_type: &str, ends: Ends) -> String {
    let framing = if ends == Ends::Chunked { "Transfer-Encoding: chunked" } else { "Connection: close" };
    format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nCache-Control: no-cache\r\n{framing}\r\n\r\n")
}

/// Sends a part of a body, framed.
fn send(peer: &mut Peer, ends: Ends, data: &str) -> io::Result<()> {
    match ends {
        Ends::Chunked => peer.send(format!("{:x}\r\n{data}\r\n", data.len()).as_bytes()),
        Ends::WithConnection => peer.send(data.as_bytes()),
    }
}

fn event(number: usize) -> String {
    format!("id: {number}\ndata: something happened\n\n")
}

/// An origin that sends the next event only once it has been told that the last one arrived.
fn paced(content_type: &'static str, ends: Ends) -> (Origin, Sender<()>) {
    let (arrived, told) = channel();
    let told: Mutex<Receiver<()>> = Mutex::new(told);
    let origin = Origin::start(move |peer, _| {
        peer.read_request()?;
        peer.send(head(content_type, ends).as_bytes())?;
        for number in 0..EVENTS {
            send(peer, ends, &event(number))?;
            told.lock().unwrap().recv_timeout(kit::DEADLINE).expect("the event arrives before the next one is sent");
        }
        if ends == Ends::Chunked { peer.send(b"0\r\n\r\n") } else { Ok(()) }
    });
    (origin, arrived)
}

/// Reads every event by itself, and tells the origin of it.
fn read_events(client: &mut Peer, version: &str, arrived: &Sender<()>) {
    client.send(format!("GET /events {version}\r\nHost: events.example\r\n\r\n").as_bytes()).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    let is_chunked = head.field("transfer-encoding").is_some();
    assert_eq!((head.status(), is_chunked && version == "HTTP/1.0"), (200, false), "{head:?}");
    for number in 0..EVENTS {
        let event = event(number);
        let framed = if is_chunked { format!("{:x}\r\n{event}\r\n", event.len()) } else { event };
        assert_eq!(client.read_bytes(framed.len()).unwrap(), framed.as_bytes());
        arrived.send(()).unwrap();
    }
}

#[test]
fn every_event_arrives_before_the_next_one_happens() {
    for (content_type, ends) in [
        (EVENT_STREAM, Ends::Chunked),
        (EVENT_STREAM, Ends::WithConnection),
        (SUBSCRIPTION, Ends::Chunked),
        (SUBSCRIPTION, Ends::WithConnection),
    ] {
        for version in ["HTTP/1.1", "HTTP/1.0"] {
            let (origin, arrived) = paced(content_type, ends);
            let ringway = start(Config::to(origin.address()));
            read_events(&mut ringway.connect(), version, &arrived);
            ringway.assert_outcome("/events", &["completed"]);
        }
    }
}

#[test]
fn every_event_arrives_at_once_over_tls_too() {
    let authority = Authority::new();
    let certificate = authority.sign(&["events.example"]);
    for ends in [Ends::Chunked, Ends::WithConnection] {
        let (origin, arrived) = paced(EVENT_STREAM, ends);
        let ringway = start(Config::to(origin.address()).tls(&[&certificate]));
        for version in ["1.2", "1.3"] {
            let front = TlsFront::start(ringway.address(), "events.example", &authority.path(), version);
            read_events(&mut front.connect(), "HTTP/1.1", &arrived);
        }
    }
}

/// An origin whose answers begin and then say nothing until the gate opens; those to `/events` are of this type.
fn silent(content_type: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::start(move |peer, _| {
        let Some(request) = peer.read_request()? else { return Ok(()) };
        let is_stream = request.head.target() == "/events";
        let content_type = if is_stream { content_type } else { "text/plain" };
        peer.send(head(content_type, Ends::Chunked).as_bytes())?;
        send(peer, Ends::Chunked, "first")?;
        gate.wait();
        if is_stream {
            send(peer, Ends::Chunked, "last")?;
            peer.send(b"0\r\n\r\n")?;
        }
        Ok(())
    })
}

fn begin(ringway: &Ringway, path: &str) -> Peer {
    let mut client = ringway.connect();
    client.send(&standard::get(path)).unwrap();
    assert_eq!(client.read_final_head().unwrap().0.status(), 200);
    assert_eq!(client.read_bytes(10).unwrap(), b"5\r\nfirst\r\n");
    client
}

/// A stream that has been silent for longer than another answer may be goes on when that one has been cut off by `limit`.
#[track_caller]
fn assert_outlasts(content_type: &'static str, limit: &str, configure: fn(Config) -> Config) {
    let gate = Gate::new();
    let origin = silent(content_type, &gate);
    let ringway = start(configure(Config::to(origin.address())));
    let mut stream = begin(&ringway, "/events");
    let mut other = begin(&ringway, "/other");
    other.assert_ends();
    assert_eq!(ringway.record_of("/other")["limit"], limit, "{content_type}");
    gate.open();
    assert_eq!(stream.read_bytes(14).unwrap(), b"4\r\nlast\r\n0\r\n\r\n", "{content_type}");
    ringway.assert_outcome("/events", &["completed"]);
}

#[test]
fn the_time_outs_for_bodies_and_whole_requests_are_not_for_streams() {
    for content_type in ["text/event-stream", EVENT_STREAM, "Text/Event-Stream ;x=y", SUBSCRIPTION] {
        assert_outlasts(content_type, "upstreams.body_idle_timeout", |config| {
            config.upstream_timeout("body_idle_timeout", "150ms").timeout("body_idle", "150ms")
        });
    }
    assert_outlasts(EVENT_STREAM, "upstreams.body_rate_min", |config| {
        config.upstream_option("body_rate_min", "\"1MiB\"").timeout("body_rate_grace", "150ms")
    });
    assert_outlasts(EVENT_STREAM, "timeouts.request", |config| config.timeout("request", "300ms"));
}

#[test]
fn a_stream_may_be_silent_for_as_long_as_its_route_says() {
    let gate = Gate::new();
    let origin = silent(EVENT_STREAM, &gate);
    let ringway = start(Config::to(origin.address()).route_option("stream_idle_timeout", "\"150ms\""));
    begin(&ringway, "/events").assert_ends();
    let record = ringway.record_of("/events");
    assert_eq!(
        (&record["outcome"], &record["limit"]),
        (&"upstream_timeout".into(), &"routes.stream_idle_timeout".into())
    );
    gate.open();
    assert_eq!(ringway.stop_and_count()["limits{routes.stream_idle_timeout}"], 1);
}

#[test]
fn a_stream_may_last_for_as_long_as_its_route_says() {
    let origin = Origin::start(|peer, _| {
        peer.read_request()?;
        peer.send(head(EVENT_STREAM, Ends::Chunked).as_bytes())?;
        // Never silent for long.
        (0..).try_for_each(|number| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            send(peer, Ends::Chunked, &event(number))
        })
    });
    let config = Config::to(origin.address()).timeout("request", "100ms");
    let ringway = start(config.route_option("stream_timeout", "\"400ms\""));
    let mut client = ringway.connect();
    let begun = std::time::Instant::now();
    client.send(&standard::get("/events")).unwrap();
    assert_eq!(client.read_final_head().unwrap().0.status(), 200);
    let events = client.read_to_end().unwrap();
    assert!(!events.ends_with(b"0\r\n\r\n"), "it was cut off");
    assert!(begun.elapsed() >= std::time::Duration::from_millis(390), "{:?}", begun.elapsed());
    let record = ringway.record_of("/events");
    assert_eq!((&record["outcome"], &record["limit"]), (&"request_timeout".into(), &"routes.stream_timeout".into()));
    drop(client);
    assert_eq!(ringway.stop_and_count()["limits{routes.stream_timeout}"], 1);
}
