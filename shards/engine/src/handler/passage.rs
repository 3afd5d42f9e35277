//! Large bodies that pass from socket to socket, unseen.

use std::task::{Context, Poll};

use ring::{Splice, SpliceError};

use crate::outcome::Error;
use crate::streams::{Sink, Source};

/// Bytes that one body may pass before the other tasks of the shard get their turn.
const TURN_BYTES_MAX: u32 = 1 << 20;

/// One body's way past us, run by run.
#[derive(Default)]
pub(super) struct Passage {
    splice: Option<Splice>,
    begun: bool,
    /// Bytes that passed since the body last had to wait.
    turn_bytes: u32,
    /// The system grants no pipe: this body is copied.
    closed: bool,
}

/// What came of a look at a [`Passage`].
pub(super) enum Passed {
    /// There is no run to pass: the next part is to be received and sent.
    Nothing,
    /// So many bytes have passed.
    Some(usize),
    /// Nothing can be done but wait.
    Waits { for_sink: bool },
    /// A connection failed.
    Failed(SpliceError),
    /// The run does not fit what was announced.
    Broken(Error),
}

impl Passage {
    /// Whether any byte may have been taken from the source.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    /// Passes on what it can, where a run has at least `run_bytes_min` data bytes.
    pub(super) fn poll<A: Source, B: Sink>(
        &mut self,
        cx: &Context<'_>,
        source: &mut A,
        sink: &mut B,
        run_bytes_min: u64,
    ) -> Passed {
        if self.splice.is_none() {
            if source.run_bytes() < run_bytes_min {
                return Passed::Nothing;
            }
            match self.begin(cx, source, sink) {
                Ok(Poll::Ready(true)) => {}
                Ok(Poll::Ready(false)) => return Passed::Nothing,
                Ok(Poll::Pending) => return Passed::Waits { for_sink: false },
                Err(error) => return Passed::Broken(error),
            }
        }
        let (Some(splice), Some(from), Some(to)) = (&mut self.splice, source.source(), sink.sink()) else {
            return Passed::Nothing;
        };
        if self.turn_bytes >= TURN_BYTES_MAX {
            self.turn_bytes = 0;
            cx.waker().wake_by_ref();
            return Passed::Waits { for_sink: splice.waits_for_sink() };
        }
        let bytes = match splice.poll(cx, from, to) {
            Poll::Ready(Ok(bytes)) => bytes,
            Poll::Ready(Err(error)) => return Passed::Failed(error),
            Poll::Pending => {
                self.turn_bytes = 0;
                return Passed::Waits { for_sink: splice.waits_for_sink() };
            }
        };
        self.turn_bytes += bytes as u32;
        let done = splice.is_done();
        source.pass(bytes);
        sink.count(bytes);
        if done {
            self.splice = None;
            sink.end_run();
        }
        Passed::Some(bytes)
    }

    /// Ready with whether a run has begun.
    fn begin<A: Source, B: Sink>(
        &mut self,
        cx: &Context<'_>,
        source: &mut A,
        sink: &mut B,
    ) -> Result<Poll<bool>, Error> {
        if self.closed || sink.sink().is_none() {
            return Ok(Poll::Ready(false));
        }
        let Poll::Ready(run) = source.poll_run(cx) else { return Ok(Poll::Pending) };
        if run == 0 {
            return Ok(Poll::Ready(false));
        }
        self.splice = Splice::new(run);
        self.closed = self.splice.is_none();
        if self.closed {
            return Ok(Poll::Ready(false));
        }
        self.begun = true;
        sink.begin_run(run)?;
        Ok(Poll::Ready(true))
    }
}
