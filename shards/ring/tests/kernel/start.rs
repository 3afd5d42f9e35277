//! Beginning and end of shards.

use std::net::Ipv4Addr;
use std::time::Duration;

use ringway_ring::{Backend, Config, Listener, ReadMode, StartError, Stream, connect_tcp, listen_tcp};

use crate::{SMALL, bytes, in_child, shard, socketpair, verify};

#[test]
fn a_probe_tells_what_a_shard_would_find() {
    let probed = ringway_ring::probe().expect("io_uring");
    let found = ringway_ring::run(&SMALL, Default::default(), |features| async move { features }).expect("io_uring");
    assert_eq!((probed, probed.backend), (found, Backend::IoUring));
}

#[test]
fn a_shard_that_has_nothing_to_do_ends_at_once() {
    for _ in 0..20 {
        assert_eq!(shard(SMALL, || async { 7 }), 7);
    }
}

#[test]
fn a_panic_ends_its_task_alone_and_one_of_main_ends_the_shard() {
    let counters = std::sync::Arc::new(ringway_ring::Counters::default());
    let theirs = std::sync::Arc::clone(&counters);
    let ended = std::thread::spawn(move || {
        ringway_ring::run(&SMALL, theirs, |_| async {
            let (one, other) = socketpair();
            ringway_ring::spawn(async move {
                let _one = Stream::from_descriptor(one);
                std::panic::resume_unwind(Box::new("on purpose"));
            });
            let end = Stream::from_descriptor(other).recv(ReadMode::Head).await;
            assert!(end.expect("an orderly end").is_none(), "what the task owned is closed");
            std::panic::resume_unwind(Box::new("on purpose as well"));
        })
    });
    assert!(ended.join().is_err());
    assert_eq!((counters.panics.value(), counters.sockets_open.value()), (2, 0));
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

#[test]
fn descriptors_return_to_their_start() {
    in_child("start::descriptors_return_to_their_start", || {
        let before = descriptors();
        for _ in 0..10 {
            shard(SMALL, || async {
                let fd = listen_tcp((Ipv4Addr::LOCALHOST, 0).into(), 64, true).expect("a free port");
                let mut listener = Listener::from_descriptor(fd);
                let address = listener.local().expect("its address");
                for number in 0..20 {
                    let mut client = connect_tcp(address, Duration::from_secs(60)).await.expect("a connection");
                    let mut server = listener.accept().await.expect("a connection");
                    client.write(bytes(0, 0, 1 << 20));
                    let first = server.recv(ReadMode::Body).await.expect("bytes").expect("bytes");
                    // Some are left to tasks that never end, with operations in flight.
                    if number % 3 == 0 {
                        ringway_ring::spawn(async move {
                            client.watch(ReadMode::Head);
                            let _ = server.recv(ReadMode::Head).await;
                            drop(first);
                            std::future::pending::<()>().await;
                            drop(client);
                        });
                    }
                }
            });
        }
        assert_eq!(descriptors(), before);
    });
}

/// From now on io_uring_setup fails in this process with EPERM, as in many containers.
fn forbid_io_uring() {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        // The number of the system call.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_io_uring_setup as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program lives until the kernel has copied it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

#[test]
fn where_io_uring_is_refused_the_message_says_what_to_enable() {
    in_child("start::where_io_uring_is_refused_the_message_says_what_to_enable", || {
        forbid_io_uring();
        let error = ringway_ring::probe().expect_err("refused");
        assert!(matches!(error, StartError::Refused(_)));
        let text = error.to_string();
        assert!(text.contains("kernel.io_uring_disabled=0") && text.contains("seccomp"), "{text}");
        let config = Config { backend: Backend::IoUring, ..Config::default() };
        let ran = ringway_ring::run(&config, Default::default(), |_| async {});
        assert!(matches!(ran, Err(StartError::Refused(_))));
    });
}

#[test]
fn where_io_uring_is_refused_a_shard_that_may_choose_takes_epoll() {
    in_child("start::where_io_uring_is_refused_a_shard_that_may_choose_takes_epoll", || {
        forbid_io_uring();
        let ran = ringway_ring::run(&SMALL, Default::default(), |features| async move {
            let (one, other) = socketpair();
            let (mut one, mut other) = (Stream::from_descriptor(one), Stream::from_descriptor(other));
            one.write(bytes(0, 0, 100));
            verify(&other.recv(ReadMode::Head).await.expect("bytes").expect("bytes"), 0, 0);
            features.backend
        });
        assert_eq!(ran.expect("epoll"), Backend::Epoll);
    });
}
