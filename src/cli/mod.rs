//! The command line: what may be asked for, and how the answer is given.
//!
//! Results go to standard output, errors to standard error beginning with `ringway: `. [`EXIT_STATUSES`] says what the exit
//! status tells.

mod banner;
mod check;
mod config_show;
mod figures;
mod order;
mod paper;
mod profile;
mod remote;
mod schema;
mod serve;
mod status;
mod top;
mod version;
mod worker;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
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
    (NOT_RUNNING, "No Ringway is running at the address; for `check`: only an address cannot be listened on."),
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
    ///
    /// Reads all files, looks names up, and binds every address without listening on it. Exit status: 0 if it could be
    /// served, 1 if the configuration is wrong, 3 if only an address of it cannot be listened on.
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
    /// See where a running Ringway spends its time
    ///
    /// Samples all its threads while it serves, and draws a flame graph of the stacks: Ringway, other user code, and, where it
    /// may be seen, the kernel.
    Profile(profile::ProfileArgs),
    /// Watch a running Ringway: shards, routes, upstreams, rates
    Top(top::TopArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema(SchemaArgs),
    /// Look at a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell
    Completions(paper::CompletionsArgs),
    /// Print the manual page
    Man,
    /// Print the version
    Version,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective configuration: every key with its value, and where that comes from
    ///
    /// A value that was made of variables is shown as it was written, `${NAME}`: it may be a secret.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration to serve: a file, or a directory of which every *.toml is read
    #[arg(short, long, value_name = "PATH")]
    config: Option<PathBuf>,
    #[command(flatten)]
    environment: EnvironmentArgs,
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
    /// The configuration to check: a file, or a directory
    #[arg(short, long, value_name = "PATH")]
    config: PathBuf,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Neither look names up nor bind addresses: check what is written alone
    #[arg(long)]
    offline: bool,
    /// Print the outcome as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// The configuration to show: a file, or a directory
    #[arg(short, long, value_name = "PATH")]
    config: PathBuf,
    #[command(flatten)]
    environment: EnvironmentArgs,
    /// Show what variables stand for, in place of their names: secrets too
    #[arg(long)]
    reveal: bool,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct SchemaArgs {
    /// Print the reference page instead
    #[arg(long, hide = true)]
    markdown: bool,
}

#[derive(Debug, Args)]
struct EnvironmentArgs {
    /// Lay [environments.NAME] of the configuration over the rest of it
    #[arg(long = "env", value_name = "NAME", env = "RINGWAY_ENV")]
    environment: Option<String>,
}

impl CommandLine {
    /// Refuses what each option allows and all together do not.
    fn checked(self) -> Result<CommandLine, clap::Error> {
        let serve = match &self.command {
            None => &self.serve,
            Some(Command::Serve(serve)) => serve,
            Some(_) => return Ok(self),
        };
        match serve.environment.chosen() {
            // What is meant to serve in production is not to be the demo because a path was forgotten.
            Some(name) if serve.config.is_none() && !self.version => Err(CommandLine::command().error(
                ErrorKind::MissingRequiredArgument,
                format!(
                    "the environment `{name}` (--env or RINGWAY_ENV) is a part of a configuration, and none is named: add \
                     --config PATH"
                ),
            )),
            _ => Ok(self),
        }
    }
}

impl EnvironmentArgs {
    /// The environment that was asked for. A variable that is empty asks for none.
    fn chosen(&self) -> Option<&str> {
        self.environment.as_deref().filter(|name| !name.is_empty())
    }
}

/// Does what the command line of this process asks for.
#[must_use]
pub fn run() -> ExitCode {
    let asked = match CommandLine::try_parse().and_then(CommandLine::checked) {
        Ok(asked) => asked,
        Err(answer) => return usage(&answer),
    };
    let succeeded = |()| ExitCode::SUCCESS;
    let done = match asked.command {
        _ if asked.version => version::version().map(succeeded),
        None => serve::serve(asked.serve).map(succeeded),
        Some(Command::Serve(args)) => serve::serve(args).map(succeeded),
        Some(Command::Worker(args)) => Ok(worker::worker(args)),
        Some(Command::Check(args)) => check::check(&args),
        Some(Command::Schema(args)) => schema::schema(args.markdown).map(succeeded),
        Some(Command::Config(ConfigCommand::Show(args))) => config_show::show(&args).map(succeeded),
        Some(Command::Reload(args)) => order::reload(&args).map(succeeded),
        Some(Command::Stop(args)) => order::stop(&args).map(succeeded),
        Some(Command::Upgrade(args)) => order::upgrade(&args).map(succeeded),
        Some(Command::Status(args)) => status::status(&args).map(succeeded),
        Some(Command::Profile(args)) => profile::profile(&args).map(succeeded),
        Some(Command::Top(args)) => top::top(&args).map(succeeded),
        Some(Command::Completions(args)) => paper::completions(&args).map(succeeded),
        Some(Command::Man) => paper::man().map(succeeded),
        Some(Command::Version) => version::version().map(succeeded),
    };
    match done {
        Ok(status) => status,
        // Who reads only the first lines has got what was asked for.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln_quietly(&format!("ringway: {error:#}"));
            ExitCode::from(error.downcast_ref().map_or(FAILED, remote::exit_status))
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
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

    #[test]
    fn an_environment_without_a_configuration_is_refused() {
        let asked = |args: &[&str]| CommandLine::try_parse_from(args).unwrap().checked();
        for args in [&["ringway", "serve", "--env", "production"][..], &["ringway", "--env", "production"]] {
            let text = asked(args).unwrap_err().render().to_string();
            assert!(text.contains("`production`") && text.contains("add --config PATH"), "{text}");
        }
        assert!(asked(&["ringway", "serve", "--env", ""]).is_ok());
        assert!(asked(&["ringway", "serve", "--env", "production", "--config", "x.toml"]).is_ok());
    }
}
