//! `ringway profile`: asks a running Ringway to sample itself, and draws what it saw.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use flame::{Picture, Stacks};
use hyper::Method;

use super::remote::{ANSWER_MAX, RemoteArgs};
use crate::profile::{FREQUENCY_DEFAULT, FREQUENCY_MAX, Profile, SECONDS_MAX};

/// What stands for standard output among the names of files.
const STDOUT: &str = "-";

#[derive(Debug, Args)]
pub(super) struct ProfileArgs {
    /// How long: 1s to 60s
    #[arg(value_name = "DURATION", default_value = "10s", value_parser = seconds)]
    length: u32,
    #[command(flatten)]
    remote: RemoteArgs,
    /// Samples a second of each thread's CPU time
    #[arg(long, value_name = "HZ", default_value_t = FREQUENCY_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(FREQUENCY_MAX)))]
    frequency: u32,
    /// Write the folded stacks instead of drawing them, a line for each: FRAME;FRAME;... COUNT
    #[arg(long)]
    folded: bool,
    /// Where to: - is standard output; ringway-profile.svg, or .folded, by default
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    let within = number.filter(|number| (1..=SECONDS_MAX).contains(number));
    within.ok_or_else(|| format!("expected whole seconds, `1s` to `{SECONDS_MAX}s`"))
}

pub(super) fn profile(args: &ProfileArgs) -> anyhow::Result<()> {
    let path = format!("/v1/profile?seconds={}&frequency={}", args.length, args.frequency);
    let within = Duration::from_secs(args.length.into()) + ANSWER_MAX;
    let profile: Profile = args.remote.ask(Method::POST, &path, within)?;
    let stacks: Stacks = profile.folded.parse()?;
    let text = if args.folded {
        profile.folded.clone()
    } else if stacks.is_empty() {
        anyhow::bail!("nothing was at work for {:.0} s: there is nothing to draw", profile.seconds);
    } else {
        draw(&profile, &stacks)?
    };
    let default = Path::new(if args.folded { "ringway-profile.folded" } else { "ringway-profile.svg" });
    let output = args.output.as_deref().unwrap_or(default);
    if output == Path::new(STDOUT) {
        std::io::stdout().write_all(text.as_bytes())?;
        return Ok(());
    }
    fs::write(output, text).with_context(|| format!("cannot write {}", output.display()))?;
    writeln!(std::io::stdout(), "{}: {}", output.display(), told(&profile, &stacks))?;
    Ok(())
}

fn draw(profile: &Profile, stacks: &Stacks) -> std::io::Result<String> {
    let kernel = if profile.kernel { "" } else { ", user space alone" };
    let subtitle = format!("{:.0} s, {} at {} Hz{kernel}", profile.seconds, profile.event, profile.frequency);
    Picture { title: "ringway profile", subtitle: &subtitle, unit: "samples" }.draw(stacks)
}

/// What was seen, on a line.
fn told(profile: &Profile, stacks: &Stacks) -> String {
    let Profile { threads, samples, lost, kernel, .. } = profile;
    let mut told = format!("{samples} samples of {threads} threads; {}", stacks.share());
    if *lost > 0 {
        told += &format!("; {lost} lost");
    }
    if !kernel {
        told += "; the kernel does not let itself be seen (kernel.perf_event_paranoid, CAP_PERFMON)";
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_whole_seconds_within_a_minute() {
        assert_eq!(seconds("1s"), Ok(1));
        assert_eq!(seconds("60s"), Ok(60));
        for text in ["0s", "61s", "10", "s", "1.5s", "500ms", "-1s", "1m"] {
            assert!(seconds(text).unwrap_err().contains("`1s` to `60s`"), "{text}");
        }
    }

    #[test]
    fn what_was_lost_and_what_could_not_be_seen_is_said() {
        let folded = "shard-0;ringway_ring::core::turn 3\n".to_owned();
        let profile = Profile {
            seconds: 1.0,
            frequency: 499,
            event: "cpu-clock".to_owned(),
            kernel: false,
            threads: 4,
            samples: 3,
            lost: 2,
            folded,
        };
        let stacks: Stacks = profile.folded.parse().unwrap();
        let told = told(&profile, &stacks);
        assert!(told.starts_with("3 samples of 4 threads; kernel 0.0 %, Ringway 100.0 %"), "{told}");
        assert!(told.contains("2 lost") && told.contains("perf_event_paranoid"), "{told}");
        assert!(draw(&profile, &stacks).unwrap().contains("user space alone"));
    }
}
