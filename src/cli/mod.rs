//! The command line: what may be asked for, and how the answer is given.
//!
//! Results go to standard output, errors to standard error beginning with `ringway: `. [`EXIT_STATUSES`] says what the exit
//! status tells.

mod banner;
mod check;
mod figures;
mod order;
mod paper;
mod remote;
mod serve;
mod status;
mod top;
mod version;
mod worker;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use plan::Address;

/// The command could not do what was asked.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;
/// No Ringway runs at the address that was asked; also what init scripts mean by 3.
const NOT_RUNNING: u8 = 3;
/// The running Ringway said no: a configuration is invalid, a token is wrong.
const REFUSED: u8 = 4;

/// The exit statuses and what they tell, for the manual.
const EXIT_STATUSES: [(u8, &str); 5] = [
    (0, "Done."),
    (FAILED, "The command could not do what was asked; standard error says why."),
    (USAGE, "The command line is wrong."),
    (NOT_RUNNING, "No Ringway is running at the address."),
    (REFUSED, "The running Ringway refused: an invalid configuration, a wrong token, an unknown server."),
];

/// A reverse proxy, web server and API gateway: one shard per core, one io_uring per shard.
///
/// Without a command it serves: `ringway` is `ringway serve`.
#[derive(Debug, Parser)]
#[command(name = "ringway", disable_version_flag = true, args_conflicts_with_subcommands = true)]
struct CommandLine {
    /// Print the version
    #[arg(short = 'V', long)]
    version: bool,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or Ctrl-C
    ///
    /// A supervisor holds the listening sockets and has a worker serve: SIGHUP reloads, SIGUSR2 upgrades.
    /// Without --config an embedded default serves, in one process: it listens on 127.0.0.1:8080 and proxies to a demo
    /// upstream inside this process.
    Serve(ServeArgs),
    /// Serve for a supervisor, which starts this by itself
    #[command(hide = true)]
    Worker(ServeArgs),
    /// Check a configuration without serving it
    Check(CheckArgs),
    /// Have a running Ringway read its configuration again
    ///
    /// Returns when it is in force. An invalid one changes nothing: the errors are shown, and the exit status is 4.
    Reload(order::OrderArgs),
    /// Have a running Ringway finish what is under way, and end
    Stop(order::StopArgs),
    /// Have a running Ringway become the executable that is on the disk now
    ///
    /// Returns when the new one serves. Connections stay with the old one until they end, or its time to drain is up.
    Upgrade(order::OrderArgs),
    /// Show how a running Ringway does
    Status(status::StatusArgs),
    /// Watch a running Ringway: shards, routes, upstreams, rates
    Top(top::TopArgs),
    /// Print completions for a shell
    Completions(paper::CompletionsArgs),
    /// Print the manual page
    Man,
    /// Print the version
    Version,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration to serve
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here instead of where the configuration says; may be given several times
    #[arg(short, long, value_name = "ADDRESS", value_parser = crate::config::parse_listen_address)]
    listen: Vec<Address>,
    /// Number of shards, instead of what the configuration says or one per core
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Option<u16>,
    /// Serve in this one process: nothing holds the listening sockets if it falls, for containers and debuggers
    #[arg(long)]
    no_supervisor: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The configuration to check
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
}

/// Does what the command line of this process asks for.
#[must_use]
pub fn run() -> ExitCode {
    let asked = match CommandLine::try_parse() {
        Ok(asked) => asked,
        Err(answer) => return usage(&answer),
    };
    let done = match asked.command {
        _ if asked.version => version::version(),
        None => serve::serve(asked.serve),
        Some(Command::Serve(args)) => serve::serve(args),
        Some(Command::Worker(args)) => return worker::worker(args),
        Some(Command::Check(args)) => check::check(&args.config),
        Some(Command::Reload(args)) => order::reload(&args),
        Some(Command::Stop(args)) => order::stop(&args),
        Some(Command::Upgrade(args)) => order::upgrade(&args),
        Some(Command::Status(args)) => status::status(&args),
        Some(Command::Top(args)) => top::top(&args),
        Some(Command::Completions(args)) => paper::completions(&args),
        Some(Command::Man) => paper::man(),
        Some(Command::Version) => version::version(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln_quietly(&format!("ringway: {error:#}"));
            ExitCode::from(error.downcast_ref().map_or(FAILED, remote::exit_status))
        }
    }
}

/// Answers a request for help, or a command line that makes no sense.
fn usage(answer: &clap::Error) -> ExitCode {
    let text = answer.render().to_string();
    if !answer.use_stderr() {
        let _ = std::io::stdout().write_all(text.as_bytes());
        return ExitCode::SUCCESS;
    }
    eprintln_quietly(&format!("ringway: {}", text.trim_start_matches("error: ").trim_end()));
    ExitCode::from(USAGE)
}

/// Writes a line to standard error. That nobody reads it is no reason to fail, and `eprintln!` would panic.
fn eprintln_quietly(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        use clap::CommandFactory;
        CommandLine::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve() {
        let asked = CommandLine::try_parse_from(["ringway", "--listen", "127.0.0.1:0", "--shards", "2"]).unwrap();
        assert!(asked.command.is_none());
        assert_eq!(asked.serve.listen, [Address::Tcp("127.0.0.1:0".parse().unwrap())]);
        assert_eq!(asked.serve.shards, Some(2));
    }

    #[test]
    fn nonsense_is_refused_with_advice() {
        let refused = |args: &[&str]| CommandLine::try_parse_from(args).unwrap_err().render().to_string();
        let text = refused(&["ringway", "serve", "--listen", "localhost:80"]);
        assert!(text.contains("did you mean `127.0.0.1:80`?"), "{text}");
        assert!(refused(&["ringway", "serve", "--shards", "0"]).contains("1..=1024"));
        assert!(refused(&["ringway", "check"]).contains("--config"));
        assert!(refused(&["ringway", "srve"]).contains("serve"));
    }
}
