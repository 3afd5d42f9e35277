//! What a run leaves behind: distributions of times, counts of answers and errors, and a series over the run.
//!
//! Each thread fills its own [`Recorder`], which takes no lock and allocates nothing for a sample; at the end each becomes a
//! [`Recording`], and the recordings merge exactly, count by count. While the run lasts, [`Live`] shows the rest of the
//! program where it stands.
//!
//! **Time** is told in nanoseconds since the run's start, by the caller: there is no clock here. A latency counts from the
//! time at which its request was *due*. Where a schedule sets that time, a server that stalls is charged for the requests
//! that it kept from being sent ("coordinated omission"); the time from the sending alone is kept apart as the *service
//! time*, so that the difference can be seen. In a closed loop a request is due when it is sent, and the two are the same.
//!
//! **Only answers that were verified have a latency.** An answer with an unexpected status or body counts as an error, with
//! its status and its bytes; a server that fails fast does not look like a fast server.

mod distribution;
mod errors;
mod http2;
mod live;
mod recorder;
mod recording;
mod series;
mod statuses;

pub use distribution::{Band, Distribution, LATENCY_NS_MAX};
pub use errors::{ErrorCounts, ErrorKind};
pub use http2::Http2Counts;
pub use live::{Live, Progress, RECENT_ERROR_PERCENT};
pub use recorder::{Answer, Handshake, Loop, Recorder};
pub use recording::Recording;
pub use series::{POINTS_MAX, Point, Series};
pub use statuses::StatusCounts;

#[cfg(test)]
mod tests;
