//! `ringway config show`: what a configuration comes to, with everything that was left to defaults.

use std::io::Write;

use super::ShowArgs;
use crate::config::{self, Surroundings, VariableValues};

pub(super) fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let values = if args.reveal { VariableValues::Shown } else { VariableValues::Hidden };
    let effective = config::show(&args.config, &Surroundings::of_process(args.environment.chosen()), values)?;
    let mut output = std::io::stdout();
    if args.json {
        writeln!(output, "{:#}", effective.to_json())?;
    } else {
        output.write_all(effective.to_string().as_bytes())?;
    }
    Ok(())
}
