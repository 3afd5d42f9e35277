//! Bounded waiting.

use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails. Generous, because the machine may be busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds, for things that can be seen but not be waited for, such as another process's descriptors.
///
/// # Panics
/// If it does not hold before [`DEADLINE`]; the message says `what` was waited for.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A gate between the threads of a test: shut at first, then open for ever. Clones are the same gate.
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// A gate that is shut.
    #[must_use]
    pub fn new() -> Gate {
        Gate::default()
    }

    /// Opens the gate.
    pub fn open(&self) {
        let (open, changed) = &*self.0;
        *open.lock().expect("no thread panics holding a gate") = true;
        changed.notify_all();
    }

    /// Waits until the gate is open.
    ///
    /// # Panics
    /// If it stays shut until [`DEADLINE`].
    #[track_caller]
    pub fn wait(&self) {
        let (open, changed) = &*self.0;
        let guard = open.lock().expect("no thread panics holding a gate");
        let (guard, _) =
            changed.wait_timeout_while(guard, DEADLINE, |open| !*open).expect("no thread panics holding a gate");
        assert!(*guard, "nobody opened the gate within {DEADLINE:?}");
    }
}
