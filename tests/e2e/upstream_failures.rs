//! What a client gets, and what is recorded, when the upstream breaks off.

use std::io;
use std::time::{Duration, Instant};

use kit::{Config, Origin, Peer, Port, Ringway, pattern, standard};

use crate::{before, start};

/// The outcome when an upstream went away, by a reset or by closing.
const GONE: &str = "upstream_gone";
const MALFORMED: &str = "upstream_malformed";

/// An origin that reads a request's head and then follows `script`.
fn after_head(script: impl Fn(&mut Peer) -> io::Result<()> + Send + Sync + 'static) -> Origin {
    Origin::start(move |peer, _| {
        peer.read_head()?;
        script(peer)
    })
}

/// Demands the error response `status` for a request, and that the client may go on or sees its connection close.
#[track_caller]
fn assert_refused(ringway: &Ringway, target: &str, status: u16, outcomes: &[&str]) {
    let mut client = ringway.connect();
    let response = client.exchange("GET", &standard::get(target)).unwrap();
    assert_eq!(response.status(), status, "{:?}", response.head);
    assert!(!response.body.is_empty() && response.body.len() < 1_000, "a small body: {}", response.text());
    assert!(response.head.field("content-length").is_some(), "{:?}", response.head);
    ringway.assert_outcome(target, outcomes);
    if response.head.lists("connection", "close") {
        client.assert_ends();
    } else {
        assert!(client.is_idle());
    }
}

/// Demands that the response begins and breaks off: the client must be able to tell that it is not whole.
#[track_caller]
fn assert_truncated(ringway: &Ringway, target: &str, outcomes: &[&str]) {
    let mut client = ringway.connect();
    client.send(&standard::get(target)).unwrap();
    let (head, _) = client.read_final_head().unwrap();
    assert_eq!(head.status(), 200);
    let error = client.read_body(head.response_framing("GET"), &mut |_| {}).expect_err("a body that breaks off");
    let kinds = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
    assert!(kinds.contains(&error.kind()), "{error}");
    ringway.assert_outcome(target, outcomes);
}

#[test]
fn a_refused_connection_is_502() {
    let port = Port::take();
    let ringway = start(Config::to(port.address()));
    assert_refused(&ringway, "/refused", 502, &["upstream_refused"]);
}

#[test]
fn a_unix_socket_that_is_absent_is_502() {
    let ringway = start(Config::to("unix:/nonexistent/socket"));
    assert_refused(&ringway, "/absent", 502, &["upstream_refused"]);
}

#[test]
fn a_close_before_the_head_is_502() {
    let origin = after_head(|_| Ok(()));
    assert_refused(&before(&origin), "/closed", 502, &[GONE]);
}

#[test]
fn a_reset_before_the_head_is_502() {
    let origin = after_head(|peer| peer.reset_on_drop());
    assert_refused(&before(&origin), "/reset", 502, &[GONE]);
}

#[test]
fn a_close_in_the_middle_of_the_head_is_502() {
    let origin = after_head(|peer| peer.send(b"HTTP/1.1 200 OK\r\nContent-Le"));
    assert_refused(&before(&origin), "/closed", 502, &[GONE, MALFORMED]);
}

#[test]
fn a_reset_in_the_middle_of_the_head_is_502() {
    let origin = after_head(|peer| {
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")?;
        peer.reset_on_drop()
    });
    assert_refused(&before(&origin), "/reset", 502, &[GONE]);
}

#[test]
fn a_malformed_head_is_502() {
    let heads: [&[u8]; 6] = [
        b"garbage\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ];
    for (n, head) in heads.into_iter().enumerate() {
        let origin = after_head(|peer| peer.send(head));
        assert_refused(&before(&origin), &format!("/malformed/{n}"), 502, &[MALFORMED]);
    }
}

#[test]
fn a_head_larger_than_the_limit_is_502() {
    let origin = after_head(|peer| {
        let field = format!("X-Filler: {}\r\n", "f".repeat(1_000));
        peer.send(format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", field.repeat(60)).as_bytes())
    });
    assert_refused(&before(&origin), "/large", 502, &[MALFORMED]);
}

#[test]
fn a_body_with_a_length_that_breaks_off_is_truncated() {
    for reset in [false, true] {
        let origin = after_head(move |peer| {
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?;
            peer.send_pattern(0, 50_000)?;
            if reset { peer.reset_on_drop() } else { Ok(()) }
        });
        assert_truncated(&before(&origin), &format!("/length/{reset}"), &[GONE]);
    }
}

#[test]
fn a_chunked_body_that_breaks_off_gets_no_last_chunk() {
    for (n, tail) in ["", "64\r\nhalf of it", "64", "0\r\n"].into_iter().enumerate() {
        let origin = after_head(move |peer| {
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")?;
            peer.send(tail.as_bytes())
        });
        assert_truncated(&before(&origin), &format!("/chunked/{n}"), &[GONE, MALFORMED]);
    }
}

#[test]
fn a_malformed_chunk_truncates_the_body() {
    for (n, tail) in ["xyz\r\n", "5\r\nhelloX\r\n", "-1\r\n", "ffffffffffffffffff\r\n"].into_iter().enumerate() {
        let origin = after_head(move |peer| {
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")?;
            peer.send(tail.as_bytes())?;
            // The proxy must end it of its own accord.
            peer.read_head().map(drop)
        });
        assert_truncated(&before(&origin), &format!("/chunk/{n}"), &[MALFORMED]);
    }
}

#[test]
fn a_reset_of_a_body_until_close_is_no_end() {
    let origin = after_head(|peer| {
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nthe beginning")?;
        peer.reset_on_drop()
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(&standard::get("/until-close")).unwrap();
    // A reset may overtake what was sent before it: then the head never came, and 502 is right.
    let (head, _) = client.read_final_head().unwrap();
    if head.status() == 200 {
        client.read_body(head.response_framing("GET"), &mut |_| {}).expect_err("a body that breaks off");
    } else {
        assert_eq!(head.status(), 502);
    }
    ringway.assert_outcome("/until-close", &[GONE]);
}

#[test]
fn an_early_answer_is_passed_on_before_the_request_is_whole() {
    let origin = after_head(|peer| {
        peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 4\r\nConnection: close\r\n\r\nstop")?;
        peer.half_close()?;
        peer.read_to_end().map(drop)
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(b"POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n0123456789").unwrap();
    let response = client.read_response("POST").unwrap();
    assert_eq!((response.status(), response.text()), (403, "stop".to_owned()));
}

#[test]
fn an_upstream_that_answered_early_is_not_used_again() {
    // CVE-2025-4366: what is left of the request would be read as the next one.
    let origin = Origin::start(|peer, _| {
        while peer.read_head()?.is_some() {
            peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nstop")?;
        }
        Ok(())
    });
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(b"POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n").unwrap();
    assert_eq!(client.read_response("POST").unwrap().status(), 403);
    drop(client);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/next")).unwrap().status(), 403);
    assert_eq!(origin.accepted(), 2);
    assert!(String::from_utf8(origin.received(1)).unwrap().starts_with("GET /next "));
}

#[test]
fn the_rest_of_a_body_that_nobody_wants_is_read_within_bounds_or_costs_the_connection() {
    let origin = Origin::start(|peer, _| {
        while let Some(head) = peer.read_head()? {
            peer.send(b"HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nstop")?;
            if head.method() == "POST" {
                return peer.read_to_end().map(drop);
            }
        }
        Ok(())
    });
    let ringway = before(&origin);
    let early = |length: u64| {
        let mut client = ringway.connect();
        client
            .send(format!("POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n").as_bytes())
            .unwrap();
        assert_eq!(client.read_response("POST").unwrap().status(), 403);
        client
    };
    let mut client = early(100_000);
    client.send_pattern(0, 100_000).unwrap();
    assert_eq!(client.exchange("GET", &standard::get("/next")).unwrap().status(), 403, "the connection is kept");

    let mut client = early(10_000_000);
    let _ = client.send_pattern(0, 10_000_000);
    // Whether it is told by an end or by a reset: nothing on it is answered any more.
    client.exchange("GET", &standard::get("/next")).expect_err("no connection is kept for so much");

    let mut client = early(100_000);
    let begun = Instant::now();
    client.assert_ends();
    assert!(begun.elapsed() > Duration::from_millis(900), "it had its second: {:?}", begun.elapsed());
    assert_eq!(origin.accepted(), 3, "only the connection of the answer in time was used again");
}

#[test]
fn a_reset_while_a_large_request_is_sent_is_502() {
    let origin = after_head(|peer| peer.reset_on_drop());
    let ringway = before(&origin);
    let mut client = ringway.connect();
    client.send(b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: 10000000\r\n\r\n").unwrap();
    // The proxy may close before it has read everything.
    let _ = client.send(&pattern::bytes(200_000));
    assert_eq!(client.read_response("POST").unwrap().status(), 502);
    ringway.assert_outcome("/upload", &[GONE]);
}

#[test]
fn the_proxy_serves_on_after_every_failure() {
    let origin = Origin::start(|peer, number| {
        peer.read_head()?;
        match number % 4 {
            0 => peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"),
            1 => peer.reset_on_drop(),
            2 => peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            _ => peer.send(b"nonsense"),
        }
    });
    let ringway = before(&origin);
    let descriptors = ringway.process().descriptors();
    for number in 0..80 {
        let response = ringway.connect().exchange("GET", &standard::get("/"));
        match number % 4 {
            0 => assert_eq!(response.unwrap().text(), "ok"),
            2 => drop(response.expect_err("a truncated response")),
            _ => assert_eq!(response.unwrap().status(), 502),
        }
    }
    ringway.wait_for_descriptors(descriptors + 4);
}
