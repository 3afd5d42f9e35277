//! The comparison in 80 columns.

use std::fmt::{self, Write};

use bench_common::statistics::VALUES_MIN;

use super::{
    Comparison,
    figures::{self, Figures, METHOD},
};
use crate::report::words;

/// What a target's name may take; longer ones are cut.
const NAME_COLUMNS: usize = 18;

pub(super) fn text(comparison: &Comparison) -> String {
    let mut text = String::new();
    write_text(comparison, &mut text).expect("a String takes whatever is written");
    text
}

fn write_text(comparison: &Comparison, text: &mut String) -> fmt::Result {
    let rounds = comparison.rounds.len();
    writeln!(text, "{rounds} {}", if rounds == 1 { "round" } else { "rounds" })?;
    for line in wrapped(METHOD) {
        writeln!(text, "{line}")?;
    }
    if rounds < VALUES_MIN {
        writeln!(
            text,
            "With fewer than {VALUES_MIN} rounds an interval is the ratios' range, and covers less than 95 %."
        )?;
    }
    for figures in figures::of(comparison) {
        write_figures(comparison, &figures, text)?;
    }
    write_errors(comparison, text)
}

fn write_figures(comparison: &Comparison, figures: &Figures, text: &mut String) -> fmt::Result {
    let metric = figures.metric;
    let reference = cut(&comparison.targets[0].name);
    writeln!(text, "\n{:<NAME_COLUMNS$}  {:>10}  {:<20} of {reference}", metric.name(), "median", "(min to max)")?;
    for (target, figure) in comparison.targets.iter().zip(&figures.targets) {
        let Some(figure) = figure else { continue };
        let range = format!("({} to {})", metric.words(figure.value.min), metric.words(figure.value.max));
        let ratio = figure.ratio.map_or_else(String::new, |ratio| {
            let equal = if ratio.covers(1.0) { " same?" } else { "" };
            format!("{:.3} [{:.3}, {:.3}]{equal}", ratio.median, ratio.low, ratio.high)
        });
        let median = metric.words(figure.value.median);
        let line = format!("  {:<NAME_COLUMNS$}{median:>10}  {range:<20} {ratio}", cut(&target.name));
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A target that fails fast has good figures: its errors are told beside them.
fn write_errors(comparison: &Comparison, text: &mut String) -> fmt::Result {
    for (position, target) in comparison.targets.iter().enumerate() {
        let recording = comparison.recording(position);
        if recording.requests() == 0 {
            writeln!(text, "\n{} answered nothing as expected.", target.name)?;
        }
        if recording.errors.total() > 0 {
            let kinds: Vec<String> =
                recording.errors.iter().map(|(kind, count)| format!("{kind}: {}", words::count(count))).collect();
            writeln!(
                text,
                "\n{}: {} ERRORS ({})",
                target.name,
                words::count(recording.errors.total()),
                kinds.join(", ")
            )?;
        }
    }
    Ok(())
}

fn cut(name: &str) -> String {
    match name.char_indices().nth(NAME_COLUMNS - 1) {
        Some((end, _)) if name.chars().count() >= NAME_COLUMNS => format!("{}…", &name[..end].trim_end()),
        _ => name.to_owned(),
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_ascii_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        if line.chars().count() + 1 + word.chars().count() > 80 {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}
