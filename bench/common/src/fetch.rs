//! One GET by hand, to see that a proxy serves what the upstream offers before its cost is measured.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, ensure};

use crate::body::Body;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Upper bound of the response's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Fetches `body` from `address` and compares it with what it must be.
///
/// # Errors
/// Fails on anything but a 200 with that body, delimited by its length.
pub fn check(address: SocketAddr, body: Body) -> anyhow::Result<()> {
    open(address, body).map(drop)
}

/// As [`check`], and leaves the connection open for another request.
///
/// # Errors
/// As [`check`].
pub fn open(address: SocketAddr, body: Body) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    // A keep-alive request, because the bare proxies pass it on as it is and keep their upstream connection.
    write!(stream, "GET {} HTTP/1.1\r\nHost: {address}\r\n\r\n", body.path())?;
    let mut response = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let line_bytes = response.read_line(&mut head).context("no head of a response")?;
        ensure!(line_bytes > 0, "closed within the head:\n{head}");
        ensure!(head.len() <= HEAD_BYTES_MAX, "a head without end:\n{head}");
    }
    ensure!(head.starts_with("HTTP/1.1 200 "), "not a 200:\n{head}");
    let expected = body.content();
    let mut received = vec![0; expected.len()];
    response.read_exact(&mut received).with_context(|| format!("the body is incomplete:\n{head}"))?;
    ensure!(received == expected, "the body is not what the upstream offers:\n{head}");
    ensure!(response.buffer().is_empty(), "bytes follow the body:\n{head}");
    Ok(response.into_inner())
}
