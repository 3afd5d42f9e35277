//! The orders that come by signal.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Finish what is under way and end: SIGTERM, SIGINT, SIGQUIT.
    Stop,
    /// Read the configuration again: SIGHUP.
    Reload,
    /// Open the log files anew: SIGUSR1.
    ReopenLogs,
    /// Become what is on the disk: SIGUSR2.
    Upgrade,
}

pub(super) struct Orders {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hang_up: Signal,
    user1: Signal,
    user2: Signal,
}

impl Orders {
    pub(super) fn new() -> std::io::Result<Orders> {
        Ok(Orders {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
        })
    }

    /// Waits for the next one. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::Stop,
            _ = self.interrupt.recv() => Order::Stop,
            _ = self.quit.recv() => Order::Stop,
            _ = self.hang_up.recv() => Order::Reload,
            _ = self.user1.recv() => Order::ReopenLogs,
            _ = self.user2.recv() => Order::Upgrade,
        }
    }
}
