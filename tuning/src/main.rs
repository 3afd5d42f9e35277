//! The `ringway-tune` command. Everything is in the library beside it; see [`tuning::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    tuning::cli::run()
}
