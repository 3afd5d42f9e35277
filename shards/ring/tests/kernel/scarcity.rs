//! Too few buffers, too small a completion queue, too slow a consumer.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ringway_ring::{Backend, Config, Counters, ReadMode, Stream};

use crate::transfer::until_buffers_are_back;
use crate::{Random, SMALL, backend, bytes, finish, receive_all, send_all, shard, socketpair, start_shard, verify};

#[test]
fn fifty_sockets_on_eight_buffers_all_finish_at_about_the_same_time() {
    const SOCKETS: usize = 50;
    const LEN: usize = 64 << 10;
    for mode in [ReadMode::Head, ReadMode::Body] {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..SOCKETS).map(|_| socketpair()).unzip();
        let counters = Arc::new(Counters::default());
        // All of it is there from the beginning, so that nothing but buffers is waited for.
        for (number, sender) in senders.into_iter().enumerate() {
            UnixStream::from(sender).write_all(&bytes(number, 0, LEN)).expect("room");
        }
        let receiving = start_shard(SMALL, &counters, move || async move {
            let received = Rc::new(RefCell::new(vec![0; SOCKETS]));
            let least_at_first_end = Rc::new(Cell::new(None));
            for (number, fd) in receivers.into_iter().enumerate() {
                let (received, least) = (Rc::clone(&received), Rc::clone(&least_at_first_end));
                ringway_ring::spawn(async move {
                    let mut socket = Stream::from_descriptor(fd);
                    let mut at = 0;
                    while let Some(chunk) = socket.recv(mode).await.expect("no failure") {
                        verify(&chunk, number, at);
                        at += chunk.len();
                        received.borrow_mut()[number] = at;
                        if at == LEN && least.get().is_none() {
                            least.set(received.borrow().iter().copied().min());
                        }
                        // Holds the buffer while others want one.
                        ringway_ring::yield_now().await;
                    }
                });
            }
            while received.borrow().iter().any(|at| *at < LEN) {
                ringway_ring::sleep(Duration::from_millis(1)).await;
            }
            until_buffers_are_back(SMALL).await;
            least_at_first_end.get().expect("somebody was first")
        });
        let least = finish(receiving);
        assert!(counters.receives_starved.value() > 0, "{mode:?}: buffers were never scarce");
        assert!(least >= LEN / 2, "{mode:?}: a socket had {least} bytes when the first had all");
    }
}

async fn send_on_each(senders: Vec<std::os::fd::OwnedFd>, len: usize) {
    let open = Rc::new(Cell::new(senders.len()));
    for (number, fd) in senders.into_iter().enumerate() {
        let open = Rc::clone(&open);
        ringway_ring::spawn(async move {
            let mut socket = Stream::from_descriptor(fd);
            send_all(&mut socket, number, len, &mut Random(number as u64 + 1)).await.expect("the peer reads on");
            open.set(open.get() - 1);
        });
    }
    while open.get() > 0 {
        ringway_ring::sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn what_is_held_while_buffers_are_scarce_is_copied_out() {
    let counters = Arc::new(Counters::default());
    finish(start_shard(SMALL, &counters, || async {
        let mut held = Vec::new();
        for number in 0..40 {
            let (one, other) = socketpair();
            let (mut one, mut other) = (Stream::from_descriptor(one), Stream::from_descriptor(other));
            other.write(bytes(number, 0, 100));
            let chunk = one.recv(ReadMode::Head).await.expect("bytes").expect("bytes");
            held.push((chunk, one, other));
        }
        for (number, (chunk, _, _)) in held.iter().enumerate() {
            verify(chunk, number, 0);
        }
        // Whoever holds the others, some stay for those who come.
        assert!(ringway_ring::free_buffers().0 > 0);
        drop(held);
        until_buffers_are_back(SMALL).await;
    }));
    // Six of eight buffers may be held before fewer than a quarter are free.
    assert!(counters.bytes_copied_out.value() >= 3_000, "{} bytes copied", counters.bytes_copied_out.value());
}

#[test]
fn a_completion_queue_that_overflows_loses_nothing() {
    const SOCKETS: usize = 300;
    let config = Config { submission_entries: 16, completion_entries: 16, ..SMALL };
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..SOCKETS).map(|_| socketpair()).unzip();
    let sending = start_shard(config, &Arc::default(), move || send_on_each(senders, 40_000));
    let counters = Arc::<Counters>::default();
    let receiving = start_shard(Config { head_buffers: 512, ..config }, &counters, move || async move {
        let (total, open) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(SOCKETS)));
        for (number, fd) in receivers.into_iter().enumerate() {
            let (total, open) = (Rc::clone(&total), Rc::clone(&open));
            ringway_ring::spawn(async move {
                let mut random = Random(number as u64 + 7);
                let len = receive_all(&mut Stream::from_descriptor(fd), number, &mut random).await.expect("the end");
                total.set(total.get() + len);
                open.set(open.get() - 1);
            });
        }
        while open.get() > 0 {
            ringway_ring::sleep(Duration::from_millis(1)).await;
        }
        total.get()
    });
    finish(sending);
    assert_eq!(finish(receiving), SOCKETS * 40_000);
    if backend() == Backend::IoUring {
        assert!(counters.overflows.value() > 0, "nothing overflowed");
    }
    assert!(counters.ticks.counts().sum::<u64>() > 0, "no tick was timed");
}

#[test]
fn a_slow_consumer_stops_its_producer() {
    for mode in [ReadMode::Head, ReadMode::Body] {
        shard(Config { head_buffers: 64, body_buffers: 64, ..SMALL }, move || async move {
            let (one, other) = socketpair();
            let (mut one, mut other) = (Stream::from_descriptor(one), Stream::from_descriptor(other));
            let chunk = bytes(0, 0, 10_000);
            // One chunk is taken; then nobody receives.
            other.write(chunk.clone());
            let first = one.recv(mode).await.expect("bytes").expect("bytes");
            let mut written = chunk.len();
            loop {
                other.write(chunk.clone());
                written += chunk.len();
                let mut deadline = ringway_ring::Timer::new();
                deadline.set(ringway_ring::now() + Duration::from_millis(200));
                let full = std::future::poll_fn(|cx| match other.poll_below(cx, 0) {
                    std::task::Poll::Ready(result) => std::task::Poll::Ready(result.is_err()),
                    std::task::Poll::Pending => deadline.poll(cx).map(|()| true),
                });
                if full.await {
                    break;
                }
                assert!(written < 8 << 20, "{mode:?}: the producer is never stopped");
            }
            // Most of the buffers stay for the others.
            let (heads, bodies) = ringway_ring::free_buffers();
            assert!(heads >= 64 - 40 && bodies >= 32, "{mode:?}: {heads} and {bodies} buffers are free");
            // And nothing is lost when the consumer goes on.
            ringway_ring::spawn(async move { other.flush().await.expect("somebody receives") });
            let mut received = first.len();
            drop(first);
            while let Some(chunk) = one.recv(mode).await.expect("no failure") {
                received += chunk.len();
            }
            assert_eq!(received, written);
        });
    }
}
