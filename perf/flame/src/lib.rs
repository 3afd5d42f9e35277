//! Folded stacks, and the flame graphs drawn of them.
//!
//! A profile is a set of [`Stacks`]: for each call stack, how often it was met (or for how long it slept). `bench/flame` gets
//! them from `perf script` ([`Stacks::of_perf_script`]), `ringway profile` from the running daemon. [`Picture`] draws them,
//! one set or the difference of two; [`Place`] says whose a frame is, which is what its colour tells: kernel, Ringway, or
//! other user code. The layout of the picture is the inferno crate's.
//!
//! The crate samples nothing, and knows neither processes nor machines.

#![forbid(unsafe_code)]

mod picture;
mod place;
mod stacks;

pub use picture::Picture;
pub use place::Place;
pub use stacks::{FoldError, KERNEL_MARK, Share, Stacks};
