//! `ringway check`: is this configuration valid?

use std::io::Write;
use std::path::Path;

use plan::Plan;

use crate::discovery;

pub(super) fn check(path: &Path) -> anyhow::Result<()> {
    let loaded = crate::config::load(path)?;
    // A name may well resolve where the file will serve and not here: no error.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for warning in runtime.block_on(discovery::unresolved(&loaded.discovery, &loaded.plan.upstreams))? {
        writeln!(std::io::stderr(), "ringway: warning: {warning}")?;
    }
    writeln!(std::io::stdout(), "{}: ok ({})", path.display(), summary(&loaded.plan))?;
    Ok(())
}

fn summary(plan: &Plan) -> String {
    let counted = |count: usize, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    let listeners = counted(plan.listeners.len(), "listener");
    let upstreams = counted(plan.upstreams.len(), "upstream");
    format!("{listeners}, {upstreams}, {}", counted(plan.routes.routes().len(), "route"))
}
