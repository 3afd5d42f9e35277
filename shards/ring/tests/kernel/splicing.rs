//! Bytes that pass from socket to socket inside the kernel, and the switch to and from that.

use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use ringway_ring::{ReadMode, Splice, SpliceError, Stream};

use crate::transfer::until_buffers_are_back;
use crate::{Random, SMALL, bytes, shard, verify};

/// An end for a thread of the test, and one for the shard.
fn connection() -> (TcpStream, std::os::fd::OwnedFd) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let outside = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
    outside.set_read_timeout(Some(Duration::from_secs(20))).expect("a bound on waiting");
    outside.set_write_timeout(Some(Duration::from_secs(20))).expect("a bound on waiting");
    let (inside, _) = listener.accept().expect("the same connection");
    (outside, inside.into())
}

/// Moves `len` bytes, and returns how many the sink took.
async fn pass(source: &mut Stream, sink: &mut Stream, len: usize) -> Result<usize, SpliceError> {
    let mut splice = Splice::new(len as u64).expect("a pipe");
    let mut passed = 0;
    while !splice.is_done() {
        passed += poll_fn(|cx| splice.poll(cx, source, sink)).await?;
    }
    Ok(passed)
}

/// Takes bytes by receiving, as they come, until `until`.
async fn relay(source: &mut Stream, sink: &mut Stream, mode: ReadMode, until: usize, at: &mut usize) {
    while *at < until {
        let mut chunk = source.recv(mode).await.expect("the source lives").expect("the source goes on");
        if chunk.len() > until - *at {
            let rest = chunk.split_to(until - *at);
            source.unread(std::mem::replace(&mut chunk, rest));
        }
        *at += chunk.len();
        sink.write(chunk);
        sink.flush().await.expect("the sink lives");
    }
}

/// Receiving and splicing take turns on one stream of bytes: none is lost or overtaken at the switch.
#[test]
fn bytes_stay_in_order_through_every_switch_between_receiving_and_splicing() {
    const LEN: usize = 8 << 20;
    for seed in 1..=6 {
        let (mut writer, source) = connection();
        let (mut reader, sink) = connection();
        let sending = std::thread::spawn(move || {
            let mut random = Random(seed);
            let mut at = 0;
            while at < LEN {
                let piece = (random.below(200_000) + 1).min(LEN - at);
                writer.write_all(&bytes(0, at, piece)).expect("the proxy reads");
                at += piece;
            }
            writer
        });
        let receiving = std::thread::spawn(move || {
            let (mut at, mut buffer) = (0, vec![0; 50_000]);
            while at < LEN {
                let read = reader.read(&mut buffer).expect("the proxy writes");
                assert!(read > 0, "an early end after {at} bytes");
                verify(&buffer[..read], 0, at);
                at += read;
            }
        });
        shard(SMALL, move || async move {
            let (mut source, mut sink) = (Stream::from_descriptor(source), Stream::from_descriptor(sink));
            let (mut random, mut at) = (Random(seed + 100), 0);
            while at < LEN {
                let len = (random.below(700_000) + 1).min(LEN - at);
                match random.below(4) {
                    0 => relay(&mut source, &mut sink, ReadMode::Head, at + len, &mut at).await,
                    1 => relay(&mut source, &mut sink, ReadMode::Once, at + len, &mut at).await,
                    2 => relay(&mut source, &mut sink, ReadMode::Body, at + len, &mut at).await,
                    _ => {
                        poll_fn(|cx| source.poll_quiet(cx)).await;
                        // What was delivered before it fell quiet is in the queue, and goes first.
                        while !source.is_fresh() && at < LEN {
                            let until = at + 1;
                            relay(&mut source, &mut sink, ReadMode::Once, until, &mut at).await;
                            poll_fn(|cx| source.poll_quiet(cx)).await;
                        }
                        let len = len.min(LEN - at);
                        if len > 0 {
                            at += pass(&mut source, &mut sink, len).await.expect("both live");
                        }
                    }
                }
            }
            drop((source, sink));
            until_buffers_are_back(SMALL).await;
        });
        drop(sending.join().expect("all was sent"));
        receiving.join().expect("all arrived");
    }
}

#[test]
fn a_source_that_ends_early_is_told_from_a_sink_that_fails() {
    let (mut writer, source) = connection();
    let (reader, sink) = connection();
    writer.write_all(&bytes(0, 0, 100_000)).expect("the kernel takes that much");
    writer.shutdown(Shutdown::Write).expect("it is open");
    let reading = std::thread::spawn(move || std::io::copy(&mut { reader }, &mut std::io::sink()));
    shard(SMALL, move || async move {
        let (mut source, mut sink) = (Stream::from_descriptor(source), Stream::from_descriptor(sink));
        let ended = pass(&mut source, &mut sink, 200_000).await;
        assert!(matches!(&ended, Err(SpliceError::Source(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof));
    });
    assert!(reading.join().expect("no panic").expect("an orderly end") <= 100_000);

    let (mut writer, source) = connection();
    let (reader, sink) = connection();
    // Closed with bytes unread and more to come: the sink is reset.
    drop(reader);
    let writing = std::thread::spawn(move || while writer.write_all(&[0; 65_536]).is_ok() {});
    shard(SMALL, move || async move {
        let (mut source, mut sink) = (Stream::from_descriptor(source), Stream::from_descriptor(sink));
        assert!(matches!(pass(&mut source, &mut sink, 1 << 30).await, Err(SpliceError::Sink(_))));
    });
    writing.join().expect("it was reset when the shard let go");
}

#[test]
fn an_open_ended_splice_ends_with_its_source() {
    let (mut writer, source) = connection();
    let (mut reader, sink) = connection();
    let talking = std::thread::spawn(move || {
        // What comes is passed on at once, whether more follows or not.
        for piece in [1, 100_000, 3] {
            let sent = bytes(0, 0, piece);
            writer.write_all(&sent).expect("the other side reads");
            let mut received = vec![0; piece];
            reader.read_exact(&mut received).expect("nothing is held back");
            assert!(received[..] == sent[..]);
        }
        writer.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(reader.read(&mut [0]).expect("an orderly end"), 0);
    });
    shard(SMALL, move || async move {
        let (mut source, mut sink) = (Stream::from_descriptor(source), Stream::from_descriptor(sink));
        let mut splice = Splice::until_end().expect("a pipe");
        let mut passed = 0;
        while !splice.is_done() {
            passed += poll_fn(|cx| splice.poll(cx, &mut source, &mut sink)).await.expect("both live");
        }
        assert_eq!((passed, splice.is_empty()), (100_004, true));
        sink.end();
    });
    talking.join().expect("every piece came");
}

#[test]
fn a_slow_sink_stops_its_source_and_a_dropped_splice_closes_both() {
    let (mut writer, source) = connection();
    let (reader, sink) = connection();
    let writing = std::thread::spawn(move || {
        let mut written = 0_usize;
        while let Ok(len) = writer.write(&[7; 65_536]) {
            written += len;
        }
        written
    });
    shard(SMALL, move || async move {
        let (mut source, mut sink) = (Stream::from_descriptor(source), Stream::from_descriptor(sink));
        let mut splice = Splice::new(1 << 40).expect("a pipe");
        // Until nothing moves for a while, because the reader does not read.
        loop {
            let deadline = ringway_ring::now() + Duration::from_millis(300);
            let mut timer = ringway_ring::Timer::new();
            timer.set(deadline);
            let moved = poll_fn(|cx| match splice.poll(cx, &mut source, &mut sink) {
                std::task::Poll::Ready(moved) => std::task::Poll::Ready(Some(moved.expect("both live"))),
                std::task::Poll::Pending => timer.poll(cx).map(|()| None),
            });
            if moved.await.is_none() {
                break;
            }
        }
        assert!(splice.waits_for_sink());
        drop((splice, source, sink));
    });
    // The sockets' own buffers and one pipe are all that was in between.
    assert!(writing.join().expect("it was reset when the shard let go") < 64 << 20);
    drop(reader);
}
