//! Shards on the real kernel, with memory that notices what no sanitizer sees: the kernel's own reads and writes.
//!
//! Every shard here runs on a thread of its own whose heap is guarded ([`guard`]): what is freed becomes unreadable at once,
//! so that an operation that still means it fails (EFAULT, which a debug build turns into a panic) or crashes the test.
//!
//! `RINGWAY_IO=epoll` runs them all on the other backend: each is the other's oracle.

mod connecting;
mod edges;
mod guard;
mod listening;
mod mailboxes;
mod scarcity;
mod splicing;
mod start;
mod timers;
mod transfer;

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use ringway_ring::{Backend, Buffer, Chunk, Config, Counters, ReadMode, Stream};

#[global_allocator]
static GUARD: guard::Guard = guard::Guard;

/// Few and small buffers, and no memory kept: what is freed is gone.
const SMALL: Config = Config {
    backend: Backend::Auto,
    submission_entries: 64,
    completion_entries: 256,
    head_buffers: 8,
    head_buffer_bytes: 512,
    body_buffers: 8,
    body_buffer_bytes: 4096,
    pool_bytes_max: 0,
    time_ticks: true,
};

/// The backend that is under test.
fn backend() -> Backend {
    match std::env::var("RINGWAY_IO").as_deref() {
        Err(_) | Ok("io_uring") => Backend::IoUring,
        Ok("epoll") => Backend::Epoll,
        Ok(other) => panic!("RINGWAY_IO={other}: expected io_uring or epoll"),
    }
}

/// Runs a shard on a thread with a guarded heap.
fn start_shard<F, M>(config: Config, counters: &Arc<Counters>, main: M) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: Send + 'static,
    M: FnOnce() -> F + Send + 'static,
{
    let counters = Arc::clone(counters);
    let config = Config { backend: backend(), ..config };
    std::thread::spawn(move || {
        guard::on_this_thread();
        let output = ringway_ring::run(&config, Arc::clone(&counters), |_| main()).expect("a ring");
        assert_eq!(counters.panics.value(), 0, "a task of the shard panicked");
        assert_eq!(counters.sockets_open.value(), 0, "sockets are left");
        output
    })
}

/// As [`start_shard`], and waits for its end.
fn shard<F, M>(config: Config, main: M) -> F::Output
where
    F: Future + 'static,
    F::Output: Send + 'static,
    M: FnOnce() -> F + Send + 'static,
{
    finish(start_shard(config, &Arc::default(), main))
}

fn finish<T>(shard: JoinHandle<T>) -> T {
    shard.join().unwrap_or_else(|payload| std::panic::resume_unwind(payload))
}

/// Runs `body` in a process of its own, which runs this test alone: for what concerns the whole process.
fn in_child(test: &str, body: impl FnOnce()) {
    const CHILD: &str = "RINGWAY_TEST_CHILD";
    if std::env::var_os(CHILD).is_some_and(|child| child == test) {
        return body();
    }
    let program = std::env::current_exe().expect("this test's path");
    let output =
        Command::new(program).args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, test).output();
    let output = output.expect("this test can be started");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{test} in a process of its own: {text}");
}

/// Two connected sockets.
fn socketpair() -> (OwnedFd, OwnedFd) {
    let (one, other) = UnixStream::pair().expect("a socketpair");
    (one.into(), other.into())
}

/// The byte at `offset` of a stream, which has no short period.
fn byte_at(stream: usize, offset: usize) -> u8 {
    let mixed = (offset as u32 ^ (stream as u32) << 27).wrapping_mul(0x9E37_79B1);
    (mixed >> 24) as u8
}

/// Bytes of a stream, from `offset` on.
fn bytes(stream: usize, offset: usize, len: usize) -> Chunk {
    let mut buffer = Buffer::with_room(len);
    buffer.extend((offset..offset + len).map(|at| byte_at(stream, at)));
    buffer.freeze()
}

fn verify(chunk: &[u8], stream: usize, offset: usize) {
    for (at, byte) in (offset..).zip(chunk) {
        assert_eq!(*byte, byte_at(stream, at), "byte {at} of stream {stream}");
    }
}

/// Writes `len` bytes of a stream in pieces, at most 64 KiB ahead of the kernel.
async fn send_all(socket: &mut Stream, stream: usize, len: usize, random: &mut Random) -> std::io::Result<()> {
    let mut sent = 0;
    while sent < len {
        for _ in 0..random.below(3) + 1 {
            let piece = (random.below(20_000) + 1).min(len - sent);
            socket.write(bytes(stream, sent, piece));
            sent += piece;
        }
        std::future::poll_fn(|cx| socket.poll_below(cx, 64 << 10)).await?;
    }
    socket.flush().await
}

/// Receives to the end, switching between the ways of receiving, and checks every byte. Returns how many came.
async fn receive_all(socket: &mut Stream, stream: usize, random: &mut Random) -> std::io::Result<usize> {
    let (mut received, mut mode) = (0, ReadMode::Head);
    loop {
        if random.below(6) == 0 {
            mode = if mode == ReadMode::Head { ReadMode::Body } else { ReadMode::Head };
        }
        let Some(chunk) = socket.recv(mode).await? else { return Ok(received) };
        verify(&chunk, stream, received);
        received += chunk.len();
    }
}

/// Numbers that follow from a seed (xorshift64: Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
