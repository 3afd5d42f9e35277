//! The two ends of a connection against each other. The input is a list of operations: the client sends, the server
//! answers, bytes arrive in pieces, a byte is damaged, an end goes away. As long as nothing was damaged, each end must
//! understand exactly what the other said.

use wire::h1::{ClientConnection, Edits, Next, Parsed, ServerConnection, Trailers, parse_request, parse_response};
use wire::{BodyLength, Limits, RequestHead, ResponseHead};

/// Requests as a proxy would have read them; the client writes them anew.
const REQUESTS: [&str; 8] = [
    "GET /a HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "HEAD /a?b HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 20\r\n\r\n",
    "PUT /c HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 20\r\nExpect: 100-continue\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a.example\r\nConnection: close, x-a\r\nX-A: b\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 0\r\n\r\n",
];

/// Responses as a proxy would have read them; the server writes them anew.
const RESPONSES: [&str; 8] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
];

/// Panics if a property does not hold for the operations of `input`.
pub fn check(input: &[u8]) {
    let mut pair = Pair::new();
    for operation in input.chunks_exact(2) {
        pair.apply(operation[0] % 12, operation[1]);
        pair.check();
        if pair.over {
            return;
        }
    }
}

struct Pair {
    client: ClientConnection,
    server: ServerConnection,
    /// Sent by the client, on the way.
    to_server: Vec<u8>,
    /// Arrived at the server, not yet consumed.
    at_server: Vec<u8>,
    to_client: Vec<u8>,
    at_client: Vec<u8>,
    /// Bodies of the exchange under way, as sent and as understood.
    request: Body,
    response: Body,
    /// Whether the client has begun an exchange that the server has not ended.
    asked: bool,
    /// A byte was changed on the way: now either end may refuse, and only a panic is wrong.
    damaged: bool,
    /// The server will say nothing more.
    server_closed: bool,
    over: bool,
}

#[derive(Default)]
struct Body {
    sent: Vec<u8>,
    understood: Vec<u8>,
    /// The sender has said everything.
    finished: bool,
}

impl Pair {
    fn new() -> Pair {
        Pair {
            client: ClientConnection::new(),
            server: ServerConnection::new(),
            to_server: Vec::new(),
            at_server: Vec::new(),
            to_client: Vec::new(),
            at_client: Vec::new(),
            request: Body::default(),
            response: Body::default(),
            asked: false,
            damaged: false,
            server_closed: false,
            over: false,
        }
    }

    fn apply(&mut self, operation: u8, argument: u8) {
        match operation {
            0 => self.ask(argument),
            1 => self.send_request_data(argument),
            2 => self.finish_request(argument),
            3 => self.arrive_at_server(argument),
            4 => self.answer(argument),
            5 => self.send_response_data(argument),
            6 => self.finish_response(argument),
            7 => self.arrive_at_client(argument),
            8 => self.answer_alone(argument),
            9 => drop(self.server.write_continue(&mut self.to_client)),
            10 => self.damage(argument),
            // Later it could not be said in a head any more.
            _ if argument > 250 && self.server.response_awaited() => self.server.force_close(),
            _ => self.arrive_everywhere(),
        }
    }

    fn ask(&mut self, argument: u8) {
        let may = !self.asked || self.client.reusable();
        if !may || self.server_closed || !self.server.is_idle() || !self.to_client.is_empty() {
            return;
        }
        let bytes = REQUESTS[usize::from(argument) % REQUESTS.len()].as_bytes();
        let mut head = RequestHead::new();
        parse_request(bytes, &Limits::default(), &mut head).unwrap();
        self.client.write_head(&mut self.to_server, &head, bytes, &Edits::new(), b"a.example");
        self.request = Body { finished: self.client.request_complete(), ..Body::default() };
        self.response = Body::default();
        self.asked = true;
    }

    fn send_request_data(&mut self, argument: u8) {
        if !self.asked || self.client.request_complete() {
            return;
        }
        let data = vec![argument; usize::from(argument % 23)];
        match self.client.data_framing(data.len()) {
            Ok(framing) => {
                self.to_server.extend_from_slice(framing.prefix.as_bytes());
                self.to_server.extend_from_slice(&data);
                self.to_server.extend_from_slice(framing.suffix);
                self.request.sent.extend_from_slice(&data);
            }
            // More than was promised: the proxy would close.
            Err(_) => self.over = true,
        }
    }

    fn finish_request(&mut self, argument: u8) {
        if !self.asked || self.client.request_complete() {
            return;
        }
        let trailers = trailers();
        match self.client.finish(&mut self.to_server, (argument & 1 == 1).then_some(&trailers)) {
            Ok(()) => self.request.finished = true,
            Err(_) => self.over = true,
        }
    }

    fn arrive_at_server(&mut self, argument: u8) {
        let count = usize::from(argument).min(self.to_server.len());
        self.at_server.extend(self.to_server.drain(..count));
        if self.server_closed {
            return;
        }
        if self.server.is_idle() && !self.at_server.is_empty() {
            match self.server.parse_head(&self.at_server, &Limits::default(), &mut RequestHead::new()) {
                Ok(Parsed::Complete(len)) => {
                    self.at_server.drain(..len);
                    // A damaged length can make a second request out of the first one's body: it awaits its own response.
                    self.response.finished = false;
                }
                Ok(Parsed::Partial) => return,
                Err(error) => {
                    assert!(self.damaged, "{error}");
                    self.server.write_own(&mut self.to_client, error.status(), "", b"", &Edits::new());
                    self.close_server();
                    return;
                }
            }
        }
        while !self.server.is_idle() && !self.at_server.is_empty() && !self.server.request_complete() {
            match self.server.decode_body(&self.at_server) {
                Ok(decoded) => {
                    self.request.understood.extend_from_slice(&self.at_server[decoded.data]);
                    self.at_server.drain(..decoded.consumed);
                }
                Err(error) => {
                    assert!(self.damaged, "{error}");
                    self.close_server();
                    return;
                }
            }
        }
        // An exchange that waited for its request's end.
        if !self.server.is_idle() && !self.server.response_awaited() && self.response.finished {
            self.next();
        }
    }

    fn answer(&mut self, argument: u8) {
        if !self.server.response_awaited() || self.server_closed {
            return;
        }
        let bytes = RESPONSES[usize::from(argument) % RESPONSES.len()].as_bytes();
        let mut head = ResponseHead::new();
        parse_response(bytes, &Limits::default(), &mut head).unwrap();
        if head.is_informational() {
            self.server.write_informational(&mut self.to_client, &head, bytes);
        } else {
            self.server.write_head(&mut self.to_client, &head, bytes, &Edits::new(), head.framing());
        }
    }

    fn answer_alone(&mut self, argument: u8) {
        if !self.server.response_awaited() || self.server_closed {
            return;
        }
        let mut out = Vec::new();
        let body = vec![argument; usize::from(argument % 9)];
        self.server.write_own(&mut out, 200 + u16::from(argument), "text/plain", &body, &Edits::new());
        // A body that is left out is one that nobody is to understand.
        if !body.is_empty() && out.ends_with(&body) && !out.ends_with(b"\r\n\r\n") {
            self.response.sent = body;
        }
        self.to_client.extend_from_slice(&out);
        self.response.finished = true;
        self.next();
    }

    fn response_begun(&self) -> bool {
        !self.server.is_idle() && !self.server.response_awaited() && !self.response.finished && !self.server_closed
    }

    fn send_response_data(&mut self, argument: u8) {
        if !self.response_begun() {
            return;
        }
        let data = vec![argument; usize::from(argument % 23)];
        match self.server.data_framing(data.len()) {
            Ok(framing) => {
                self.to_client.extend_from_slice(framing.prefix.as_bytes());
                self.to_client.extend_from_slice(&data);
                self.to_client.extend_from_slice(framing.suffix);
                self.response.sent.extend_from_slice(&data);
            }
            Err(_) => {
                assert_eq!(self.server.next(), Next::Close);
                self.over = true;
            }
        }
    }

    fn finish_response(&mut self, argument: u8) {
        if !self.response_begun() {
            return;
        }
        let trailers = trailers();
        match self.server.finish(&mut self.to_client, (argument & 1 == 1).then_some(&trailers)) {
            Ok(()) => {
                self.response.finished = true;
                self.next();
            }
            Err(_) => {
                assert_eq!(self.server.next(), Next::Close);
                self.over = true;
            }
        }
    }

    fn next(&mut self) {
        match self.server.next() {
            Next::KeepAlive => assert!(self.server.is_idle()),
            Next::Drain => assert!(!self.server.request_complete()),
            Next::Close => self.close_server(),
        }
    }

    fn close_server(&mut self) {
        self.server_closed = true;
    }

    fn arrive_at_client(&mut self, argument: u8) {
        let count = usize::from(argument).min(self.to_client.len());
        self.at_client.extend(self.to_client.drain(..count));
        let mut head = ResponseHead::new();
        while self.client.response_awaited() && !self.at_client.is_empty() {
            match self.client.parse_head(&self.at_client, &Limits::default(), &mut head) {
                Ok(Parsed::Complete(len)) => drop(self.at_client.drain(..len)),
                Ok(Parsed::Partial) => break,
                Err(wire::ResponseError::InformationalTooMany { .. }) => {
                    self.over = true;
                    return;
                }
                Err(error) => {
                    assert!(self.damaged, "{error}");
                    self.over = true;
                    return;
                }
            }
        }
        while !self.client.response_awaited() && !self.client.response_complete() && !self.at_client.is_empty() {
            match self.client.decode_body(&self.at_client) {
                Ok(decoded) => {
                    self.response.understood.extend_from_slice(&self.at_client[decoded.data]);
                    self.at_client.drain(..decoded.consumed);
                }
                Err(error) => {
                    assert!(self.damaged, "{error}");
                    self.over = true;
                    return;
                }
            }
        }
        if self.server_closed && self.to_client.is_empty() && self.asked {
            self.end_at_client();
        }
    }

    /// Everything that the server said has arrived, and it closed.
    fn end_at_client(&mut self) {
        let ended = self.client.handle_eof();
        if !self.damaged && self.response.finished {
            assert_eq!(ended, Ok(()));
            assert!(self.client.response_complete());
            assert_eq!(self.response.sent, self.response.understood);
        }
        assert!(!self.client.reusable());
        self.over = true;
    }

    fn arrive_everywhere(&mut self) {
        self.arrive_at_server(255);
        if !self.over {
            self.arrive_at_client(255);
        }
    }

    fn damage(&mut self, argument: u8) {
        let way = if argument & 1 == 0 { &mut self.to_server } else { &mut self.to_client };
        if let Some(last) = way.len().checked_sub(1) {
            way[usize::from(argument >> 1).min(last)] ^= 1 << (argument & 7);
            self.damaged = true;
        }
    }

    fn check(&self) {
        if self.damaged || self.over {
            return;
        }
        assert!(self.request.sent.starts_with(&self.request.understood));
        assert!(self.response.sent.starts_with(&self.response.understood));
        // What the client takes for the whole response is the whole response.
        if self.asked && self.client.response_complete() {
            assert!(self.response.finished || self.response.sent == self.response.understood);
            assert_eq!(self.response.sent, self.response.understood);
        }
        // A client that would go on finds a server that would go on too, and that understood everything that arrived.
        if self.asked && self.client.reusable() {
            assert!(self.request.finished && !self.server_closed);
            if self.to_server.is_empty() && self.at_server.is_empty() {
                assert_eq!(self.request.sent, self.request.understood);
                assert!(self.server.is_idle() || !self.response.finished);
            }
        }
    }
}

/// Trailers can only be made by reading them.
fn trailers() -> Trailers {
    let mut decoder = wire::h1::Decoder::new(BodyLength::Chunked, &Limits::default());
    decoder.decode(b"0\r\nX-Sum: 1\r\n\r\n").unwrap();
    decoder.trailers().unwrap().clone()
}
