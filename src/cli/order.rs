//! `ringway reload`, `stop`, `upgrade`: orders to a running Ringway, and what came of them.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use hyper::Method;
use serde_json::Value;

use super::remote::{ANSWER_MAX, RemoteArgs, runtime};
use crate::admin::client::ClientError;
use crate::control::{ReloadOutcome, Status, UpgradeOutcome};

/// How long a new generation may take to get ready.
const GENERATION_MAX: Duration = Duration::from_secs(80);
/// How often a Ringway that is to end is looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct OrderArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    #[command(flatten)]
    order: OrderArgs,
    /// Return when it has ended, not when it has been told to
    #[arg(short, long)]
    wait: bool,
}

pub(super) fn reload(args: &OrderArgs) -> anyhow::Result<()> {
    let answer: Value = args.remote.ask(Method::POST, "/v1/reload", GENERATION_MAX)?;
    let outcome: ReloadOutcome = serde_json::from_value(answer.clone())?;
    let told = match outcome {
        ReloadOutcome::Swapped { stopped_us_max } => {
            format!("reloaded: the shards took it over within {stopped_us_max} µs, and no connection was touched")
        }
        ReloadOutcome::Unchanged => "nothing to do: the configuration says what it said before".to_owned(),
        ReloadOutcome::NewGeneration { generation } => {
            format!("reloaded: generation {generation} serves by it, the one before finishes what is under way")
        }
        ReloadOutcome::Refused { reason } => anyhow::bail!(reason),
    };
    tell(args.json, &answer, &told)
}

pub(super) fn upgrade(args: &OrderArgs) -> anyhow::Result<()> {
    let answer: Value = args.remote.ask(Method::POST, "/v1/upgrade", GENERATION_MAX)?;
    let outcome: UpgradeOutcome = serde_json::from_value(answer.clone())?;
    let told = match outcome {
        UpgradeOutcome::Upgraded { generation, version } => {
            format!("upgraded: generation {generation} serves, of {version}; the one before finishes what is under way")
        }
        UpgradeOutcome::Refused { reason } => anyhow::bail!(reason),
    };
    tell(args.json, &answer, &told)
}

pub(super) fn stop(args: &StopArgs) -> anyhow::Result<()> {
    let client = args.order.remote.client()?;
    let (answer, ended) = runtime()?.block_on(async {
        let status: Status = client.ask(Method::GET, "/v1/status", ANSWER_MAX).await?;
        let answer: Value = client.ask(Method::POST, "/v1/stop", ANSWER_MAX).await?;
        let mut is_awaited = args.wait;
        while is_awaited {
            is_awaited = match client.ask::<Status>(Method::GET, "/v1/status", ANSWER_MAX).await {
                // Another one may have taken its place.
                Ok(other) => other.pid == status.pid,
                // It may end in the middle of an answer.
                Err(error) => !matches!(error, ClientError::NotRunning { .. }),
            };
            if is_awaited {
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok::<_, ClientError>((answer, args.wait))
    })?;
    let told = if ended { "stopped" } else { "stopping: exchanges under way are finished first" };
    tell(args.order.json, &answer, told)
}

fn tell(json: bool, answer: &Value, told: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout();
    if json {
        writeln!(output, "{answer}")?
    } else {
        writeln!(output, "{told}")?
    }
    Ok(())
}
