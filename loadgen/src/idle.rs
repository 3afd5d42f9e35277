//! (in the making)
#[derive(Debug, clap::Args)]
#[allow(missing_docs)]
pub struct IdleArguments {}
#[allow(missing_docs, clippy::all)]
impl IdleArguments { pub fn run(&self, _: &dyn Fn() -> bool) -> anyhow::Result<bool> { Ok(true) } }
#[allow(missing_docs, clippy::all)]
pub fn hold() -> anyhow::Result<()> { Ok(()) }
