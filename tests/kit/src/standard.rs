//! The origin that most tests want: the request says what the response is to be.
//!
//! `GET /FRAMING/LENGTH` is answered with the first `LENGTH` bytes of the [`pattern`], framed by a `length`, in chunks
//! (`chunked`), or by the end of the connection (`close`); `/status/CODE` is answered with that status and no body.
//! `/early/LENGTH` is `length` after a 103, and `/trailers/LENGTH` is `chunked` with a trailer field behind. The request's body is read whole and judged against the pattern. The response tells what was received: `X-Body` is the
//! body's length, and where it departed from the pattern; each `X-Saw` is one field of the request that was meant for the
//! origin, `X-Saw-Method` and `X-Saw-Trailer` the method and the trailer fields.

use std::io;

use crate::message::Framing;
use crate::{Gate, Head, Origin, Peer, pattern};

/// Bytes of each chunk of a chunked response.
const CHUNK_BYTES: usize = 30_000;

/// Starts the standard origin.
#[must_use]
pub fn start() -> Origin {
    Origin::start(|peer, _| serve(peer))
}

/// Starts an origin that answers every request with `answer`, and none before the gate is open.
#[must_use]
pub fn held(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> (Origin, Gate) {
    let gate = Gate::new();
    let origin = Origin::start({
        let gate = gate.clone();
        move |peer, _| {
            while peer.read_request()?.is_some() {
                gate.wait();
                peer.send(answer.as_ref())?;
            }
            Ok(())
        }
    });
    (origin, gate)
}

/// Serves one connection until its end.
///
/// # Errors
/// Those of the connection.
pub fn serve(peer: &mut Peer) -> io::Result<()> {
    while let Some(head) = peer.read_head()? {
        let mut check = pattern::Check::default();
        let trailers = peer.read_body(head.request_framing(), &mut |piece| check.update(piece))?;
        let (framing, length, status) = wanted(head.target());
        let bodiless = head.method() == "HEAD" || matches!(status, 204 | 304);
        let mut answer = response_head(&head, &check, &trailers, status, framing, length);
        if head.target().starts_with("/early/") {
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")?;
        }
        if length <= 64 << 10 && !bodiless && !matches!(framing, Framing::Chunked) {
            // One write, as a server with a small answer does it.
            pattern::append(&mut answer, 0, usize::try_from(length).unwrap_or(0));
            peer.send(&answer)?;
        } else {
            peer.send(&answer)?;
            match framing {
                _ if bodiless => {}
                Framing::Chunked if head.target().starts_with("/trailers/") => {
                    peer.send_pattern_chunked_with(length, CHUNK_BYTES, "X-Sum: whole\r\n")?;
                }
                Framing::Chunked => peer.send_pattern_chunked(length, CHUNK_BYTES)?,
                Framing::Length(_) | Framing::UntilClose => peer.send_pattern(0, length)?,
            }
        }
        if framing == Framing::UntilClose || closes(&head) {
            return peer.half_close();
        }
    }
    Ok(())
}

/// A `GET` of `target` from the host `test`.
#[must_use]
pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").into_bytes()
}

fn response_head(
    request: &Head,
    check: &pattern::Check,
    trailers: &[(String, String)],
    status: u16,
    framing: Framing,
    length: u64,
) -> Vec<u8> {
    let body = check.wrong_at.map_or(check.length.to_string(), |at| format!("{} wrong at {at}", check.length));
    let mut head = format!("HTTP/1.1 {status} As Wanted\r\nServer: standard\r\nX-Body: {body}\r\n");
    head += &format!("X-Saw-Method: {}\r\n", request.method());
    request.end_to_end(&[]).iter().for_each(|(name, value)| head += &format!("X-Saw: {name}: {value}\r\n"));
    trailers.iter().for_each(|(name, value)| head += &format!("X-Saw-Trailer: {name}: {value}\r\n"));
    match framing {
        _ if status == 204 || status == 304 => {}
        Framing::Length(_) => head += &format!("Content-Length: {length}\r\n"),
        Framing::Chunked => head += "Transfer-Encoding: chunked\r\n",
        Framing::UntilClose => head += "Connection: close\r\n",
    }
    (head + "\r\n").into_bytes()
}

/// What a target asks for: framing, length and status.
fn wanted(target: &str) -> (Framing, u64, u16) {
    let path = target.split('?').next().unwrap_or_default();
    let mut segments = path.trim_start_matches('/').split('/');
    let kind = segments.next().unwrap_or_default();
    let number = segments.next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    match kind {
        "chunked" | "trailers" => (Framing::Chunked, number, 200),
        "close" => (Framing::UntilClose, number, 200),
        "status" => (Framing::Length(0), 0, u16::try_from(number).unwrap_or(200)),
        _ => (Framing::Length(number), number, 200),
    }
}

fn closes(head: &Head) -> bool {
    let old = head.start_line.ends_with("HTTP/1.0") && !head.lists("connection", "keep-alive");
    old || head.lists("connection", "close")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_framing_brings_the_pattern() {
        let origin = start();
        for framing in ["length", "chunked", "close"] {
            for length in [0, 1, 65_537, 3_000_000] {
                let mut client = Peer::connect(origin.address());
                client.send(&get(&format!("/{framing}/{length}"))).unwrap();
                client.read_pattern_response("GET", length).unwrap();
                assert_eq!(client.is_idle(), framing != "close");
            }
        }
    }

    #[test]
    fn a_request_is_judged_and_its_fields_are_told() {
        let origin = start();
        let mut client = Peer::connect(origin.address());
        client.send(b"PUT /length/0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n").unwrap();
        client.send_pattern_chunked(100_000, 999).unwrap();
        let head = client.read_response("PUT").unwrap().head;
        assert_eq!((head.field("x-body"), head.field("x-saw")), (Some("100000"), Some("X: y")));
        let wrong = b"PUT /length/0 HTTP/1.1\r\nContent-Length: 3\r\n\r\n\0\0\0";
        let head = client.exchange("PUT", wrong).unwrap().head;
        assert_eq!(head.field("x-body"), Some("3 wrong at 0"));
    }
}
