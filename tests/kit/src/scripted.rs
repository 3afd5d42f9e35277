//! Exchanges whose every byte is known before, so that whatever a fault leaves of them can be judged.
//!
//! A [`Shape`] says what crosses each way. Each request has a tag of its own in `X-Tag`, and both bodies begin at an offset of the
//! [`pattern`] that follows from the tag, so that the answer to another request is noticed even if it has the same shape. The
//! [`origin`](start) answers as the target says and keeps what it received in a [`Witness`]; [`Shape::perform`] is the client, and
//! [`Report::judge`] says whether what it saw is allowed: the right answer, a clean error, or an end that nobody takes for an
//! answer.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use crate::{Head, Message, Origin, Peer, Random, pattern};

/// The trailer field that a chunked body with a trailer ends with, with the tag as its value.
const TRAILER: &str = "X-End";

/// What one side sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// No body, and no framing in a request; `Content-Length: 0` in a response.
    Nothing,
    /// So many bytes, announced by `Content-Length`.
    Length(u64),
    /// So many bytes in chunks.
    Chunked {
        /// All chunks together.
        bytes: u64,
        /// One chunk, the last one apart.
        chunk_bytes: usize,
        /// Whether a trailer field follows.
        trailer: bool,
    },
}

/// What crosses each way in one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// The method.
    pub method: &'static str,
    /// The request's body.
    pub request: Content,
    /// The response's body; for `HEAD`, that of the response to a `GET`.
    pub response: Content,
    /// Whether the client waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// How many such requests are sent in one go.
    pub pipelined: usize,
}

/// What a client saw.
#[derive(Debug)]
pub struct Report {
    /// The final responses, in order.
    pub answers: Vec<Message>,
    /// Why there are not as many as requests.
    pub end: Option<io::Error>,
}

/// What came of an exchange, as far as it is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every answer is the origin's, and whole.
    Right,
    /// The proxy answered in its own name, with this status.
    Refused(u16),
    /// The connection ended before the answer did.
    Short,
}

impl Shape {
    /// A `GET` of `response`.
    #[must_use]
    pub const fn get(response: Content) -> Shape {
        Shape { method: "GET", request: Content::Nothing, response, expects_continue: false, pipelined: 1 }
    }

    /// A `POST` of `request` that is answered with a few bytes.
    #[must_use]
    pub const fn post(request: Content) -> Shape {
        Shape { method: "POST", request, response: Content::Length(20), expects_continue: false, pipelined: 1 }
    }

    /// A shape by chance, with bodies of up to `bytes_max`. Small ones are as frequent as large ones.
    #[must_use]
    pub fn random(random: &mut Random, bytes_max: u64) -> Shape {
        let method = random.pick(&["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE"]);
        let request =
            if matches!(method, "POST" | "PUT") { Content::random(random, bytes_max) } else { Content::Nothing };
        Shape {
            method,
            request,
            response: Content::random(random, bytes_max),
            expects_continue: request != Content::Nothing && random.once_in(8),
            // Whoever sends large bodies without reading answers may wait for himself.
            pipelined: if request == Content::Nothing && random.once_in(6) { 2 + random.below(6) as usize } else { 1 },
        }
    }

    /// Sends the requests on `client` and receives what is answered. Each request has the tag `TAG.NUMBER`, counted from 0.
    pub fn perform(&self, client: &mut Peer, host: &str, tag: &str) -> Report {
        let mut report = Report { answers: Vec::new(), end: None };
        let mut held_back = Vec::new();
        let mut requests = Vec::new();
        for number in 0..self.pipelined {
            let tag = format!("{tag}.{number}");
            requests.extend_from_slice(self.request_head(host, &tag).as_bytes());
            let body = self.request.encode(&tag);
            if self.expects_continue { held_back = body } else { requests.extend_from_slice(&body) }
        }
        // The proxy may have answered, and closed, before everything was sent.
        let sent = client.send(&requests);
        while report.answers.len() < self.pipelined {
            match self.receive(client, &mut held_back) {
                Ok(answer) => {
                    let closes = answer.head.lists("connection", "close");
                    report.answers.push(answer);
                    if closes {
                        report.end = sent.err();
                        break;
                    }
                }
                Err(error) => {
                    report.end = Some(error);
                    break;
                }
            }
        }
        report
    }

    fn receive(&self, client: &mut Peer, held_back: &mut Vec<u8>) -> io::Result<Message> {
        let mut interim = Vec::new();
        loop {
            let head = client.read_head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if (100..200).contains(&head.status()) {
                if head.status() == 100 {
                    let _ = client.send(&std::mem::take(held_back));
                }
                interim.push(head);
                continue;
            }
            let mut body = Vec::new();
            let framing = head.response_framing(self.method);
            let trailers = client.read_body(framing, &mut |piece| body.extend_from_slice(piece))?;
            return Ok(Message { head, body, trailers, interim });
        }
    }

    fn request_head(&self, host: &str, tag: &str) -> String {
        let target = match self.response {
            Content::Nothing => "/nothing".to_owned(),
            Content::Length(bytes) => format!("/length/{bytes}"),
            Content::Chunked { bytes, chunk_bytes, trailer } => format!("/chunked/{bytes}/{chunk_bytes}/{trailer}"),
        };
        let expect = if self.expects_continue { "Expect: 100-continue\r\n" } else { "" };
        let (method, framing) = (self.method, self.request.framing(""));
        format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-Tag: {tag}\r\n{expect}{framing}\r\n")
    }
}

impl Content {
    fn random(random: &mut Random, bytes_max: u64) -> Content {
        // As many bodies between 1 and 2 KiB as between 1 and 2 MiB.
        let scale = random.below(u64::from(bytes_max.max(2).ilog2()) + 1);
        let bytes = random.below((2 << scale).min(bytes_max) + 1);
        let chunk_bytes = random.pick(&[1, 7, 100, 1_000, 8_192, 30_000, 100_000, 400_000]);
        match random.below(4) {
            0 => Content::Nothing,
            1 => Content::Length(bytes),
            // A chunk of a byte costs six around it, and is worth a short body only.
            _ if bytes / chunk_bytes > 20_000 => Content::Length(bytes),
            _ => Content::Chunked { bytes, chunk_bytes: chunk_bytes as usize, trailer: random.once_in(2) },
        }
    }

    fn bytes(self) -> u64 {
        match self {
            Content::Nothing => 0,
            Content::Length(bytes) | Content::Chunked { bytes, .. } => bytes,
        }
    }

    /// The fields that announce it; `nothing` where there is nothing to announce.
    fn framing(self, nothing: &str) -> String {
        match self {
            Content::Nothing => nothing.to_owned(),
            Content::Length(bytes) => format!("Content-Length: {bytes}\r\n"),
            Content::Chunked { .. } => "Transfer-Encoding: chunked\r\n".to_owned(),
        }
    }

    /// The body, for the message with `tag`.
    fn body(self, tag: &str) -> Vec<u8> {
        let mut out = Vec::new();
        pattern::append(&mut out, offset(tag), usize::try_from(self.bytes()).expect("a body that fits in memory"));
        out
    }

    /// The body as it goes over the connection.
    fn encode(self, tag: &str) -> Vec<u8> {
        let body = self.body(tag);
        let Content::Chunked { chunk_bytes, trailer, .. } = self else { return body };
        let mut out = crate::message::chunked(&body, chunk_bytes);
        if trailer {
            out.truncate(out.len() - 2);
            out.extend_from_slice(format!("{TRAILER}: {tag}\r\n\r\n").as_bytes());
        }
        out
    }

    fn trailers(self, tag: &str) -> Vec<(String, String)> {
        match self {
            Content::Chunked { trailer: true, .. } => vec![(TRAILER.to_owned(), tag.to_owned())],
            _ => Vec::new(),
        }
    }
}

/// Where in the pattern the bodies with a tag begin: FNV-1a, so that neighbouring tags lie far apart.
fn offset(tag: &str) -> u64 {
    let hash = tag
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    hash % (1 << 40)
}

impl Report {
    /// Says what came of `shape`, if that is allowed: answers are the origin's and exact, or the proxy's own errors, and stand in
    /// the order of the requests.
    ///
    /// # Errors
    /// What is not allowed, in words.
    pub fn judge(&self, shape: &Shape, tag: &str) -> Result<Verdict, String> {
        let mut verdict = Verdict::Right;
        for (number, answer) in self.answers.iter().enumerate() {
            let tag = format!("{tag}.{number}");
            if answer.head.field("x-tag").is_none() {
                verdict = Verdict::Refused(own_error(answer)?);
                continue;
            }
            let body = if shape.method == "HEAD" { Vec::new() } else { shape.response.body(&tag) };
            let trailers = if shape.method == "HEAD" { Vec::new() } else { shape.response.trailers(&tag) };
            if answer.head.field("x-tag") != Some(&tag) || answer.status() != 200 {
                return Err(format!("the answer to {tag} is another's: {:?}", answer.head));
            }
            if answer.body != body || answer.trailers != trailers {
                let same = answer.body.iter().zip(&body).take_while(|(a, b)| a == b).count();
                return Err(format!(
                    "the answer to {tag} is wrong from byte {same} of {} on, {} came, trailers {:?}: {:?}",
                    body.len(),
                    answer.body.len(),
                    answer.trailers,
                    answer.head
                ));
            }
        }
        match &self.end {
            Some(error) if error.kind() == io::ErrorKind::TimedOut => Err(format!("the exchange is stuck: {error}")),
            Some(error) if error.kind() == io::ErrorKind::InvalidData => Err(format!("the answer is {error}")),
            Some(_) if verdict == Verdict::Right => Ok(Verdict::Short),
            _ if self.answers.len() < shape.pipelined && verdict == Verdict::Right => Ok(Verdict::Short),
            _ => Ok(verdict),
        }
    }
}

/// The status of an error of the proxy's own.
///
/// # Errors
/// Why it is none.
pub fn own_error(answer: &Message) -> Result<u16, String> {
    let status = answer.status();
    let text = answer.text();
    let known = matches!(status, 400 | 408 | 413 | 414 | 417 | 421 | 429 | 431 | 500..=505);
    // An answer to HEAD has no text.
    if known && (text.is_empty() || text.starts_with(&status.to_string())) {
        return Ok(status);
    }
    Err(format!("an answer of nobody: {:?} {text:?}", answer.head))
}

/// What the origin received, by tag.
#[derive(Debug, Default)]
pub struct Witness(Mutex<HashMap<String, Vec<Message>>>);

impl Witness {
    /// The whole requests that came with `tag`; they are forgotten.
    pub fn take(&self, tag: &str) -> Vec<Message> {
        self.0.lock().expect("no thread panics holding the requests").remove(tag).unwrap_or_default()
    }

    /// Forgets what nobody asked for.
    pub fn clear(&self) {
        self.0.lock().expect("no thread panics holding the requests").clear();
    }

    /// Demands of what came of the requests of `shape` with `tag` that it was what the client sent, and no more often than a
    /// server may see it. They are forgotten.
    ///
    /// # Errors
    /// What is not allowed, in words.
    pub fn judge(&self, shape: &Shape, tag: &str) -> Result<(), String> {
        for number in 0..shape.pipelined {
            let tag = format!("{tag}.{number}");
            let requests = self.take(&tag);
            // RFC 9110 §9.2.2: what is not idempotent is not sent again.
            if shape.method == "POST" && requests.len() > 1 {
                return Err(format!("the origin received {tag}, a POST, {} times", requests.len()));
            }
            for request in requests {
                if request.head.method() != shape.method
                    || request.body != shape.request.body(&tag)
                    || request.trailers != shape.request.trailers(&tag)
                {
                    return Err(format!(
                        "the origin received {tag} as {:?} with {} bytes",
                        request.head,
                        request.body.len()
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Starts the origin of scripted exchanges.
#[must_use]
pub fn start() -> (Origin, Arc<Witness>) {
    let witness = Arc::new(Witness::default());
    let origin = Origin::start_forgetful({
        let witness = witness.clone();
        move |peer, _| serve(peer, &witness)
    });
    (origin, witness)
}

fn serve(peer: &mut Peer, witness: &Witness) -> io::Result<()> {
    while let Some(head) = peer.read_head()? {
        let tag = head.field("x-tag").unwrap_or_default().to_owned();
        let Some((request, response)) = understand(&head) else { return Err(io::ErrorKind::InvalidData.into()) };
        if head.lists("expect", "100-continue") {
            peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Vec::new();
        let trailers = peer.read_body(request, &mut |piece| body.extend_from_slice(piece))?;
        let is_head = head.method() == "HEAD";
        let closes = head.lists("connection", "close");
        let request = Message { head, body, trailers, interim: Vec::new() };
        witness.0.lock().expect("no thread panics holding the requests").entry(tag.clone()).or_default().push(request);
        let framing = response.framing("Content-Length: 0\r\n");
        let length = response.bytes();
        let mut answer = format!("HTTP/1.1 200 OK\r\nX-Tag: {tag}\r\nX-Length: {length}\r\n{framing}\r\n").into_bytes();
        if !is_head {
            answer.extend_from_slice(&response.encode(&tag));
        }
        peer.send(&answer)?;
        if closes {
            return peer.half_close();
        }
    }
    Ok(())
}

/// How the request's body is delimited, and what its target asks for; `None` for what a garbled head may say.
fn understand(head: &Head) -> Option<(crate::Framing, Content)> {
    let lengths = head.values("content-length");
    let plain = lengths.iter().all(|length| length.len() < 10 && length.bytes().all(|byte| byte.is_ascii_digit()));
    if !plain || lengths.iter().any(|length| length.is_empty()) {
        return None;
    }
    let mut words = head.target().strip_prefix('/')?.split('/');
    let kind = words.next()?;
    let mut number = || words.next().and_then(|word| word.parse::<u64>().ok()).filter(|number| *number < 1 << 30);
    let response = match kind {
        "nothing" => Content::Nothing,
        "length" => Content::Length(number()?),
        "chunked" => {
            let (bytes, chunk_bytes) = (number()?, usize::try_from(number()?).ok().filter(|bytes| *bytes > 0)?);
            Content::Chunked { bytes, chunk_bytes, trailer: words.next() == Some("true") }
        }
        _ => return None,
    };
    Some((head.request_framing(), response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_is_right_without_a_proxy() {
        let (origin, witness) = start();
        let mut random = Random::new(1);
        for number in 0..200 {
            let (shape, tag) = (Shape::random(&mut random, 100_000), format!("t{number}"));
            let report = shape.perform(&mut Peer::connect(origin.address()), "test", &tag);
            assert_eq!(report.judge(&shape, &tag), Ok(Verdict::Right), "{shape:?} {report:?}");
            assert_eq!(witness.judge(&shape, &tag), Ok(()));
        }
    }

    #[test]
    fn what_is_not_allowed_is_noticed() {
        let (origin, witness) = start();
        let shape = Shape::post(Content::Length(10));
        let perform = |tag: &str| shape.perform(&mut Peer::connect(origin.address()), "test", tag);
        assert!(perform("a").judge(&shape, "b").is_err(), "the answer to another request");
        perform("a");
        assert!(witness.judge(&shape, "a").is_err(), "a POST that came twice");
        let mut report = perform("c");
        report.answers[0].body[7] ^= 1;
        assert!(report.judge(&shape, "c").is_err(), "a wrong byte");
        report.answers[0].body.pop();
        assert!(report.judge(&shape, "c").is_err(), "a short body that looks whole");
        report.answers.clear();
        report.end = Some(io::ErrorKind::UnexpectedEof.into());
        assert_eq!(report.judge(&shape, "c"), Ok(Verdict::Short));
        report.end = Some(io::ErrorKind::TimedOut.into());
        assert!(report.judge(&shape, "c").is_err(), "an exchange that is stuck");
    }
}
