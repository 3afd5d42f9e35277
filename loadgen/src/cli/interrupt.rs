//! Ctrl-C, and a polite kill: the first asks to come to an end, the second ends at once.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};

/// Whether somebody wants the end.
#[derive(Debug, Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(super) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Watches from now on. To be called before any other thread starts, which would otherwise be interrupted itself.
pub(super) fn watch() -> anyhow::Result<Interrupt> {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block().context("cannot watch for signals")?;
    let interrupt = Interrupt(Arc::new(AtomicBool::new(false)));
    let raised = interrupt.clone();
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while let Ok(signal) = signals.wait() {
            if raised.0.swap(true, Ordering::Relaxed) {
                // What shells tell of a program that a signal ended.
                process::exit(128 + signal as i32);
            }
        }
    })?;
    Ok(interrupt)
}
