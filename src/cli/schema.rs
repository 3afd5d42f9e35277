//! `ringway schema`: what may stand in a configuration, for editors.

use std::io::Write;

use crate::config;

pub(super) fn schema(markdown: bool) -> anyhow::Result<()> {
    let mut output = std::io::stdout();
    if markdown {
        output.write_all(config::reference().as_bytes())?;
    } else {
        writeln!(output, "{:#}", config::schema())?;
    }
    Ok(())
}
