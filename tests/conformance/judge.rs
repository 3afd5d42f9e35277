//! The judge: a proxy, and an origin that tells exactly what reached it.

use std::sync::{Arc, Mutex};

use kit::{Config, Message, Origin, Peer, Ringway};

use crate::BINARY;

/// The body of every answer of the origin.
pub(crate) const ANSWER: &str = "answered";

/// A proxy before an origin that keeps every request it understood.
pub(crate) struct Judge {
    requests: Arc<Mutex<Vec<Message>>>,
    origin: Origin,
    ringway: Ringway,
}

impl Judge {
    pub(crate) fn start() -> Judge {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let origin = Origin::start({
            let requests = requests.clone();
            move |peer, _| {
                while let Some(request) = peer.read_request()? {
                    let body = if request.head.method() == "HEAD" { "" } else { ANSWER };
                    requests.lock().expect("no thread panics holding the requests").push(request);
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", ANSWER.len());
                    peer.send((head + body).as_bytes())?;
                }
                Ok(())
            }
        });
        // These are requests of HTTP/1, and what else comes is to be refused by its rules.
        let config = Config::to(origin.address()).listener_option("protocols", "[\"http1\"]");
        let ringway = Ringway::start(BINARY, config);
        Judge { requests, origin, ringway }
    }

    pub(crate) fn connect(&self) -> Peer {
        self.ringway.connect()
    }

    /// Everything that the origin has received, on all its connections.
    pub(crate) fn received(&self) -> Vec<u8> {
        self.origin.received_all()
    }

    /// Demands that `request` is answered with one of `statuses`, that the connection is closed after it, and that no byte of
    /// it reaches the origin.
    #[track_caller]
    pub(crate) fn refuses_with(&self, name: &str, request: &[u8], statuses: &[u16]) {
        let before = self.received().len();
        let mut client = self.connect();
        // The proxy may refuse before everything is sent.
        let _ = client.send(request);
        let response = client.read_response("GET").unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(statuses.contains(&response.status()), "{name}: one of {statuses:?}, not {:?}", response.head);
        assert!(response.head.lists("connection", "close"), "{name}: {:?}", response.head);
        client.assert_ends();
        let reached = self.received().split_off(before);
        assert!(reached.is_empty(), "{name}: this reached the origin: {}", reached.escape_ascii());
    }

    /// Demands that each request of a table is refused with 400.
    #[track_caller]
    pub(crate) fn refuses(&self, table: &[(&str, &[u8])]) {
        table.iter().for_each(|(name, request)| self.refuses_with(name, request, &[400]));
    }

    /// Demands that a request whose body is malformed is never whole at the origin, and that the client's connection ends, with
    /// a 400 if anything.
    #[track_caller]
    pub(crate) fn breaks_off(&self, name: &str, request: &[u8]) {
        let before = self.count();
        let mut client = self.connect();
        let _ = client.send(request);
        let answer = client.read_to_end().unwrap_or_default();
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{name}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), usize::from(!answer.is_empty()), "{name}: {answer}");
        self.origin.wait_until_closed();
        assert_eq!(self.count(), before, "{name}: a whole request reached the origin: {:?}", self.last());
    }

    /// Demands that `request` is answered by the origin, and returns what the origin received.
    #[track_caller]
    pub(crate) fn forwards(&self, name: &str, request: &[u8]) -> Message {
        let before = self.count();
        let method =
            String::from_utf8_lossy(request.split(|byte| *byte == b' ').next().unwrap_or_default()).into_owned();
        let response = self.connect().exchange(&method, request).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status(), 200, "{name}: {:?} {}", response.head, response.text());
        assert_eq!(self.count(), before + 1, "{name}: one request");
        self.last()
    }

    /// How many whole requests the origin has received.
    pub(crate) fn count(&self) -> usize {
        self.requests.lock().expect("no thread panics holding the requests").len()
    }

    /// The whole requests that the origin has received after the first `before`.
    pub(crate) fn since(&self, before: usize) -> Vec<Message> {
        self.requests.lock().expect("no thread panics holding the requests")[before..].to_vec()
    }

    fn last(&self) -> Message {
        self.requests.lock().expect("no thread panics holding the requests").last().expect("a request").clone()
    }
}

/// A request with `fields`, each ended by CRLF, after `Host`.
pub(crate) fn with_fields(fields: &str) -> Vec<u8> {
    format!("GET /judged HTTP/1.1\r\nHost: test\r\n{fields}\r\n").into_bytes()
}

/// A request with `fields` that are no text.
pub(crate) fn with_raw_fields(fields: &[u8]) -> Vec<u8> {
    [b"GET /judged HTTP/1.1\r\nHost: test\r\n".as_slice(), fields, b"\r\n"].concat()
}

/// A `POST` with a chunked body, as it stands.
pub(crate) fn with_chunks(body: &str) -> Vec<u8> {
    format!("POST /judged HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes()
}
