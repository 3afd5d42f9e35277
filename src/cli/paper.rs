//! `ringway completions` and `ringway man`: what shells and readers get, from the definitions of the command line.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::CommandLine;

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// The shell to complete for
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "ringway", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}

/// The manual as one page in section 8: every command has its section.
pub(super) fn man() -> anyhow::Result<()> {
    let mut page = Vec::new();
    let mut command = CommandLine::command();
    command.build();
    let title = |command: clap::Command| clap_mangen::Man::new(command).section("8").manual("Ringway");
    let whole = title(command.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let name = subcommand.get_name().to_owned();
        if name == "help" {
            continue;
        }
        writeln!(page, ".SH \"{}\"", name.to_uppercase())?;
        let mut section = Vec::new();
        let man = clap_mangen::Man::new(subcommand.clone());
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        // Sections of the command's own page are below its section here.
        page.extend(String::from_utf8_lossy(&section).replace(".SH ", ".SS ").into_bytes());
    }
    writeln!(page, ".SH \"EXIT STATUS\"")?;
    for (status, meaning) in super::EXIT_STATUSES {
        writeln!(page, ".TP\n.B {status}\n{meaning}")?;
    }
    std::io::stdout().write_all(&page)?;
    Ok(())
}
