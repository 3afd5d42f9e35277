//! `ringway profile`: where the threads of this worker spend their time, sampled by itself while it serves.
//!
//! The kernel samples: a perf event for each thread that is there (perf_event_open(2), by the crate `perf-event2`) interrupts
//! it so many times a second of its own CPU time and writes its stack, kernel and user, to a ring that a thread of its own
//! empties here ([`sampler`]). No signal is sent and no handler runs in a shard: what is interrupted in the middle of
//! `io_uring_enter`, a lock or an allocation goes on where it was. User stacks are walked by frame pointers, which Ringway is
//! built with. [`tally`] counts the stacks within bounds; [`symbols`] gives their addresses names at the end; the answer is
//! folded text, and whoever asked draws it.
//!
//! Not the crate `pprof`: it unwinds within a handler of SIGPROF, which the unwinder of the C library is not safe for, interrupts
//! system calls of every shard, and sees nothing of the kernel, where nine tenths of the time go. Not `perf record -p`: it is
//! not installed where Ringway is, and a hardened service may start no programs. `bench/flame` uses it, on a workbench.
//!
//! While nobody asks, none of this exists. One profile is taken at a time, of bounded length, rate, memory and threads; it
//! ends early when whoever asked has gone.

mod sampler;
mod symbols;
mod tally;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, oneshot};

/// The longest profile. The admin API cuts connections off a little later.
pub(crate) const SECONDS_MAX: u32 = 60;
/// Samples a second and thread. The kernel lowers it by itself where sampling would take a quarter of the time
/// (`kernel.perf_cpu_time_max_percent`).
pub(crate) const FREQUENCY_MAX: u32 = 999;
/// A prime, so that nothing periodic is hit again and again.
pub(crate) const FREQUENCY_DEFAULT: u32 = 499;

/// What is to be sampled, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// 1 to [`SECONDS_MAX`].
    pub(crate) seconds: u32,
    /// Samples a second of a thread's CPU time, 1 to [`FREQUENCY_MAX`].
    pub(crate) frequency: u32,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// How long it took.
    pub(crate) seconds: f64,
    /// Samples a second of a thread's CPU time that were asked for.
    pub(crate) frequency: u32,
    /// What was counted: `cycles` of the processor, or `cpu-clock` where it counts none.
    pub(crate) event: String,
    /// Whether the kernel lets its own stacks be seen.
    pub(crate) kernel: bool,
    /// Threads that were sampled.
    pub(crate) threads: usize,
    /// Samples that are in the stacks.
    pub(crate) samples: u64,
    /// Samples that found no room.
    pub(crate) lost: u64,
    /// The stacks, `THREAD;FRAME;…;FRAME COUNT` a line, outermost frame first; a kernel's frames end with `_[k]`.
    pub(crate) folded: String,
}

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// One is being taken.
    #[error("a profile is being taken; one at a time")]
    Busy,
    /// The order is out of bounds.
    #[error("{0}")]
    Order(String),
    /// The kernel forbids it.
    #[error(
        "the kernel forbids sampling: {reason} (kernel.perf_event_paranoid is {paranoid}; it takes 2 or less, 1 or less to see the \
         kernel too, or the capability CAP_PERFMON, and a seccomp filter that lets perf_event_open pass)"
    )]
    Forbidden {
        /// What the system call says.
        reason: io::Error,
        /// The value of the knob, or that it cannot be read.
        paranoid: String,
    },
    /// The kernel cannot do it.
    #[error("this kernel cannot sample: {0}")]
    Unsupported(io::Error),
    /// Something else.
    #[error("the profile failed: {0}")]
    Failed(String),
}

/// Takes profiles, one at a time. A clone is the same profiler.
#[derive(Debug, Clone)]
pub(crate) struct Profiler {
    free: Arc<Semaphore>,
}

impl Order {
    /// The order in the query of a request: `seconds=10&frequency=499`, both of which may be left out.
    ///
    /// # Errors
    /// When something else stands there, or a number is out of bounds.
    pub(crate) fn of_query(query: Option<&str>) -> Result<Order, ProfileError> {
        let mut order = Order { seconds: 10, frequency: FREQUENCY_DEFAULT };
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (place, max) = match name {
                "seconds" => (&mut order.seconds, SECONDS_MAX),
                "frequency" => (&mut order.frequency, FREQUENCY_MAX),
                _ => return Err(ProfileError::Order(format!("there is no `{name}`; there are seconds and frequency"))),
            };
            let number = value.parse().ok().filter(|number| (1..=max).contains(number));
            *place =
                number.ok_or_else(|| ProfileError::Order(format!("{name}: expected a whole number, 1 to {max}")))?;
        }
        Ok(order)
    }
}

impl Profiler {
    /// One that is free.
    pub(crate) fn new() -> Profiler {
        Profiler { free: Arc::new(Semaphore::new(1)) }
    }

    /// Takes a profile. Dropped before its end, it ends within [`sampler::LOOK`].
    ///
    /// # Errors
    /// When one is being taken already, or the kernel does not let it.
    pub(crate) async fn take(&self, order: Order) -> Result<Profile, ProfileError> {
        let turn = Arc::clone(&self.free).try_acquire_owned().map_err(|_| ProfileError::Busy)?;
        let (told, result) = oneshot::channel();
        let sample = move || {
            let length = Duration::from_secs(order.seconds.into());
            let profile = sampler::sample(order.frequency, length, &|| told.is_closed());
            // Before the answer, so that whoever has it can ask for the next.
            drop(turn);
            // Nobody waits for it if the request was given up.
            let _ = told.send(profile);
        };
        let thread = std::thread::Builder::new().name(sampler::THREAD.to_owned()).spawn(sample);
        thread.map_err(|error| ProfileError::Failed(format!("no thread can be started: {error}")))?;
        tracing::info!(seconds = order.seconds, frequency = order.frequency, "taking a profile for the admin API");
        result.await.unwrap_or_else(|_| Err(ProfileError::Failed("its thread has ended; the log says why".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_read_and_kept_within_bounds() {
        let order = |query| Order::of_query(query).map_err(|error| error.to_string());
        assert_eq!(order(None), Ok(Order { seconds: 10, frequency: 499 }));
        assert_eq!(order(Some("seconds=60&frequency=1")), Ok(Order { seconds: 60, frequency: 1 }));
        for query in ["seconds=0", "seconds=61", "seconds=", "seconds=1.5", "seconds=-1", "frequency=1000", "seconds"] {
            assert!(order(Some(query)).unwrap_err().contains("expected a whole number, 1 to"), "{query}");
        }
        assert!(order(Some("hertz=9")).unwrap_err().contains("there is no `hertz`"));
    }

    #[tokio::test]
    async fn one_is_taken_at_a_time() {
        let profiler = Profiler::new();
        let _turn = Arc::clone(&profiler.free).try_acquire_owned().unwrap();
        let refused = profiler.clone().take(Order { seconds: 1, frequency: 99 }).await;
        assert!(matches!(refused, Err(ProfileError::Busy)), "{refused:?}");
    }
}
