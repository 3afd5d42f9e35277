//! Real time.

use std::time::Duration;

use crate::{Random, SMALL, shard};
use ringway_ring::Instant;

#[test]
fn timers_are_never_early_and_not_much_too_late() {
    shard(SMALL, || async {
        let mut random = Random(5);
        for _ in 0..60 {
            let duration = Duration::from_micros(random.below(12_000) as u64);
            let due = Instant::now() + duration;
            ringway_ring::sleep_until(due).await;
            let late = Instant::now().checked_duration_since(due).expect("not early");
            // A loaded machine may take its time, but not this much.
            assert!(late < Duration::from_secs(2), "{late:?} late");
        }
    });
}

#[test]
fn a_timer_set_by_a_limit_is_never_early() {
    shard(SMALL, || async {
        let mut random = Random(6);
        let mut timer = ringway_ring::Timer::new();
        for _ in 0..60 {
            let limit = Duration::from_micros(random.below(12_000) as u64);
            let start = ringway_ring::now();
            timer.set_after(limit);
            std::future::poll_fn(|cx| timer.poll(cx)).await;
            let took = ringway_ring::now().saturating_duration_since(start);
            assert!(took >= limit && took < Duration::from_secs(2), "{took:?} instead of {limit:?}");
        }
    });
}

#[test]
fn a_timer_that_is_set_nearer_rings_nearer() {
    shard(SMALL, || async {
        let start = Instant::now();
        let mut timer = ringway_ring::Timer::new();
        timer.set(start + Duration::from_secs(3600));
        // The kernel's alarm is set for the far end first.
        let mut polled = false;
        std::future::poll_fn(|cx| {
            if !std::mem::replace(&mut polled, true) {
                assert!(timer.poll(cx).is_pending());
                cx.waker().wake_by_ref();
                return std::task::Poll::Pending;
            }
            timer.set(start + Duration::from_millis(20));
            timer.poll(cx)
        })
        .await;
        assert!(start.elapsed() >= Duration::from_millis(20) && start.elapsed() < Duration::from_secs(60));
    });
}
