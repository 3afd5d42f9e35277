//! The `ringway` command. Everything is in the library beside it; see [`ringway::cli`].

use std::process::ExitCode;

/// Shards allocate only for connections and at their start, but then all of them at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ringway::cli::run()
}
