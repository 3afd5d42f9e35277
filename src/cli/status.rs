//! `ringway status`: how a running Ringway does, on one page.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant, SystemTime};

use clap::Args;
use hyper::Method;

use super::figures::{Rates, Sample, bytes, completed, duration, grouped, lasted, latency, rate, short, standing};
use super::remote::{ANSWER_MAX, RemoteArgs, runtime};
use crate::admin::client::ClientError;
use crate::control::{Phase, ServerState, Status};

/// Between the two looks that rates come from.
const LOOK: Duration = Duration::from_millis(500);
/// Shards, routes, upstreams and servers that are shown each; the rest is counted, unless all are asked for.
const ROWS_MAX: usize = 16;
/// Columns of a terminal.
const WIDTH: usize = 80;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Answer as JSON, whole
    #[arg(long)]
    json: bool,
    /// Show all shards, routes, upstreams and servers, however many there are
    #[arg(short, long)]
    all: bool,
}

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<()> {
    let mut output = std::io::stdout();
    if args.json {
        let status: serde_json::Value = args.remote.ask(Method::GET, "/v1/status", ANSWER_MAX)?;
        writeln!(output, "{status:#}")?;
        return Ok(());
    }
    let client = args.remote.client()?;
    let (before, now) = runtime()?.block_on(async {
        let look = || async {
            let status = client.ask::<Status>(Method::GET, "/v1/status", ANSWER_MAX).await?;
            Ok::<_, ClientError>(Sample { at: Instant::now(), status })
        };
        let before = look().await?;
        tokio::time::sleep(LOOK).await;
        Ok::<_, ClientError>((before, look().await?))
    })?;
    let rows_max = if args.all { usize::MAX } else { ROWS_MAX };
    output.write_all(page(&before, &now, rows_max).as_bytes())?;
    Ok(())
}

/// The page, at most 80 columns wide unless a name is longer.
fn page(before: &Sample, now: &Sample, rows_max: usize) -> String {
    let (status, rates) = (&now.status, Rates::between(Some(before), now));
    let mut text = String::new();
    head(&mut text, status);
    traffic(&mut text, status, &rates);
    shards(&mut text, status, &rates, rows_max);
    routes(&mut text, status, &rates, rows_max);
    upstreams(&mut text, status, &rates, rows_max);
    servers(&mut text, status, &rates, rows_max);
    text
}

macro_rules! line {
    ($text:expr, $($argument:tt)*) => { writeln!($text, $($argument)*).expect("writing to a string") };
}

fn head(text: &mut String, status: &Status) {
    let phase = phase(status.phase);
    let supervised = if status.supervised { format!(", generation {}", status.generation) } else { String::new() };
    let uptime = lasted(status.uptime_s);
    line!(text, "Ringway {}: {phase} for {uptime}, pid {}{supervised}", status.version, status.pid);
    let loaded = loaded(status);
    match &status.config {
        Some(path) => line!(text, "  config      {path}{loaded}"),
        None => line!(text, "  config      the embedded default"),
    }
    if let Some(reason) = &status.reloads.last_refusal {
        let first = reason.lines().next().unwrap_or_default();
        line!(text, "              the last reload was refused: {first}");
    }
    wrapped(text, "listening", &status.listening);
    line!(text, "  shards      {}, on {}", status.shards.len(), status.io);
    certificates(text, status);
    if status.crashes.count > 0 {
        let last = status.crashes.last.as_deref().unwrap_or("unknown");
        let row = status.crashes.in_a_row;
        line!(text, "  crashes     {}, {row} in a row; the last: {last}", status.crashes.count);
    }
}

fn certificates(text: &mut String, status: &Status) {
    let told = &status.certificates;
    if let Some((name, until)) = told.first_to_expire.as_ref().zip(told.expires_unix_s) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let days = (until - i64::try_from(now).unwrap_or(i64::MAX)).div_euclid(24 * 60 * 60);
        let expires = if days < 0 { "has expired".to_owned() } else { format!("expires in {days} days") };
        let stapled = match told.to_staple {
            0 => String::new(),
            wanted => format!(", {} of {wanted} stapled", told.stapled),
        };
        line!(text, "  certificates {}{stapled}; the first {expires}: {name}", told.count);
    }
    for warning in &told.warnings {
        line!(text, "              {warning}");
    }
}

pub(super) fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Serving => "serving",
        Phase::Draining => "draining",
    }
}

fn loaded(status: &Status) -> String {
    let reloads = &status.reloads;
    if reloads.done + reloads.refused == 0 {
        return String::new();
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let age = lasted(now.saturating_sub(reloads.loaded_unix_s));
    let refused = if reloads.refused > 0 { format!(", {} refused", reloads.refused) } else { String::new() };
    format!("\n              loaded {age} ago; {} reloads{refused}", reloads.done)
}

/// Writes `values` beside `name`, as many in a line as fit.
fn wrapped(text: &mut String, name: &str, values: &[String]) {
    let mut line = format!("  {name:<10}  ");
    let indent = line.len();
    for (index, value) in values.iter().enumerate() {
        let comma = if index + 1 < values.len() { "," } else { "" };
        if line.len() > indent && line.len() + 1 + value.len() + comma.len() > WIDTH {
            line!(text, "{}", line.trim_end());
            line = " ".repeat(indent);
        }
        line += &format!("{value}{comma} ");
    }
    line!(text, "{}", line.trim_end());
}

fn traffic(text: &mut String, status: &Status, rates: &Rates<'_>) {
    let totals = &status.totals;
    let requests = rate(rates.of(totals.exchanges, |before| Some(before.totals.exchanges)));
    let accepted = rate(rates.of(totals.connections_accepted, |before| Some(before.totals.connections_accepted)));
    let bytes_a_second = |now, of: fn(&Status) -> u64| bytes(rates.of(now, |before| Some(of(before))).unwrap_or(0.0));
    let received = bytes_a_second(totals.bytes_received, |status| status.totals.bytes_received);
    let sent = bytes_a_second(totals.bytes_sent, |status| status.totals.bytes_sent);
    let done = completed(status);
    line!(text, "  requests    {requests}/s; {} in all, {done} completed", grouped(totals.exchanges));
    if let Some((median, high)) = rates.of_all(status, 0.5).zip(rates.of_all(status, 0.99)) {
        line!(text, "  latency     {} for half of them now, {} for 99 of 100", duration(median), duration(high));
    }
    line!(text, "  clients     {} connected, {accepted}/s accepted", grouped(totals.connections_open));
    line!(text, "  bytes       {received}/s received, {sent}/s sent, on all sockets");
    let failed = |(word, count): (&String, &u64)| format!("{word} {}", grouped(*count));
    let failures: Vec<_> = totals.outcomes.iter().filter(|(word, _)| *word != "completed").map(failed).collect();
    if !failures.is_empty() {
        wrapped(text, "failed", &failures);
    }
    if !totals.limits.is_empty() {
        wrapped(text, "limits met", &totals.limits.iter().map(failed).collect::<Vec<_>>());
    }
}

fn shards(text: &mut String, status: &Status, rates: &Rates<'_>, rows_max: usize) {
    line!(text, "\nSHARD  CORE   BUSY  REQUESTS/S  CLIENTS     REQUESTS  COMPLETIONS/TURN");
    for (index, shard) in status.shards.iter().enumerate().take(rows_max) {
        let core = shard.core.map_or_else(|| "any".to_owned(), |core| core.to_string());
        let busy = rates.busy(status, index).map_or_else(|| "-".to_owned(), |busy| format!("{:.0} %", busy * 100.0));
        let of = |of: fn(&crate::control::ShardStatus) -> u64| move |before: &Status| before.shards.get(index).map(of);
        let requests = rate(rates.of(shard.exchanges, of(|shard| shard.exchanges)));
        let turns = rates.growth(shard.turns, of(|shard| shard.turns));
        let completions = rates.growth(shard.completions, of(|shard| shard.completions));
        let per_turn = if turns > 0 { format!("{:.1}", completions as f64 / turns as f64) } else { "-".to_owned() };
        let clients = grouped(shard.connections_open);
        let total = grouped(shard.exchanges);
        let stuck = if shard.ticks { "" } else { "     STUCK" };
        line!(
            text,
            "{index:>5}  {core:>4}  {busy:>5}  {requests:>10}  {clients:>7}  {total:>11}  {per_turn:>16}{stuck}"
        );
    }
    more(text, status.shards.len(), rows_max, "shards");
}

fn routes(text: &mut String, status: &Status, rates: &Rates<'_>, rows_max: usize) {
    line!(text, "\nROUTE               UPSTREAM   REQ/S    REQUESTS    5XX  FAILED     P50     P99");
    for (place, route) in status.routes.iter().enumerate().take(rows_max) {
        let used = rates.of_route(place, route);
        let (requests, total) = (rate(used.requests), route.requests.map_or_else(|| "-".to_owned(), grouped));
        let (errors, failed) = (counted(route.server_errors), counted(route.failures));
        let (median, high) = (latency(used.median_us), latency(used.high_us));
        let (name, upstream) = (&route.name, &route.upstream);
        line!(text, "{name:<19} {upstream:<9} {requests:>6} {total:>11} {errors:>6} {failed:>7} {median:>7} {high:>7}");
    }
    more(text, status.routes.len(), rows_max, "routes");
}

fn upstreams(text: &mut String, status: &Status, rates: &Rates<'_>, rows_max: usize) {
    line!(text, "\nUPSTREAM       UP       ACTIVE  REQ/S    REQUESTS FAILED  AGAIN     P50     P99");
    for upstream in status.upstreams.iter().take(rows_max) {
        let used = rates.of_upstream(upstream);
        let servers = &upstream.servers;
        let up = servers.iter().filter(|server| server.state == ServerState::Up).count();
        let up = format!("{up} of {}", servers.len());
        let active = grouped(servers.iter().map(|server| server.active).sum());
        let failed = counted(servers.iter().map(|server| server.failures).sum());
        let total = upstream.requests.map_or_else(|| "-".to_owned(), grouped);
        let (requests, again) = (rate(used.requests), counted(upstream.retries));
        let (median, high) = (latency(used.median_us), latency(used.high_us));
        let name = &upstream.name;
        line!(
            text,
            "{name:<14} {up:<8} {active:>6} {requests:>6} {total:>11} {failed:>6} {again:>6} {median:>7} {high:>7}"
        );
    }
    more(text, status.upstreams.len(), rows_max, "upstreams");
}

fn servers(text: &mut String, status: &Status, rates: &Rates<'_>, rows_max: usize) {
    line!(text, "\nUPSTREAM   SERVER                WEIGHT STATE       ACTIVE  REQ/S FAILED    MEAN");
    let mut rows = 0;
    let mut left = 0;
    for upstream in &status.upstreams {
        if upstream.servers.is_empty() {
            line!(text, "{:<10} no server: no name of one has an address", upstream.name);
        }
        for (index, server) in upstream.servers.iter().enumerate() {
            if rows == rows_max {
                left += 1;
                continue;
            }
            rows += 1;
            let name = if index == 0 { upstream.name.as_str() } else { "" };
            let used = rates.of_server(&upstream.name, server);
            let (requests, mean) = (rate(used.requests), latency(used.median_us));
            let state = standing(server, status.shards.len());
            let (address, weight, active) = (&server.address, server.weight, grouped(server.active));
            let failed = counted(server.failures);
            line!(
                text,
                "{name:<10} {address:<21} {weight:>6} {state:<11} {active:>6} {requests:>6} {failed:>6} {mean:>7}"
            );
        }
    }
    more(text, rows + left, rows_max, "servers");
}

/// A count where there is little room.
fn counted(count: u64) -> String {
    if count < 100_000 { grouped(count) } else { short(count as f64) }
}

fn more(text: &mut String, count: usize, rows_max: usize, things: &str) {
    if count > rows_max {
        line!(text, "and {} more {things}; --all shows them", count - rows_max);
    }
}
