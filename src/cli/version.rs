//! `ringway version`: which Ringway is this?

use std::env::consts::{ARCH, OS};
use std::io::Write;

/// The version of this package.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision it was built from, where the build was told: `RINGWAY_REVISION=$(git rev-parse --short HEAD) cargo build`.
const REVISION: Option<&str> = option_env!("RINGWAY_REVISION");

pub(super) fn version() -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", text())?;
    Ok(())
}

fn text() -> String {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let details = [REVISION.unwrap_or_default(), &format!("{ARCH}-{OS}-{libc}")].map(str::to_owned);
    let details: Vec<String> = details.into_iter().filter(|detail| !detail.is_empty()).collect();
    format!("ringway {VERSION} ({})", details.join(", "))
}
