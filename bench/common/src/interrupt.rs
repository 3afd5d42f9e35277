//! Ctrl-C, and a polite kill.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, ensure};
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};

/// Turns SIGINT and SIGTERM into an error at the next check, so that every guard on the stack ends what it started.
#[derive(Debug)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches from now on.
    ///
    /// # Errors
    /// Fails when the system does not let it.
    pub fn watch() -> anyhow::Result<Self> {
        let raised = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            flag::register(signal, Arc::clone(&raised)).context("cannot watch for signals")?;
        }
        Ok(Self(raised))
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// Fails once a signal has arrived.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(!self.0.load(Ordering::Relaxed), "interrupted");
        Ok(())
    }
}
