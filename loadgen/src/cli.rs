//! What may be asked for, and how the answer is given.
//!
//! Results go to standard output; progress and errors go to standard error. The exit status is 0 when everything was as
//! expected, 1 when errors were counted or the work could not be done, and 2 when the command line or a scenario is wrong.

mod compare;
mod interrupt;
mod run;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use loadgen::{idle::IdleArguments, report::overlay::ReportArguments, scenario::Diagnostic};

/// Errors were counted, or the work could not be done.
const FAILED: u8 = 1;
/// The command line or the scenario makes no sense.
const USAGE: u8 = 2;

/// Makes load for HTTP/1.1, HTTP/2 and WebSocket servers, and measures what they make of it.
///
/// Without a command it runs a load: `loadgen http://127.0.0.1:8080/ -c 64 -d 10s`.
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make load and measure it; the same as without a command
    Run(run::RunArguments),
    /// Hold connections that say nothing, from many addresses, and tell what memory they cost
    Idle(IdleArguments),
    /// Let targets take turns under the same load, and tell their ratios
    Compare(compare::Arguments),
    /// Draw runs that were kept as JSON
    Report(ReportArguments),
    /// Hold a part of the connections of `idle`
    #[command(hide = true)]
    IdleHolder,
}

pub(crate) fn run() -> ExitCode {
    let line = CommandLine::parse();
    let outcome = match line.command {
        None => run::run(&line.run),
        Some(Command::Run(arguments)) => run::run(&arguments),
        Some(Command::Idle(arguments)) => {
            interrupt::watch().and_then(|interrupt| arguments.run(&|| interrupt.is_raised())).map(status)
        }
        Some(Command::Compare(arguments)) => compare::run(&arguments),
        Some(Command::Report(arguments)) => arguments.run().map(|()| ExitCode::SUCCESS),
        Some(Command::IdleHolder) => loadgen::idle::hold().map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("loadgen: {error:#}");
        let is_usage = error.is::<Diagnostic>() || error.is::<clap::Error>();
        ExitCode::from(if is_usage { USAGE } else { FAILED })
    })
}

/// The status for work that was done, with or without errors seen.
fn status(as_expected: bool) -> ExitCode {
    if as_expected { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
