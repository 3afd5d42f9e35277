//! `ringway check`: is this configuration valid?

use std::io::Write;
use std::path::Path;

use plan::Plan;

pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    let loaded = crate::config::load(path)?;
    writeln!(std::io::stdout(), "{}: ok ({})", path.display(), summary(&loaded.plan))?;
    Ok(())
}

fn summary(plan: &Plan) -> String {
    let counted = |count: usize, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    let listeners = counted(plan.listeners.len(), "listener");
    let upstreams = counted(plan.upstreams.len(), "upstream");
    format!("{listeners}, {upstreams}, {}", counted(plan.routes.routes().len(), "route"))
}
