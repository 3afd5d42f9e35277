//! The relay: both directions of one exchange, driven by one poll.

use std::task::{Context, Poll};

use plan::Plan;
use ring::{Chunk, Instant, SpliceError};
use wire::{FieldName, ResponseHead};

use super::passage::{Passage, Passed};
use super::proxy::{Attempt, Proxy};
use super::timing::{Standing, Timing, WaitsFor};
use crate::deadline::Deadline;
use crate::exchange::Request;
use crate::filter;
use crate::outcome::{Error, Kind, Limit, Side};
use crate::route;
use crate::streams::{BodyPart, Downstream, HeadKind, Upstream};
use crate::upstream::retry::Replay;

/// Both directions of one exchange, driven together.
pub(super) struct Relay<'a, D, U> {
    plan: &'a Plan,
    proxy: &'a Proxy<'a>,
    asked: &'a Request,
    down: &'a mut D,
    up: &'a mut U,
    deadline: &'a mut Deadline,
    attempt: Attempt<'a>,
    /// What earlier attempts, and this one, have taken of the request's body.
    replay: &'a mut Replay,
    /// Whether what earlier attempts took is still to be sent.
    replays: bool,
    request: Direction,
    response: Direction,
    request_splice: Passage,
    response_splice: Passage,
    /// Bytes of the request's body that were passed on.
    body_bytes: u64,
    timing: Timing<'a>,
    /// When the request's head was sent, and when its end was.
    began: Instant,
    sent: Instant,
    /// Whether anything has moved since the timing was asked.
    progress: bool,
}

/// How an exchange with a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The response has been passed on whole.
    Whole,
    /// The answer that leaves HTTP has been passed on: what follows is a tunnel.
    Switched,
    /// Nothing of the answer was passed on: the request is sent to another server.
    Withheld,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    /// The response's head is awaited.
    Head,
    Body,
    Over,
    /// The response is not passed on.
    Withheld,
    /// The upstream takes no more of the request; its answer may still come.
    Refused,
    /// The upstream has left HTTP, and the client has been told: what follows is a tunnel.
    Switched,
}

impl<'a, D: Downstream, U: Upstream> Relay<'a, D, U> {
    pub(super) fn new(
        proxy: &'a Proxy<'a>,
        request: &'a Request,
        down: &'a mut D,
        up: &'a mut U,
        deadline: &'a mut Deadline,
        replay: &'a mut Replay,
        attempt: Attempt<'a>,
    ) -> Relay<'a, D, U> {
        let has_body = request.head.body() != wire::BodyLength::None;
        let now = ring::now();
        Relay {
            plan: proxy.plan,
            proxy,
            asked: request,
            down,
            up,
            deadline,
            attempt,
            replays: !replay.bytes().is_empty(),
            body_bytes: replay.bytes().len() as u64,
            replay,
            request: if has_body { Direction::Body } else { Direction::Over },
            response: Direction::Head,
            request_splice: Passage::default(),
            response_splice: Passage::default(),
            timing: Timing::new(proxy.plan, proxy.pool.policy()),
            began: now,
            sent: now,
            progress: false,
        }
    }

    /// The request was sent before its answer's turn came.
    pub(super) fn sent_at(&mut self, sent: Instant) {
        (self.began, self.sent) = (sent, sent);
    }

    /// Ready when the response has been passed on whole, or is not to be passed on.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Ended, Error>> {
        // The request first: so that its end is not later than an answer to it (an early answer costs the connection).
        let request = if self.request == Direction::Body { self.poll_request(cx)? } else { None };
        let response = self.poll_response(cx)?;
        self.up.flush();
        self.down.flush();
        let Some(response) = response else {
            return Poll::Ready(Ok(match self.response {
                Direction::Withheld => Ended::Withheld,
                Direction::Switched => Ended::Switched,
                _ => {
                    self.attempt.pool.measure_total(self.began);
                    Ended::Whole
                }
            }));
        };
        if self.request != Direction::Body
            && let Poll::Ready(error) = self.down.poll_failed(cx)
        {
            return Poll::Ready(Err(error));
        }
        let standing = Standing {
            request,
            response,
            request_bytes: self.body_bytes,
            response_bytes: self.down.body_bytes_sent(),
            progress: std::mem::take(&mut self.progress),
        };
        self.timing.poll(cx, self.deadline, &standing).map(Err)
    }

    /// Moves the request's body as far as it goes, and tells whom it waits for then.
    fn poll_request(&mut self, cx: &Context<'_>) -> Result<Option<WaitsFor>, Error> {
        if std::mem::take(&mut self.replays) {
            self.up.send_data(Chunk::copy_of(self.replay.bytes()))?;
        }
        loop {
            // A body of which a copy is kept has to be seen.
            let passed = match self.replay.is_recording() {
                true => Passed::Nothing,
                false => self.request_splice.poll(cx, self.down, self.up, self.plan.shards.splice_bytes_min),
            };
            if self.request_splice.has_begun() {
                self.replay.break_off();
            }
            match passed {
                Passed::Nothing => {}
                Passed::Some(bytes) => {
                    self.progress = true;
                    self.count_request(bytes)?;
                    continue;
                }
                Passed::Waits { for_sink } => {
                    return Ok(Some(if for_sink { WaitsFor::UpstreamRoom } else { WaitsFor::ClientBody }));
                }
                // As below: the response decides.
                Passed::Failed(SpliceError::Sink(_)) => {
                    self.request = Direction::Refused;
                    return Ok(None);
                }
                Passed::Failed(SpliceError::Source(error)) => return Err(Error::client_gone(error)),
                Passed::Broken(error) => return Err(error),
            }
            match self.up.poll_writable(cx) {
                Poll::Pending => return Ok(Some(WaitsFor::UpstreamRoom)),
                // It may have answered before it hung up: the response decides.
                Poll::Ready(Err(_)) => {
                    self.request = Direction::Refused;
                    return Ok(None);
                }
                Poll::Ready(Ok(())) => {}
            }
            let Poll::Ready(part) = self.down.poll_body(cx) else {
                // A chunk may have been announced.
                self.count_request(0)?;
                return Ok(Some(WaitsFor::ClientBody));
            };
            self.progress = true;
            match part? {
                BodyPart::Data(data) => {
                    self.count_request(data.len())?;
                    self.replay.record(&data);
                    self.up.send_data(data)?;
                }
                BodyPart::End => {
                    let passes = |trailers: &&_| filter::passes_trailers(&self.proxy.route.filters.request, trailers);
                    self.up.finish(self.down.trailers().filter(passes))?;
                    self.request = Direction::Over;
                    self.sent = ring::now();
                    return Ok(None);
                }
            }
        }
    }

    /// Holds the body to its limit, with what is announced of it: the rest of a chunk too large needs not be awaited.
    fn count_request(&mut self, bytes: usize) -> Result<(), Error> {
        self.body_bytes += bytes as u64;
        if self.body_bytes.saturating_add(self.down.run_bytes()) > self.plan.limits.body_bytes_max {
            return Err(Error::new(Side::Client, Kind::TooLarge, 413).by(Limit::BodyBytes));
        }
        Ok(())
    }

    /// Moves the response as far as it goes, and tells whom it waits for then; `None` once it is over.
    fn poll_response(&mut self, cx: &Context<'_>) -> Result<Option<WaitsFor>, Error> {
        while self.response == Direction::Head {
            let Poll::Ready(kind) = self.up.poll_head(cx) else { return Ok(Some(WaitsFor::UpstreamHead)) };
            self.progress = true;
            let kind = kind?;
            let length = self.up.body_length();
            let (head, bytes) = self.up.response();
            if kind != HeadKind::Informational {
                self.attempt.judge.measure_head(self.sent);
                route::check_switch(self.asked, head, bytes)?;
            }
            let mut filtered = self.proxy.shard.filtered_edits.borrow_mut();
            match kind {
                HeadKind::Informational => self.down.send_informational(head, bytes),
                HeadKind::Switched => {
                    self.proxy.keep(self.asked, head, bytes);
                    self.down.switch(head, bytes, self.proxy.response_edits(self.asked, &mut filtered));
                    self.response = Direction::Switched;
                    return Ok(None);
                }
                HeadKind::Final => {
                    if self.attempt.withholds(head.status(), self.replay.is_whole()) {
                        self.response = Direction::Withheld;
                        return Ok(None);
                    }
                    if is_stream(head, bytes) {
                        self.proxy.is_stream.set(true);
                        self.timing.stream(self.proxy.route.streams, self.began);
                    }
                    self.proxy.keep(self.asked, head, bytes);
                    let edits = self.proxy.response_edits(self.asked, &mut filtered);
                    self.down.send_head(head, bytes, edits, length);
                    self.response = Direction::Body;
                }
            }
        }
        loop {
            match self.response_splice.poll(cx, self.up, self.down, self.plan.shards.splice_bytes_min) {
                Passed::Nothing => {}
                Passed::Some(_) => {
                    self.progress = true;
                    continue;
                }
                Passed::Waits { for_sink } => {
                    return Ok(Some(if for_sink { WaitsFor::ClientRoom } else { WaitsFor::UpstreamBody }));
                }
                Passed::Failed(SpliceError::Sink(error)) => return Err(Error::client_gone(error)),
                Passed::Failed(SpliceError::Source(_)) => return Err(Error::UPSTREAM_GONE),
                Passed::Broken(error) => return Err(error),
            }
            if self.down.poll_writable(cx)?.is_pending() {
                return Ok(Some(WaitsFor::ClientRoom));
            }
            let Poll::Ready(part) = self.up.poll_body(cx) else { return Ok(Some(WaitsFor::UpstreamBody)) };
            self.progress = true;
            match part? {
                BodyPart::Data(data) => self.down.send_data(data)?,
                BodyPart::End => {
                    self.down.finish(self.up.trailers())?;
                    self.response = Direction::Over;
                    return Ok(None);
                }
            }
        }
    }
}

/// Whether an answer is a stream of events: server-sent events, or what GraphQL sends to who has subscribed.
fn is_stream(head: &ResponseHead, bytes: &[u8]) -> bool {
    let Some(value) = head.value(FieldName::ContentType, bytes) else { return false };
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"text/event-stream"[..], b"multipart/mixed"].iter().any(|stream| essence.eq_ignore_ascii_case(stream))
}
