//! `ringway top`: a running Ringway, watched.
//!
//! [`app`] is what is known and what the keys do, without a terminal; [`table`] makes rows of a status; [`draw`] puts both on
//! a screen. Here are the terminal, the clock and the admin API: the status is asked for once an interval, and what comes of
//! it, a key, or a signal moves the app on. When the API goes away the last picture stays, says so, and comes back to life
//! when the API does.

mod app;
mod draw;
mod table;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use hyper::Method;
use ratatui::crossterm::event::{self, Event};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::app::{App, Next};
use super::figures::Sample;
use super::remote::{RemoteArgs, runtime};
use crate::admin::client::Client;

/// Keys that wait to be heeded.
const KEYS_MAX: usize = 64;
/// How long the API may take, beyond which it counts as gone.
const ANSWER_MAX: Duration = Duration::from_secs(3);

#[derive(Debug, Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "expected seconds, 0.1 to 3600".to_owned())
}

pub(super) fn top(args: &TopArgs) -> anyhow::Result<()> {
    let client = args.remote.client()?;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        anyhow::bail!("top needs a terminal; `ringway status` writes what there is to say once");
    }
    let runtime = runtime()?;
    // Whoever mistypes an address is to learn it where it stays to be read, not on a screen that goes away.
    let first = runtime.block_on(look(&client))?;
    let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut app = App::new(client.address().to_string(), colours);
    app.learn(Ok(first));
    // From here on the terminal is given back on every way out, a panic's too.
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let watched = runtime.block_on(watch(&mut terminal, &mut app, client, args.interval));
    ratatui::restore();
    watched
}

async fn look(client: &Client) -> Result<Sample, crate::admin::client::ClientError> {
    let status = client.ask(Method::GET, "/v1/status", ANSWER_MAX).await?;
    Ok(Sample { at: Instant::now(), status })
}

async fn watch(
    terminal: &mut ratatui::DefaultTerminal,
    app: &mut App,
    client: Client,
    interval: Duration,
) -> anyhow::Result<()> {
    let mut signals = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()].map(signal);
    let [Ok(terminate), Ok(hang_up), Ok(interrupt)] = &mut signals else {
        anyhow::bail!("signals cannot be received");
    };
    let mut keys = keys()?;
    let mut samples = samples(client, interval);
    loop {
        terminal.draw(|frame| draw::draw(frame, app, Instant::now()))?;
        tokio::select! {
            Some(sample) = samples.recv() => app.learn(sample),
            event = keys.recv() => match event {
                Some(Event::Key(key)) if app.press(key) == Next::Quit => return Ok(()),
                // Whatever else it is, a new size for instance, the picture is drawn again.
                Some(_) => {}
                // The terminal is gone.
                None => return Ok(()),
            },
            _ = terminate.recv() => return Ok(()),
            _ = hang_up.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// What happens at the terminal, read by a thread of its own: reading blocks. The thread ends with the process.
fn keys() -> anyhow::Result<mpsc::Receiver<Event>> {
    let (sender, keys) = mpsc::channel(KEYS_MAX);
    let read = move || {
        while let Ok(event) = event::read() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new().name("keys".to_owned()).spawn(read)?;
    Ok(keys)
}

/// The status, once an interval, or why there is none.
fn samples(client: Client, interval: Duration) -> mpsc::Receiver<Result<Sample, String>> {
    let (sender, samples) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(interval).await;
            let sample = look(&client).await.map_err(|error| error.to_string());
            if sender.send(sample).await.is_err() {
                return;
            }
        }
    });
    samples
}
