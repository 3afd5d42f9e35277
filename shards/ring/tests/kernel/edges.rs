//! Bytes that are there and of which no further event tells: the same on both backends.

use std::future::poll_fn;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use ringway_ring::{Listener, ReadMode, Stream, connect_unix, listen_unix};

use crate::{SMALL, bytes, shard, socketpair, verify};

/// Turns in which something that could happen would have happened.
const TURNS: usize = 20;
const MODES: [ReadMode; 3] = [ReadMode::Head, ReadMode::Once, ReadMode::Body];

async fn receive_exactly(stream: &mut Stream, mode: ReadMode, len: usize) {
    let mut received = 0;
    while received < len {
        let chunk = stream.recv(mode).await.expect("no failure").expect("more bytes");
        verify(&chunk, 0, received);
        received += chunk.len();
    }
    assert_eq!(received, len);
}

#[test]
fn what_comes_before_and_after_an_urgent_byte_is_received_although_receives_stop_at_it() {
    for mode in MODES {
        shard(SMALL, move || async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let mut peer = TcpStream::connect(listener.local_addr().expect("its address")).expect("a connection");
            let (accepted, _) = listener.accept().expect("the same connection");
            let mut stream = Stream::from_descriptor(accepted.into());
            for round in 0..3 {
                if round > 0 {
                    stream.watch(mode);
                }
                peer.write_all(&bytes(0, 0, 100)).expect("room");
                socket2::SockRef::from(&peer).send_out_of_band(b"!").expect("room");
                peer.write_all(&bytes(0, 100, 50)).expect("room");
                receive_exactly(&mut stream, mode, 150).await;
            }
        });
    }
}

/// Sends bytes together with a descriptor.
fn send_with_descriptor(socket: &UnixStream, content: &[u8]) {
    let mut control = [0_u64; 4];
    let mut run = libc::iovec { iov_base: content.as_ptr().cast_mut().cast(), iov_len: content.len() };
    // SAFETY: a header of zeros is valid; what it is given lives during the call, and the control message fits its room.
    let sent = unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut run;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header).cast::<i32>().write_unaligned(socket.as_raw_fd());
        libc::sendmsg(socket.as_raw_fd(), &raw const message, 0)
    };
    assert_eq!(sent, content.len() as isize);
}

#[test]
fn what_a_local_peer_sends_with_a_descriptor_does_not_hide_what_follows() {
    for mode in MODES {
        shard(SMALL, move || async move {
            let (one, other) = socketpair();
            let (mut stream, peer) = (Stream::from_descriptor(one), UnixStream::from(other));
            for _ in 0..3 {
                stream.watch(mode);
                send_with_descriptor(&peer, &bytes(0, 0, 60));
                send_with_descriptor(&peer, &bytes(0, 60, 60));
                (&peer).write_all(&bytes(0, 120, 30)).expect("room");
                receive_exactly(&mut stream, mode, 150).await;
            }
        });
    }
}

#[test]
fn the_end_that_comes_with_the_last_bytes_is_told() {
    for mode in MODES {
        // Exactly full buffers, nearly full ones, and those in between.
        for len in [1, 511, 512, 513, 4_095, 4_096, 4_097, 40_000] {
            shard(SMALL, move || async move {
                let (one, other) = socketpair();
                let mut stream = Stream::from_descriptor(one);
                stream.watch(mode);
                ringway_ring::yield_now().await;
                let writer = std::thread::spawn(move || UnixStream::from(other).write_all(&bytes(0, 0, len)));
                receive_exactly(&mut stream, mode, len).await;
                assert!(stream.recv(mode).await.expect("an orderly end").is_none());
                writer.join().expect("the writer ends well").expect("the stream was read");
            });
        }
    }
}

#[test]
fn a_connect_to_a_full_unix_backlog_goes_on_when_there_is_room() {
    shard(SMALL, || async {
        let folder = std::env::temp_dir().join(format!("ringway-ring-full-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket");
        let listening: OwnedFd = listen_unix(&path, 0).expect("a socket");
        let first = connect_unix(&path, Duration::from_secs(60)).await.expect("the backlog holds one");
        let late = connect_unix(&path, Duration::from_millis(30)).await.expect_err("the backlog is full");
        assert_eq!(late.kind(), std::io::ErrorKind::TimedOut);
        let mut listener = Listener::from_descriptor(listening);
        let mut second = pin!(connect_unix(&path, Duration::from_secs(60)));
        // What has begun and cannot go on now waits for room, and is not told of anything else.
        for _ in 0..TURNS {
            let is_pending = poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx).is_pending())).await;
            assert!(is_pending, "nobody has accepted");
            ringway_ring::yield_now().await;
        }
        ringway_ring::spawn(async move {
            loop {
                drop(listener.accept().await.expect("a connection"));
            }
        });
        drop(second.await.expect("room at last"));
        drop(first);
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
    });
}
