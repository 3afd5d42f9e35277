//! `ringway check`: is this configuration valid, and could it be served here and now?
//!
//! It reads everything that `ringway serve` would read, looks names up, and binds every address without listening on it.
//! Exit status: 0 where it could be served, whatever there is to warn of; 1 where the configuration is wrong; 3 where it is
//! right, and an address of it cannot be listened on.

mod bind;
mod holder;

use std::io::Write;
use std::process::ExitCode;

use plan::Plan;
use serde_json::{Value, json};

use self::bind::{Finding, State};
use super::CheckArgs;
use crate::config::{self, Errors, Loaded};
use crate::{discovery, supervisor};

/// The exit status of a valid configuration whose addresses cannot all be listened on.
const UNUSABLE: u8 = 3;

pub(super) fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let environment = args.environment.chosen();
    let loaded = match config::load(&args.config, environment) {
        Ok(loaded) => loaded,
        Err(errors) if args.json => {
            print(&refusal(args, &errors))?;
            return Ok(ExitCode::from(1));
        }
        Err(errors) => return Err(errors.into()),
    };
    let (mut warnings, mut findings) = (loaded.certs.told().cloned().collect::<Vec<_>>(), Vec::new());
    if !args.offline {
        warnings.extend(unresolved(&loaded)?);
        // As with names: it may exist where the file will serve.
        warnings.extend(supervisor::missing_account(&loaded.process));
        findings = bind::bind(&loaded.plan.listeners);
    }
    let usable = findings.iter().all(Finding::is_usable);
    warnings.extend(findings.iter().filter(|finding| finding.state == State::Shared).map(Finding::to_string));
    if args.json {
        print(&outcome(args, &loaded.plan, &findings, &warnings))?;
    } else {
        for warning in &warnings {
            writeln!(std::io::stderr(), "ringway: warning: {warning}")?;
        }
        for finding in findings.iter().filter(|finding| !finding.is_usable()) {
            writeln!(std::io::stderr(), "ringway: {finding}")?;
        }
        if usable {
            writeln!(std::io::stdout(), "{}: ok ({})", args.config.display(), summary(&loaded.plan))?;
        }
    }
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::from(UNUSABLE) })
}

/// A name may well resolve where the file will serve and not here: that is no error.
fn unresolved(loaded: &Loaded) -> anyhow::Result<Vec<String>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(discovery::unresolved(&loaded.discovery, &loaded.plan.upstreams))
}

fn summary(plan: &Plan) -> String {
    let counted = |count: usize, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    let listeners = counted(plan.listeners.len(), "listener");
    let upstreams = counted(plan.upstreams.len(), "upstream");
    format!("{listeners}, {upstreams}, {}", counted(plan.routes.routes().len(), "route"))
}

fn refusal(args: &CheckArgs, errors: &Errors) -> Value {
    let errors = match errors {
        Errors::Invalid(report) => report.to_json(),
        Errors::Unreadable { path, .. } => json!([{
            "file": path, "line": null, "column": null, "message": errors.to_string(), "expected": null, "notes": [],
            "first": null,
        }]),
    };
    json!({
        "valid": false, "usable": false, "environment": args.environment.chosen(), "files": files(args),
        "errors": errors, "warnings": [], "addresses": [],
    })
}

fn outcome(args: &CheckArgs, plan: &Plan, findings: &[Finding], warnings: &[String]) -> Value {
    json!({
        "valid": true,
        "usable": findings.iter().all(Finding::is_usable),
        "environment": args.environment.chosen(),
        "files": files(args),
        "errors": [],
        "warnings": warnings,
        "addresses": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        "listeners": plan.listeners.len(),
        "upstreams": plan.upstreams.len(),
        "routes": plan.routes.routes().len(),
    })
}

fn files(args: &CheckArgs) -> Vec<String> {
    let files = config::files(&args.config).unwrap_or_default();
    files.iter().map(|file| file.display().to_string()).collect()
}

fn print(value: &Value) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{value:#}")?;
    Ok(())
}
