//! Bytes over real sockets: every one, in order, whatever is dropped and when.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use ringway_ring::{Config, ReadMode, Stream};

use crate::{Random, SMALL, bytes, receive_all, send_all, shard, socketpair, verify};

fn tcp_pair() -> (OwnedFd, OwnedFd) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let one = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    let (other, _) = listener.accept().expect("the same connection");
    (one.into(), other.into())
}

/// Sends both ways over each of these pairs at once, and checks every byte.
fn both_ways(config: Config, pairs: Vec<(OwnedFd, OwnedFd)>, len: usize) {
    shard(config, move || async move {
        let open = Rc::new(Cell::new(2 * pairs.len()));
        for (number, (one, other)) in pairs.into_iter().enumerate() {
            for (end, fd) in [one, other].into_iter().enumerate() {
                let open = Rc::clone(&open);
                ringway_ring::spawn(async move {
                    exchange(fd, 2 * number + end, 2 * number + 1 - end, len).await;
                    open.set(open.get() - 1);
                });
            }
        }
        while open.get() > 0 {
            ringway_ring::sleep(Duration::from_millis(1)).await;
        }
        until_buffers_are_back(config).await;
    });
}

/// Sends one stream and receives the other, at the same time.
async fn exchange(fd: OwnedFd, sends: usize, receives: usize, len: usize) {
    let mut socket = Stream::from_descriptor(fd);
    let mut random = Random(sends as u64 + 1);
    let (mut sent, mut received, mut mode) = (0, 0, ReadMode::Head);
    let mut shut = false;
    while received < len || !shut {
        while sent < len && socket.bytes_waiting() < 100_000 {
            let piece = (random.below(30_000) + 1).min(len - sent);
            socket.write(bytes(sends, sent, piece));
            sent += piece;
        }
        if sent == len && !shut {
            socket.end();
            shut = true;
        }
        if random.below(5) == 0 {
            mode = if mode == ReadMode::Head { ReadMode::Body } else { ReadMode::Head };
        }
        let waiting = socket.bytes_waiting();
        let chunk = std::future::poll_fn(|cx| match socket.poll_recv(cx, mode) {
            std::task::Poll::Ready(chunk) => std::task::Poll::Ready(Some(chunk)),
            // Or room to write more.
            std::task::Poll::Pending if waiting > 0 => socket.poll_below(cx, waiting / 2).map(|below| {
                below.expect("the peer reads on");
                None
            }),
            std::task::Poll::Pending => std::task::Poll::Pending,
        });
        match chunk.await {
            None => {}
            Some(Ok(Some(chunk))) => {
                verify(&chunk, receives, received);
                received += chunk.len();
            }
            Some(other) => {
                assert!(matches!(other, Ok(None)) && received == len, "{other:?} after {received} bytes");
                socket.flush().await.expect("the peer reads on");
            }
        }
    }
    socket.flush().await.expect("the peer reads on");
}

/// Waits until every buffer is the kernel's again: the last cancellations may still be on their way.
pub(crate) async fn until_buffers_are_back(config: Config) {
    while ringway_ring::free_buffers() != (config.head_buffers, config.body_buffers) {
        ringway_ring::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn every_byte_crosses_unix_sockets_both_ways() {
    both_ways(SMALL, (0..4).map(|_| socketpair()).collect(), 3 << 20);
}

#[test]
fn every_byte_crosses_tcp_both_ways() {
    both_ways(SMALL, (0..4).map(|_| tcp_pair()).collect(), 3 << 20);
}

#[test]
fn every_byte_crosses_with_the_default_sizes() {
    both_ways(Config { pool_bytes_max: 0, ..Config::default() }, vec![tcp_pair(), socketpair()], 16 << 20);
}

#[test]
fn streams_and_futures_may_be_dropped_at_any_moment() {
    shard(SMALL, || async {
        let mut random = Random(99);
        for round in 0..400 {
            let (one, other) = if round % 2 == 0 { socketpair() } else { tcp_pair() };
            let open = Rc::new(Cell::new(2));
            for (end, fd) in [one, other].into_iter().enumerate() {
                let (open, mut random) = (Rc::clone(&open), Random(random.below(1 << 40) as u64 + 1));
                ringway_ring::spawn(async move {
                    fickle(Stream::from_descriptor(fd), end, &mut random).await;
                    open.set(open.get() - 1);
                });
            }
            while open.get() > 0 {
                ringway_ring::yield_now().await;
            }
        }
        until_buffers_are_back(SMALL).await;
    });
}

/// Sends and receives, gives up waiting now and then, and leaves in the middle. What comes is the beginning of what was sent.
async fn fickle(mut socket: Stream, end: usize, random: &mut Random) {
    let (mut sent, mut received) = (0, 0);
    for _ in 0..random.below(30) {
        let piece = random.below(60_000) + 1;
        socket.write(bytes(end, sent, piece));
        sent += piece;
        let mode = if random.below(2) == 0 { ReadMode::Head } else { ReadMode::Body };
        // Polled a few times, then dropped as it is.
        let mut polls = random.below(4) + 1;
        let chunk = std::future::poll_fn(|cx| match socket.poll_recv(cx, mode) {
            std::task::Poll::Ready(chunk) => std::task::Poll::Ready(Some(chunk)),
            std::task::Poll::Pending if polls == 0 => std::task::Poll::Ready(None),
            std::task::Poll::Pending => {
                polls -= 1;
                cx.waker().wake_by_ref();
                std::task::Poll::Pending
            }
        });
        match chunk.await {
            None => {}
            Some(Ok(Some(chunk))) => {
                verify(&chunk, 1 - end, received);
                received += chunk.len();
            }
            // The other has left, be it with bytes unread.
            Some(Ok(None)) => return,
            Some(Err(error)) => {
                assert!(matches!(error.raw_os_error(), Some(libc::ECONNRESET | libc::EPIPE)), "{error}");
                return;
            }
        }
    }
}

#[test]
fn a_busy_shard_still_hears_its_kernel() {
    let (one, other) = socketpair();
    let (tell, armed) = std::sync::mpsc::channel();
    let sender = std::thread::spawn(move || {
        armed.recv().expect("the shard is there");
        UnixStream::from(other).write_all(b"hello").expect("the peer is there");
    });
    shard(SMALL, || async move {
        let received = Rc::new(Cell::new(false));
        let seen = Rc::clone(&received);
        ringway_ring::spawn(async move {
            let chunk = Stream::from_descriptor(one).recv(ReadMode::Body).await.expect("bytes").expect("bytes");
            seen.set(chunk[..] == *b"hello");
        });
        // There is always a task that is ready, so that the shard never waits.
        let start = std::time::Instant::now();
        for _ in 0..10_000 {
            ringway_ring::yield_now().await;
        }
        tell.send(()).expect("the sender is there");
        while !received.get() {
            assert!(start.elapsed() < Duration::from_secs(20), "the completion is never seen");
            ringway_ring::yield_now().await;
        }
    });
    sender.join().expect("the sender ends well");
}

#[test]
fn each_half_ends_by_itself() {
    shard(SMALL, || async {
        let (one, other) = tcp_pair();
        let (mut one, mut other) = (Stream::from_descriptor(one), Stream::from_descriptor(other));
        send_all(&mut one, 0, 10_000, &mut Random(3)).await.expect("room");
        one.end();
        assert_eq!(receive_all(&mut other, 0, &mut Random(4)).await.expect("the end"), 10_000);
        // The other direction goes on.
        send_all(&mut other, 1, 10_000, &mut Random(5)).await.expect("room");
        drop(other);
        assert_eq!(receive_all(&mut one, 1, &mut Random(6)).await.expect("the end"), 10_000);
        assert!(one.recv(ReadMode::Head).await.expect("still the end").is_none());
    });
}

#[test]
fn a_reset_is_told_to_both_directions() {
    shard(SMALL, || async {
        let (one, other) = tcp_pair();
        let mut one = Stream::from_descriptor(one);
        socket2::SockRef::from(&other).set_linger(Some(Duration::ZERO)).expect("a socket's option");
        one.watch(ReadMode::Head);
        assert!(one.is_fresh());
        drop(TcpStream::from(other));
        let error = std::future::poll_fn(|cx| one.poll_failed(cx)).await;
        assert_eq!(error.raw_os_error(), Some(libc::ECONNRESET));
        assert!(!one.is_fresh());
        assert!(one.recv(ReadMode::Body).await.is_err());
        one.write(bytes(0, 0, 10));
        assert_eq!(one.flush().await.expect_err("nobody reads").kind(), std::io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn a_quiet_socket_may_be_read_by_other_means() {
    let (one, other) = socketpair();
    let mut direct = UnixStream::from(one.try_clone().expect("another descriptor"));
    shard(SMALL, move || async move {
        let (mut one, mut other) = (Stream::from_descriptor(one), UnixStream::from(other));
        for round in 0..200 {
            one.watch(ReadMode::Head);
            other.write_all(&bytes(0, 0, 300)).expect("room");
            if round % 3 == 0 {
                ringway_ring::yield_now().await;
            }
            std::future::poll_fn(|cx| one.poll_quiet(cx)).await;
            other.write_all(&bytes(0, 300, 300)).expect("room");
            // What was delivered before, and the rest behind the shard's back.
            let mut seen = Vec::new();
            while !one.is_fresh() {
                seen.extend_from_slice(&one.recv(ReadMode::Head).await.expect("bytes").expect("bytes"));
                std::future::poll_fn(|cx| one.poll_quiet(cx)).await;
            }
            let delivered = seen.len();
            seen.resize(600, 0);
            direct.read_exact(&mut seen[delivered..]).expect("the rest");
            verify(&seen, 0, 0);
        }
    });
}
