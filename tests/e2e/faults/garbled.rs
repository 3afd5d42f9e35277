//! What may come of an exchange in which a byte was changed.
//!
//! The proxy cannot know. But whatever it makes of the changed bytes must be what any reader makes of them: a plain reader here
//! reads the same bytes, and what the proxy passed on as whole must be what that reader found; or the proxy refused.

use std::io::ErrorKind;

use kit::fault::Way;
use kit::scripted;
use kit::{Framing, Head, Message, pattern};

use super::lanes::{Case, Lane, Side};

/// Runs `case` and compares.
pub(super) fn judge(lane: &Lane, case: &Case, tag: &str) -> Result<(), String> {
    let report = lane.perform(case, tag);
    if case.side == Side::Client && case.shape.method == "HEAD" && case.fault.at < 4 {
        // The client did not say what it believes to have said, and cannot read the answer.
        return Ok(());
    }
    // Each connection for itself: what was under way on the last case's may arrive when this one has begun.
    let records = lane.before.records(Way::ToServer);
    let (sent, rests): (Vec<_>, Vec<_>) = records.iter().map(|record| read_all(record, None)).unzip();
    let (sent, rest) = (sent.into_iter().flatten().collect::<Vec<_>>(), rests.iter().sum::<usize>());
    if let Some(error) = &report.end {
        // What the plain reader took for no part of a request is a request of its own, and refused.
        let refused = rest > 0 && error.to_string().starts_with("an answer to nothing: HTTP/1.1 4");
        let wrong = matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::InvalidData);
        if wrong && !(refused && case.side == Side::Client) {
            return Err(format!("stuck or malformed: {error}"));
        }
    }
    match (case.side, case.fault.way) {
        (Side::Client, _) => requests(lane, case, tag, &sent),
        (Side::Upstream, Way::ToServer) => report.answers.iter().try_for_each(|answer| consistent(case, answer)),
        (Side::Upstream, Way::ToClient) => {
            let records = lane.behind.records(Way::ToClient);
            let sent = records.iter().flat_map(|record| read_all(record, Some(case.shape.method)).0);
            answers(case, &report.answers, &sent.collect::<Vec<_>>())
        }
    }
}

/// The origin has seen no request whole that was not sent as it saw it.
fn requests(lane: &Lane, case: &Case, tag: &str, sent: &[Message]) -> Result<(), String> {
    for number in 0..case.shape.pipelined {
        for seen in lane.witness.take(&format!("{tag}.{number}")) {
            let same = |sent: &&Message| sent.body == seen.body && sent.head.method() == seen.head.method();
            if sent.iter().find(same).is_none() {
                let (head, bytes) = (&seen.head, seen.body.len());
                return Err(format!("the origin saw {head:?} with {bytes} bytes, of {sent:?}"));
            }
        }
    }
    Ok(())
}

/// What the origin answered to a request that it misread came through as it was.
fn consistent(case: &Case, answer: &Message) -> Result<(), String> {
    if answer.head.field("x-tag").is_none() {
        return scripted::own_error(answer).map(drop);
    }
    let length: usize = answer.head.field("x-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    if answer.body.len() == length || case.shape.method == "HEAD" {
        return Ok(());
    }
    Err(format!("{} bytes came of {length}: {:?}", answer.body.len(), answer.head))
}

/// The client has seen no answer whole that was not sent as it saw it.
fn answers(case: &Case, seen: &[Message], sent: &[Message]) -> Result<(), String> {
    for (number, seen) in seen.iter().enumerate() {
        let same = |sent: &&Message| sent.status() == seen.status() && sent.body == seen.body;
        if sent.iter().find(same).is_some() || scripted::own_error(seen).is_ok() {
            continue;
        }
        let (head, bytes, method) = (&seen.head, seen.body.len(), case.shape.method);
        let sent: Vec<_> = sent.iter().map(|sent| (&sent.head, sent.body.len())).collect();
        return Err(format!("answer {number} to {method} is {head:?} with {bytes} bytes, of {sent:?}"));
    }
    Ok(())
}

/// The messages that a plain reader finds, requests or responses to `method`, up to where it understands no more, and how many
/// bytes it does not understand.
fn read_all(mut bytes: &[u8], method: Option<&str>) -> (Vec<Message>, usize) {
    let mut messages = Vec::new();
    while let Some((message, length)) = read(bytes, method) {
        bytes = &bytes[length..];
        messages.push(message);
    }
    (messages, bytes.len())
}

fn read(bytes: &[u8], method: Option<&str>) -> Option<(Message, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = Head::parse(&bytes[..end]);
    if method.is_none() && !head.start_line.contains(" HTTP/") {
        return None;
    }
    let lengths = head.values("content-length");
    if lengths.iter().any(|length| length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    let framing = match method {
        Some(method) => head.response_framing(method),
        None => head.request_framing(),
    };
    let rest = &bytes[end..];
    let (body, length) = match framing {
        Framing::Length(length) => {
            let body = rest.get(..usize::try_from(length).ok()?)?;
            (body.to_vec(), body.len())
        }
        Framing::Chunked => read_chunks(rest)?,
        Framing::UntilClose => (rest.to_vec(), rest.len()),
    };
    Some((Message { head, body, trailers: Vec::new(), interim: Vec::new() }, end + length))
}

/// The data of a chunked body, and the bytes that it takes. Extensions are read over.
fn read_chunks(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = line(&bytes[at..])?;
        at += line.len() + 2;
        let digits = line.split(|byte| *byte == b';').next()?;
        let size = usize::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(bytes.get(at..at.checked_add(size)?)?);
        at += size + 2;
        bytes.get(at..)?;
    }
    loop {
        let line = line(&bytes[at..])?;
        at += line.len() + 2;
        if line.is_empty() {
            return Some((body, at));
        }
    }
}

fn line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.windows(2).position(|window| window == b"\r\n").map(|end| &bytes[..end])
}

#[test]
fn the_plain_reader_reads() {
    let text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nT: u\r\n\r\n\
        HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nxyz";
    let (messages, rest) = read_all(text, Some("GET"));
    let bodies: Vec<&[u8]> = messages.iter().map(|message| &message.body[..]).collect();
    assert_eq!((&bodies[..], rest), ([b"abc".as_slice(), b"", b"xy"].as_slice(), 1));
    let large = [b"POST / HTTP/1.1\r\nContent-Length: 9000\r\n\r\n".as_slice(), &pattern::bytes(9_000)].concat();
    assert_eq!(read_all(&large, None).0[0].body, pattern::bytes(9_000));
    assert!(read_all(&large[..8_000], None).0.is_empty());
}
