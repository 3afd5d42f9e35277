//! Seeds, one scenario each. `RINGWAY_SEEDS=N` runs N of them, `RINGWAY_SEED=S` runs one again.

use std::future::poll_fn;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::task::Poll;

use super::scenario::{self, Case, Kind};
use crate::Config;
use crate::core::Core;
use crate::counters::Counters;
use crate::kernel::Kernel;
use crate::kernel::scripted::{Random, Scripted, World};

const SEEDS: u64 = if cfg!(miri) { 4 } else { 1_000 };

#[test]
fn everything_at_once_keeps_every_promise() {
    run_seeds(None);
}

#[test]
fn receivers_see_every_byte_in_order_and_then_the_end() {
    run_seeds(Some(Kind::Receive));
}

#[test]
fn senders_hand_over_every_byte_in_order_until_they_fail() {
    run_seeds(Some(Kind::Send));
}

#[test]
fn relays_pass_leases_on_without_a_copy_or_a_loss() {
    run_seeds(Some(Kind::Relay));
}

#[test]
fn accepted_connections_come_in_order_and_errors_do_not_stop_them() {
    run_seeds(Some(Kind::Accept));
}

#[test]
#[cfg_attr(miri, ignore = "makes real sockets")]
fn attempts_to_connect_end_as_they_must_or_in_time() {
    run_seeds(Some(Kind::Connect));
}

#[test]
fn a_bell_is_rung_again_until_the_kernel_has_the_memory() {
    assert_eq!(ring_bells(&[libc::ENOMEM, libc::EOVERFLOW, libc::ENOMEM], &[7]), [7]);
    assert_eq!(ring_bells(&[libc::ENOMEM, libc::EAGAIN], &[0, 7, 8]), [8, 0, 7], "each of its own");
}

#[test]
fn a_bell_of_a_shard_that_is_gone_is_rung_once() {
    // The first fails for good, and the second rings.
    assert_eq!(ring_bells(&[libc::EBADFD], &[7, 8]), [8]);
    assert_eq!(ring_bells(&[libc::EBADF, libc::EOWNERDEAD], &[7, 8, 9]), [9]);
}

/// Rings the bells of `rings` while the kernel fails with `errors`, and returns those that rang.
fn ring_bells(errors: &[i32], rings: &[RawFd]) -> Vec<RawFd> {
    let world = World::new(1);
    world.borrow_mut().bell_errors.extend(errors);
    let kernel = Kernel::Scripted(Scripted::new(&world));
    let core = Core::new(kernel, &Config::default(), true, Arc::default()).expect("memory and an eventfd");
    let rings = rings.to_vec();
    let main = || async move {
        rings.iter().for_each(|ring| Core::current().ring_bell_of(*ring));
        // More ticks than there are errors.
        for _ in 0..16 {
            yield_once().await;
        }
    };
    core.run(main).expect("a scripted kernel does not fail");
    assert!(world.borrow().bell_errors.is_empty(), "every error was met");
    let rung = std::mem::take(&mut world.borrow_mut().rung);
    drop(core);
    rung
}

/// Ready when it is polled again.
async fn yield_once() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Runs seeds until one fails, and names that one.
fn run_seeds(only: Option<Kind>) {
    let number = |name| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let (first, count) = match number("RINGWAY_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("RINGWAY_SEEDS").unwrap_or(SEEDS)),
    };
    for seed in first..first + count {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| run_seed(seed, only))) {
            eprintln!("seed {seed} failed; run it again with RINGWAY_SEED={seed}");
            resume_unwind(payload);
        }
    }
}

fn run_seed(seed: u64, only: Option<Kind>) {
    let mut random = Random::new(seed);
    let config = Config {
        head_buffers: 4 << random.below(3),
        head_buffer_bytes: 16 << random.below(3),
        body_buffers: 4 << random.below(3),
        body_buffer_bytes: 32 << random.below(3),
        pool_bytes_max: 0,
        ..Config::default()
    };
    crate::buffers::pool::keep_at_most(config.pool_bytes_max);
    let bundles = random.one_in(2);
    let counters = Arc::new(Counters::default());
    let world = World::new(random.next());
    let kernel = Kernel::Scripted(Scripted::new(&world));
    let core = Core::new(kernel, &config, bundles, Arc::clone(&counters)).expect("memory and an eventfd");
    let case = Case::new(&world, random.next(), only);
    core.run(|| scenario::main(case.clone())).expect("a scripted kernel does not fail");
    world.borrow().finish();
    assert_eq!(counters.panics.value(), case.panics_on_purpose(), "a task panicked that should not have");
    assert_eq!(counters.sockets_open.value(), 0);
    drop(core);
}
