//! How long an exchange may wait, and for whom: bodies that stand still, and bodies that crawl.

use std::task::{Context, Poll};
use std::time::Duration;

use plan::{Plan, Streams, Upstream as Policy};
use ring::Instant;

use crate::deadline::Deadline;
use crate::outcome::{Error, Kind, Limit, Side};

/// A stream of events lasted for as long as its route lets it.
const STREAM_OVER: Error = Error::new(Side::Ringway, Kind::TimedOut, 504).by(Limit::StreamTime);

/// Whom one direction of an exchange waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// The client, to send more of the request.
    ClientBody,
    /// The client, to take more of the response.
    ClientRoom,
    /// The upstream, to take more of the request.
    UpstreamRoom,
    /// The upstream, to answer.
    UpstreamHead,
    /// The upstream, to send more of the response.
    UpstreamBody,
}

/// Where an exchange stands that can do nothing but wait.
pub(super) struct Standing {
    /// Whom the request waits for, unless it is over.
    pub(super) request: Option<WaitsFor>,
    pub(super) response: WaitsFor,
    /// Bytes of the request's body that have passed so far.
    pub(super) request_bytes: u64,
    /// Bytes of the response's body that have passed so far.
    pub(super) response_bytes: u64,
    /// Whether anything has moved since the last time.
    pub(super) progress: bool,
}

/// The clocks of one exchange.
pub(super) struct Timing<'a> {
    plan: &'a Plan,
    policy: &'a Policy,
    /// The limits of an answer that is a stream of events, and when it must be over, if ever.
    stream: Option<(Streams, Option<Instant>)>,
    /// Who must stir, and until when.
    idle: Option<(WaitsFor, Instant)>,
    request: Pace,
    response: Pace,
}

impl<'a> Timing<'a> {
    pub(super) fn new(plan: &'a Plan, policy: &'a Policy) -> Timing<'a> {
        let grace = plan.timeouts.body_rate_grace;
        Timing { plan, policy, stream: None, idle: None, request: Pace::new(grace), response: Pace::new(grace) }
    }

    /// The answer is a stream of events, to a request that was sent then.
    pub(super) fn stream(&mut self, limits: Streams, began: Instant) {
        self.stream = Some((limits, (!limits.total.is_zero()).then(|| began + limits.total)));
    }

    /// Ready with what is wrong once somebody has taken too long.
    pub(super) fn poll(&mut self, cx: &Context<'_>, deadline: &mut Deadline, standing: &Standing) -> Poll<Error> {
        let (mut due, mut late) = self.idle_due(standing);
        let is_stream = self.stream.is_some();
        let mut error: fn(WaitsFor) -> Error = if is_stream { stream_idle } else { too_idle };
        let grace = self.plan.timeouts.body_rate_grace;
        let directions = [
            (&mut self.request, standing.request, standing.request_bytes),
            (&mut self.response, Some(standing.response), standing.response_bytes),
        ];
        for (pace, waits_for, bytes) in directions {
            let Some(waits_for) = waits_for else { continue };
            let rate = match (waits_for, self.stream) {
                // It trickles as events happen.
                (WaitsFor::UpstreamBody, Some(_)) => 0,
                _ => rate(self.plan, self.policy, waits_for),
            };
            match pace.due(rate, bytes, grace) {
                // Not left to the timer, which would be set anew by every byte that comes too late.
                Some(at) if at <= ring::now() => return Poll::Ready(too_slow(waits_for)),
                Some(at) if at < due => (due, late, error) = (at, waits_for, too_slow),
                _ => {}
            }
        }
        if let Some((_, Some(end))) = self.stream {
            if end <= ring::now() {
                return Poll::Ready(STREAM_OVER);
            }
            if end < due {
                (due, error) = (end, |_| STREAM_OVER);
            }
        }
        deadline.set_at(due);
        deadline.poll(cx).map(|()| error(late))
    }

    /// A wait's limit counts from the last progress, or from the moment at which it became a wait for somebody else. While
    /// the request is under way and the answer is not, it is the request that is waited for.
    fn idle_due(&mut self, standing: &Standing) -> (Instant, WaitsFor) {
        let waits_for = match (standing.request, standing.response) {
            (Some(request), WaitsFor::UpstreamHead) => request,
            (_, response) => response,
        };
        let due = match self.idle {
            Some((same, due)) if same == waits_for && !standing.progress => due,
            _ => ring::now() + self.idle_limit(waits_for),
        };
        self.idle = Some((waits_for, due));
        (due, waits_for)
    }

    fn idle_limit(&self, waits_for: WaitsFor) -> Duration {
        match waits_for {
            WaitsFor::ClientBody | WaitsFor::ClientRoom => self.plan.timeouts.body_idle,
            WaitsFor::UpstreamBody => self.stream.map_or(self.policy.body_idle_timeout, |(limits, _)| limits.idle),
            WaitsFor::UpstreamRoom => self.policy.body_idle_timeout,
            WaitsFor::UpstreamHead => self.policy.head_timeout,
        }
    }
}

/// Bytes a second that are to be expected of whom we wait for.
fn rate(plan: &Plan, policy: &Policy, waits_for: WaitsFor) -> u32 {
    match waits_for {
        WaitsFor::ClientBody | WaitsFor::ClientRoom => plan.limits.body_rate_min,
        WaitsFor::UpstreamRoom | WaitsFor::UpstreamBody => policy.body_rate_min,
        WaitsFor::UpstreamHead => 0,
    }
}

fn too_idle(waits_for: WaitsFor) -> Error {
    match waits_for {
        WaitsFor::ClientBody | WaitsFor::ClientRoom => client_timeout().by(Limit::BodyIdle),
        WaitsFor::UpstreamRoom | WaitsFor::UpstreamBody => upstream_timeout().by(Limit::UpstreamBodyIdle),
        WaitsFor::UpstreamHead => upstream_timeout().by(Limit::UpstreamHead),
    }
}

fn stream_idle(waits_for: WaitsFor) -> Error {
    match waits_for {
        WaitsFor::UpstreamBody => upstream_timeout().by(Limit::StreamIdle),
        _ => too_idle(waits_for),
    }
}

fn too_slow(waits_for: WaitsFor) -> Error {
    match waits_for {
        WaitsFor::ClientBody | WaitsFor::ClientRoom => client_timeout().by(Limit::BodyRate),
        _ => upstream_timeout().by(Limit::UpstreamBodyRate),
    }
}

fn client_timeout() -> Error {
    Error::new(Side::Client, Kind::TimedOut, 408)
}

fn upstream_timeout() -> Error {
    Error::new(Side::Upstream, Kind::TimedOut, 504)
}

/// The pace of one direction's body, as a bucket of time: it leaks while a peer that is held to a rate is waited for, and each
/// byte that comes pours in the time that it may take. It begins full, with the grace, and never holds more, so that a fast
/// beginning does not pay for a slow end.
#[derive(Debug)]
struct Pace {
    left_us: u64,
    /// Bytes that were counted.
    bytes: u64,
    /// Since when somebody is waited for.
    since: Option<Instant>,
    /// That peer's rate.
    rate: u32,
}

impl Pace {
    fn new(grace: Duration) -> Pace {
        Pace { left_us: grace.as_micros() as u64, bytes: 0, since: None, rate: 0 }
    }

    /// Until when the next byte must come, now that `bytes` have come and a peer with this rate is waited for; `None` if
    /// there is nothing to demand. Before the first byte there is not: a client may be waiting for 100 (Continue), an
    /// upstream for something to say, and how long that may take is a limit of its own.
    fn due(&mut self, rate: u32, bytes: u64, grace: Duration) -> Option<Instant> {
        if bytes == 0 || (rate == 0 && self.since.is_none()) {
            return None;
        }
        self.due_at(rate, bytes, grace, ring::now())
    }

    fn due_at(&mut self, rate: u32, bytes: u64, grace: Duration, now: Instant) -> Option<Instant> {
        if let Some(since) = self.since.take() {
            let elapsed = now.saturating_duration_since(since);
            let allowed_us = (bytes - self.bytes).saturating_mul(1_000_000) / u64::from(self.rate);
            let left_us = allowed_us.saturating_add(self.left_us).saturating_sub(elapsed.as_micros() as u64);
            self.left_us = left_us.min(grace.as_micros() as u64);
        }
        self.bytes = bytes;
        if rate == 0 {
            return None;
        }
        (self.since, self.rate) = (Some(now), rate);
        Some(now + Duration::from_micros(self.left_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(10);

    #[test]
    fn who_keeps_the_rate_goes_on_and_who_does_not_has_the_grace() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let (mut fast, mut slow) = (Pace::new(GRACE), Pace::new(GRACE));
        for second in 0..1000 {
            let due = fast.due_at(240, 1 + 240 * second, GRACE, at(second));
            assert_eq!(due, Some(at(second + 10)), "the grace is untouched after {second} s");
        }
        let cut = (0..100).find(|second| slow.due_at(240, 1 + 120 * second, GRACE, at(*second)) <= Some(at(*second)));
        assert_eq!(cut, Some(20), "half the rate uses up the grace in twice its time");
    }

    #[test]
    fn a_fast_beginning_does_not_pay_for_a_slow_end() {
        let start = Instant::now();
        let mut pace = Pace::new(GRACE);
        pace.due_at(240, 1, GRACE, start);
        assert_eq!(pace.due_at(240, 1 << 30, GRACE, start), Some(start + GRACE));
    }

    #[test]
    fn waiting_for_somebody_without_a_rate_costs_nothing() {
        let start = Instant::now();
        let mut pace = Pace::new(GRACE);
        assert_eq!(pace.due_at(0, 1, GRACE, start), None);
        let later = start + Duration::from_secs(3600);
        assert_eq!(pace.due_at(240, 1, GRACE, later), Some(later + GRACE));
    }
}
