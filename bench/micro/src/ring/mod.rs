//! `shards/ring`: a shard without sockets, on epoll, which valgrind knows.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ring::{Backend, Buffer, Config, Counters, Timer, now, spawn, yield_now};

/// Tasks that are ready in each round.
pub const TASKS: usize = 64;

/// Runs a shard that does `main`.
fn run<F: Future<Output = ()> + 'static>(main: impl FnOnce() -> F) {
    let config = Config { backend: Backend::Epoll, head_buffers: 16, body_buffers: 16, ..Config::default() };
    ring::run(&config, Arc::<Counters>::default(), |_| main()).expect("a shard on epoll");
}

/// So many rounds of the executor, each with [`TASKS`] tasks ready.
pub fn rounds(count: u64) {
    run(|| async move {
        let left = Rc::new(Cell::new(TASKS));
        for _ in 0..TASKS {
            let left = Rc::clone(&left);
            spawn(async move {
                for _ in 0..count {
                    yield_now().await;
                }
                left.set(left.get() - 1);
            });
        }
        while left.get() > 0 {
            yield_now().await;
        }
    });
}

/// So many tasks that are spawned and end.
pub fn spawns(count: u64) {
    run(|| async move {
        for _ in 0..count {
            spawn(async { _ = black_box(0) });
            yield_now().await;
        }
    });
}

/// So many deadlines: each is put into the wheel and taken out of it.
pub fn deadlines(count: u64) {
    run(|| async move {
        for index in 0..count {
            let mut timer = Timer::new();
            timer.set(now() + Duration::from_millis(5000 + index % 1000));
            black_box(std::future::poll_fn(|cx| std::task::Poll::Ready(timer.poll(cx).is_ready())).await);
        }
    });
}

/// So many times a deadline in the wheel that moves on, as every request moves the idle time-out.
pub fn postponements(count: u64) {
    run(|| async move {
        let mut timer = Timer::new();
        timer.set(now() + Duration::from_secs(5));
        black_box(std::future::poll_fn(|cx| std::task::Poll::Ready(timer.poll(cx).is_ready())).await);
        for index in 0..count {
            timer.set(now() + Duration::from_millis(5000 + index % 1000));
        }
    });
}

/// So many buffers of 4 KiB, taken from the pool, filled with a head, frozen, and given back.
pub fn buffers(count: u64) {
    run(|| async move {
        for _ in 0..count {
            let mut buffer = Buffer::with_room(black_box(4096));
            buffer.extend_from_slice(black_box(&[7; 256]));
            black_box(buffer.freeze());
        }
    });
}
