//! A panic ends one connection, and is told with its backtrace.

use std::backtrace::Backtrace;

/// Has panics logged as errors, by the thread on which they happen.
pub(super) fn log_them() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let backtrace = Backtrace::force_capture();
        tracing::error!(thread = thread.name().unwrap_or("unnamed"), "{panic}\n{backtrace}");
    }));
}
