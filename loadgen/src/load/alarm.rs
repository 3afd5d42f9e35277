//! An alarm clock for one thread, exact to microseconds: monoio's own timers go by milliseconds.

use std::{
    net::TcpStream as StdStream,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use monoio::net::TcpStream;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// Wakes the thread at a time.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    /// The timer's descriptor once more, in the one type whose readiness the runtime waits for. Nothing is read from it:
    /// setting the timer anew takes the readiness away.
    readiness: TcpStream,
}

impl Alarm {
    pub(crate) fn new() -> std::io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        let readiness = TcpStream::from_std(StdStream::from(timer.try_clone()?))?;
        Ok(Self { timer, readiness })
    }

    /// Waits until `time`, or not at all if it has passed.
    pub(crate) async fn until(&self, time: Instant) -> std::io::Result<()> {
        // A timer that is set to zero would never go off.
        let left = time.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let value = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        timerfd_settime(
            &self.timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: interval, it_value: value },
        )?;
        self.readiness.readable(true).await
    }
}
