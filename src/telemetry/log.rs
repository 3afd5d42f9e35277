//! The program log: what happens to Ringway itself, as against the access log, which tells of exchanges.
//!
//! It goes to standard error, one line an event. `RINGWAY_LOG` overrides the configured level, for a single run or a
//! single part of the program (`RINGWAY_LOG=info,ringway_engine=trace`).

use std::io::IsTerminal;
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Context;
use tracing::Level;
use tracing_subscriber::EnvFilter;

/// Overrides the level of the configuration.
const LEVEL_VARIABLE: &str = "RINGWAY_LOG";

/// Puts another filter into force, if one is given, and tells which is.
type ChangeFilter = Box<dyn Fn(Option<EnvFilter>) -> String + Send + Sync>;

/// Set when the log starts.
static FILTER: OnceLock<ChangeFilter> = OnceLock::new();
/// What the configuration in force says. `None` before the log starts, and where the environment says otherwise for all of this
/// run.
static CONFIGURED: Mutex<Option<Level>> = Mutex::new(None);

/// Starts the program log at `level`, or as the environment says. To be called once, before the first event.
pub(crate) fn start(level: Level) -> anyhow::Result<()> {
    // An empty variable is what `RINGWAY_LOG= ringway …` sets, and means that none is wanted.
    let overriding = std::env::var(LEVEL_VARIABLE).ok().filter(|directives| !directives.is_empty());
    *configured() = overriding.is_none().then_some(level);
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt()
        .compact()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // A log that cannot be written (a full disk) cannot be told of in the log: to try would be to panic.
        .log_internal_errors(false)
        .with_env_filter(filter(level, overriding.as_deref())?)
        .with_filter_reloading();
    let filtering = builder.reload_handle();
    let _ = FILTER.set(Box::new(move |change| {
        let changed = filtering.modify(|filter| {
            if let Some(change) = change {
                *filter = change;
            }
        });
        changed.ok().and_then(|()| filtering.with_current(ToString::to_string).ok()).unwrap_or_default()
    }));
    builder.try_init().map_err(|error| anyhow::anyhow!("the program log cannot be started: {error}"))
}

/// Obeys another configuration, if it names another level than the one before: a level that was set meanwhile is not touched by
/// reloads that are about other things.
pub(crate) fn follow(level: Level) {
    let mut configured = configured();
    let (Some(before), Some(change)) = (*configured, FILTER.get()) else { return };
    if before != level {
        *configured = Some(level);
        change(Some(EnvFilter::new(level.as_str())));
        tracing::info!(from = word(before), to = word(level), "the program log's level has changed");
    }
}

/// The word of the configuration.
pub(crate) fn word(level: Level) -> String {
    level.as_str().to_ascii_lowercase()
}

fn configured() -> std::sync::MutexGuard<'static, Option<Level>> {
    CONFIGURED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the log says at present: a level, or a filter by part of the program.
pub(crate) fn level() -> String {
    FILTER.get().map(|change| change(None)).unwrap_or_default()
}

/// What the configuration in force says; `None` where the environment says otherwise for all of this run.
pub(crate) fn configured_word() -> Option<String> {
    configured().map(word)
}

/// Has the log say more or less from now on: a level such as `debug`, or `part=level,…`. It holds until the configuration
/// names another level than now, or the process ends.
///
/// # Errors
/// When `directives` are no such thing.
pub(crate) fn set_level(directives: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(directives).ok().filter(|_| !directives.trim().is_empty());
    let filter = filter.context("expected a level such as `debug`, or `part=level,…`")?;
    FILTER.get().context("the program log is off")?(Some(filter));
    Ok(())
}

fn filter(level: Level, overriding: Option<&str>) -> anyhow::Result<EnvFilter> {
    let Some(directives) = overriding else { return Ok(EnvFilter::new(level.as_str())) };
    // Its own words name levels as numbers, and do so twice.
    EnvFilter::builder().parse(directives).ok().with_context(|| {
        format!(
            "{LEVEL_VARIABLE} is not a filter: `{directives}`. Expected a level (error, warn, info, debug, trace), or \
             `part=level,…`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_overrides_the_level_and_is_checked() {
        assert_eq!(filter(Level::WARN, None).unwrap().to_string(), "warn");
        assert_eq!(filter(Level::WARN, Some("debug")).unwrap().to_string(), "debug");
        let refused = format!("{:#}", filter(Level::WARN, Some("ringway=loud")).unwrap_err());
        assert!(refused.starts_with("RINGWAY_LOG is not a filter"), "{refused}");
    }
}
