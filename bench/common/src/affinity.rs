//! Which core this program and what it starts run on.

use anyhow::Context;
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// The calling thread, in the terms of sched_setaffinity(2).
const THIS_THREAD: Pid = Pid::from_raw(0);

/// Whether this process may run on `core`.
///
/// # Errors
/// Fails when the system does not tell.
pub fn may_use(core: usize) -> anyhow::Result<bool> {
    let cores = sched_getaffinity(THIS_THREAD).context("cannot read the cores that this process may use")?;
    Ok(cores.is_set(core).unwrap_or(false))
}

/// Moves the calling thread to `core`.
///
/// # Errors
/// Fails when the thread may not run there.
pub fn move_to(core: usize) -> anyhow::Result<()> {
    let mut cores = CpuSet::new();
    cores
        .set(core)
        .and_then(|()| sched_setaffinity(THIS_THREAD, &cores))
        .with_context(|| format!("cannot move to core {core}"))
}

/// Calls `start` on `core`, and comes back. A child inherits the core of the thread that starts it, before it can start
/// threads of its own: nothing is left to move afterwards.
///
/// # Errors
/// Fails when the thread may not run there.
pub fn on_core<T>(core: usize, start: impl FnOnce() -> T) -> anyhow::Result<T> {
    let cores = sched_getaffinity(THIS_THREAD).context("cannot read the cores that this process may use")?;
    move_to(core)?;
    let started = start();
    sched_setaffinity(THIS_THREAD, &cores).context("cannot move back to the former cores")?;
    Ok(started)
}
