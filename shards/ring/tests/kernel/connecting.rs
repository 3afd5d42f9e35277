//! Opening connections.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use ringway_ring::{Instant, Listener, ReadMode, connect_tcp, connect_unix, listen_tcp, listen_unix};

use crate::{SMALL, bytes, shard, verify};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_refused_connection_says_so() {
    shard(SMALL, || async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        drop(listener);
        let error = connect_tcp(address, LONG).await.expect_err("nobody listens");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_connection_that_nobody_answers_times_out() {
    shard(SMALL, || async {
        // The kernel answers for a listener until its backlog is full; then it lets newcomers wait.
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let full = Listener::from_descriptor(listen_tcp(any, 0, false).expect("a free port"));
        let address = full.local().expect("its address");
        let mut open = Vec::new();
        let timeout = Duration::from_millis(100);
        for _ in 0..8 {
            let start = ringway_ring::now();
            match connect_tcp(address, timeout).await {
                Ok(stream) => open.push(stream),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                    assert!(Instant::now() >= start + timeout);
                    return;
                }
            }
        }
        panic!("a backlog of 0 took {} connections", open.len());
    });
}

#[test]
fn an_attempt_may_be_dropped() {
    shard(SMALL, || async {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = Listener::from_descriptor(listen_tcp(any, 1_024, false).expect("a free port"));
        let address = listener.local().expect("its address");
        for _ in 0..100 {
            let mut attempt = Box::pin(connect_tcp(address, LONG));
            std::future::poll_fn(|cx| {
                let _ = attempt.as_mut().poll(cx);
                std::task::Poll::Ready(())
            })
            .await;
        }
        // A later one is not disturbed.
        let mut stream = connect_tcp(address, LONG).await.expect("a connection");
        stream.write(bytes(0, 0, 10));
        stream.flush().await.expect("room");
        loop {
            let mut accepted = listener.accept().await.expect("a connection");
            if let Ok(Some(chunk)) = accepted.recv(ReadMode::Head).await {
                return verify(&chunk, 0, 0);
            }
        }
    });
}

#[test]
fn unix_sockets_connect_and_replace_what_is_stale() {
    shard(SMALL, || async {
        let folder = std::env::temp_dir().join(format!("ringway-ring-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("socket");
        let missing = connect_unix(&path, LONG).await.expect_err("nothing is there");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        drop(listen_unix(&path, 8).expect("a socket"));
        let stale = connect_unix(&path, LONG).await.expect_err("nobody listens");
        assert_eq!(stale.kind(), ErrorKind::ConnectionRefused);
        let mut listener = Listener::from_descriptor(listen_unix(&path, 8).expect("the stale socket is replaced"));
        assert_eq!(listen_unix(&path, 8).expect_err("somebody listens").kind(), ErrorKind::AddrInUse);
        let mut stream = connect_unix(&path, LONG).await.expect("a connection");
        assert!(listener.local().is_none() && stream.peer().is_none());
        stream.write(bytes(0, 0, 1_000));
        // The probe of the second listener comes first, and has left.
        let mut received = None;
        while received.is_none() {
            received = listener.accept().await.expect("a connection").recv(ReadMode::Head).await.expect("no failure");
        }
        verify(&received.expect("bytes"), 0, 0);
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
    });
}
