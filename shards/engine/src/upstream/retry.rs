//! When a request may be sent again: how often, how soon, and with what body.

use std::cell::Cell;
use std::time::Duration;

use plan::Retry as Policy;
use ring::{Buffer, Instant};
use wire::BodyLength;

use crate::exchange::Request;
use crate::random::Random;

/// Millionths of a retry: the unit in which a budget is kept, so that shares and rates are exact.
const RETRY: u64 = 1_000_000;
/// Retries that quiet times save up beyond a second's minimum.
const SAVED_MAX: u64 = 100;
/// Room of a copy whose length is not known.
const COPY_ROOM_BYTES: usize = 4096;

/// How many retries the upstream can bear: a share of the requests, plus a few a second (Finagle's `RetryBudget`). Where all
/// fails, retries then cost little more than that share, and do not bury what is about to recover.
#[derive(Debug)]
pub(super) struct Budget {
    saved: Cell<u64>,
    refilled: Cell<Instant>,
}

impl Budget {
    pub(super) fn new(policy: &Policy, now: Instant) -> Budget {
        Budget { saved: Cell::new(u64::from(policy.budget_min_per_s) * RETRY), refilled: Cell::new(now) }
    }

    /// A request earns its share of a retry.
    pub(super) fn earn(&self, policy: &Policy) {
        self.add(policy, u64::from(policy.budget_percent) * RETRY / 100);
    }

    /// Takes a retry, if one is left.
    pub(super) fn spend(&self, policy: &Policy, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.refilled.replace(now)).min(Duration::from_secs(10));
        self.add(policy, elapsed.as_micros() as u64 * u64::from(policy.budget_min_per_s));
        let Some(left) = self.saved.get().checked_sub(RETRY) else { return false };
        self.saved.set(left);
        true
    }

    fn add(&self, policy: &Policy, amount: u64) {
        let saved_max = (u64::from(policy.budget_min_per_s) + SAVED_MAX) * RETRY;
        self.saved.set((self.saved.get() + amount).min(saved_max));
    }
}

/// The pause before the `retry`-th retry, counted from 1: a random part of a time that doubles ("full jitter", Brooker,
/// "Exponential Backoff And Jitter", 2015), so that requests which failed together do not return together.
pub(super) fn backoff(policy: &Policy, retry: u8, random: &mut Random) -> Duration {
    let whole = policy.backoff_base.saturating_mul(1 << (retry - 1).min(20)).min(policy.backoff_max);
    let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX - 1);
    Duration::from_micros(random.below(micros + 1))
}

/// What was passed on of a request's body, kept so that it can be sent again.
#[derive(Debug)]
pub(crate) struct Replay {
    copy: Option<Buffer>,
    /// Bytes that are kept at most; 0 keeps none.
    room: usize,
    /// Something has passed that is not in the copy.
    is_broken: bool,
}

impl Replay {
    /// A copy is made only where it can be of use, and of bodies that fit.
    pub(crate) fn new(policy: &Policy, request: &Request) -> Replay {
        let is_useful = policy.attempts > 1 && request.head.method().is_idempotent();
        let room_max = policy.body_bytes_max as usize;
        let room = match request.head.body() {
            BodyLength::Exact(length) if length <= room_max as u64 && is_useful => length as usize,
            BodyLength::Chunked if is_useful => room_max,
            _ => 0,
        };
        Replay { copy: None, room, is_broken: false }
    }

    /// Whether the body has to be seen, because a copy is kept of it.
    pub(crate) fn is_recording(&self) -> bool {
        self.room > 0 && !self.is_broken
    }

    /// Whether everything that was passed on could be sent again.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_broken
    }

    /// What has passed, to be sent again.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.copy.as_ref().map_or(&[], |copy| copy)
    }

    /// Takes note of data that is passed on.
    pub(crate) fn record(&mut self, data: &[u8]) {
        if self.is_broken || data.is_empty() {
            return;
        }
        if self.bytes().len() + data.len() > self.room {
            return self.break_off();
        }
        let room = self.room.min(COPY_ROOM_BYTES.max(data.len()));
        self.copy.get_or_insert_with(|| Buffer::with_room(room)).extend_from_slice(data);
    }

    /// Takes note of data that passes unseen.
    pub(crate) fn break_off(&mut self) {
        self.is_broken = true;
        self.copy = None;
    }
}

#[cfg(test)]
mod tests {
    use wire::h1::{Parsed, parse_request};
    use wire::{Limits, RequestHead};

    use super::*;

    fn spend_all(budget: &Budget, policy: &Policy, now: Instant) -> u32 {
        (0..).take_while(|_| budget.spend(policy, now)).count() as u32
    }

    #[test]
    fn the_budget_is_a_share_of_the_requests_and_a_few_a_second() {
        let policy = Policy { budget_percent: 20, budget_min_per_s: 5, ..Policy::default() };
        let start = Instant::now();
        let budget = Budget::new(&policy, start);
        assert_eq!(spend_all(&budget, &policy, start), 5);
        (0..50).for_each(|_| budget.earn(&policy));
        assert_eq!(spend_all(&budget, &policy, start), 10);
        assert_eq!(spend_all(&budget, &policy, start + Duration::from_secs(2)), 10);
        (0..1_000_000).for_each(|_| budget.earn(&policy));
        assert_eq!(spend_all(&budget, &policy, start + Duration::from_secs(2)), 105, "what is saved up has a limit");
    }

    #[test]
    fn no_budget_is_no_retry() {
        let policy = Policy { budget_percent: 0, budget_min_per_s: 0, ..Policy::default() };
        let budget = Budget::new(&policy, Instant::now());
        budget.earn(&policy);
        assert!(!budget.spend(&policy, Instant::now() + Duration::from_secs(100)));
    }

    #[test]
    fn pauses_double_up_to_their_limit_and_are_spread() {
        let policy = Policy::default();
        let mut random = Random::with_seed(5);
        for (retry, limit_ms) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (7, 250)] {
            let pauses: Vec<_> = (0..200).map(|_| backoff(&policy, retry, &mut random)).collect();
            let limit = Duration::from_millis(limit_ms);
            assert!(pauses.iter().all(|pause| *pause <= limit), "retry {retry}");
            assert!(
                pauses.iter().any(|pause| *pause > limit * 8 / 10) && pauses.iter().any(|pause| *pause < limit / 5)
            );
        }
    }

    fn replay(method: &str, framing: &str) -> Replay {
        let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
        let mut head = RequestHead::new();
        assert!(matches!(parse_request(bytes.as_bytes(), &Limits::default(), &mut head), Ok(Parsed::Complete(_))));
        let policy = Policy { body_bytes_max: 10, ..Policy::default() };
        Replay::new(&policy, &Request { head, ..Request::default() })
    }

    #[test]
    fn bodies_that_fit_are_kept() {
        for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
            let mut replay = replay("PUT", framing);
            replay.record(b"01234");
            replay.record(b"56789");
            assert!(replay.is_whole() && replay.is_recording());
            assert_eq!(replay.bytes(), b"0123456789");
        }
    }

    #[test]
    fn others_are_not_and_can_be_sent_again_only_before_their_first_byte() {
        for (method, framing, is_recording) in [
            ("PUT", "Content-Length: 11", false),
            ("POST", "Content-Length: 5", false),
            ("PUT", "Transfer-Encoding: chunked", true),
        ] {
            let mut replay = replay(method, framing);
            assert_eq!(replay.is_recording(), is_recording, "{method} {framing}");
            assert!(replay.is_whole());
            replay.record(b"01234567890");
            assert!(!replay.is_whole() && !replay.is_recording() && replay.bytes().is_empty());
        }
    }
}
