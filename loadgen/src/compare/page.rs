//! The comparison as one page: ratios with intervals, values as bars, percentile curves.

use bench_common::statistics::VALUES_MIN;

use super::{
    Comparison,
    figures::{self, Figures, METHOD},
};
use crate::report::{
    Report,
    html::{
        self, COLOURS, Run, charts, escape, figure, parts,
        plot::{Axis, Plot, Stroke},
    },
};

/// Room for names beside a plot.
const NAMES: f64 = 230.0;

/// Height of a row, and of what stands above and below all rows.
const ROW: f64 = 30.0;
const FRAME: f64 = 58.0;

pub(super) fn page(comparison: &Comparison, title: &str) -> String {
    let reports: Vec<Report> = (0..comparison.targets.len()).map(|target| report(comparison, target)).collect();
    let runs: Vec<Run<'_>> = reports
        .iter()
        .enumerate()
        .map(|(position, report)| Run { colour: position % COLOURS, name: &report.about.name, report })
        .collect();
    let figures = figures::of(comparison);
    let few = match comparison.rounds.len() {
        rounds if rounds < VALUES_MIN => {
            format!(" With fewer than {VALUES_MIN} rounds an interval is the ratios' range, and covers less than 95 %.")
        }
        _ => String::new(),
    };
    let mut body = parts::head(title, &runs);
    body.push_str(&format!("<p>{} rounds. {METHOD}{few}</p>\n", comparison.rounds.len()));
    body.push_str(&parts::overview(&runs));
    body.push_str(&ratios(comparison, &figures));
    body.push_str(&values(comparison, &figures));
    body.push_str(&charts::percentiles(&runs));
    body.push_str(&parts::counts(&runs));
    body.push_str(&parts::times(&runs));
    body.push_str(&parts::settings(&runs));
    html::document(title, &body)
}

fn report(comparison: &Comparison, position: usize) -> Report {
    let target = &comparison.targets[position];
    let mut about = comparison.about.clone();
    about.name.clone_from(&target.name);
    about.settings.insert(0, ("target".to_owned(), target.load.clone()));
    Report { about, recording: comparison.recording(position), notes: Vec::new() }
}

/// All ratios in one plot: a row for each metric and target, a line at one.
fn ratios(comparison: &Comparison, figures: &[Figures]) -> String {
    let rows: Vec<_> = figures
        .iter()
        .flat_map(|figures| {
            figures.targets.iter().enumerate().map(move |(target, figure)| (figures.metric, target, figure))
        })
        .filter_map(|(metric, target, figure)| Some((metric, target, figure.as_ref()?.ratio?)))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let low = rows.iter().map(|(.., ratio)| ratio.low).fold(1.0, f64::min);
    let high = rows.iter().map(|(.., ratio)| ratio.high).fold(1.0, f64::max);
    let mut plot = Plot::with_names(
        "Ratios to the first target",
        NAMES,
        FRAME + rows.len() as f64 * ROW,
        Axis::ratios(low, high),
        Axis::places(rows.len() as f64),
    );
    let axis_low = Axis::ratios(low, high).range().0;
    plot.mark(1.0);
    let mut last = None;
    for (row, (metric, target, ratio)) in rows.iter().enumerate() {
        let (y, colour) = (rows.len() as f64 - row as f64 - 0.5, target % COLOURS);
        let name = &comparison.targets[*target].name;
        // With two targets the page's heading says which; with more each row does.
        let words = match comparison.targets.len() {
            2 => metric.name().to_owned(),
            _ if last == Some(*metric) => name.clone(),
            _ => format!("{}: {name}", metric.name()),
        };
        last = Some(*metric);
        plot.words("end name", axis_low, y, -12.0, &cut(&words));
        plot.interval(&format!("whisker s{colour}"), y, ratio.low, ratio.high);
        let label = format!("{name}: {:.3} [{:.3}, {:.3}]", ratio.median, ratio.low, ratio.high);
        plot.dot(colour, ratio.median, y, &label);
    }
    let entries = comparison.targets.iter().enumerate().skip(1);
    let entries: Vec<_> = entries.map(|(target, of)| (target % COLOURS, Stroke::Plain, of.name.clone())).collect();
    let caption = "An interval that crosses the line at 1 shows no difference. Left of it is less: fewer requests a second, but also a \
                   shorter time, less CPU and memory.";
    format!(
        "<h2>Ratios to {}</h2>\n{}",
        escape(&comparison.targets[0].name),
        figure(&html::legend(&entries), &plot.finish(), caption)
    )
}

/// A group of bars for each metric: the median of the rounds, and their range.
fn values(comparison: &Comparison, figures: &[Figures]) -> String {
    let mut text = "<h2>Values</h2>\n<p class=\"quiet\">Bars are medians over the rounds, whiskers reach from the lowest round to the \
                    highest.</p>\n"
        .to_owned();
    for figures in figures {
        let metric = figures.metric;
        let rows: Vec<_> =
            figures.targets.iter().enumerate().filter_map(|(target, figure)| Some((target, (*figure)?))).collect();
        let high = rows.iter().map(|(_, figure)| figure.value.max).fold(0.0, f64::max);
        let unit = metric.tick_unit();
        let mut plot = Plot::with_names(
            metric.name(),
            NAMES,
            FRAME + rows.len() as f64 * ROW,
            // Room for the words behind the longest bar.
            Axis::linear("", high * 1.6 / unit, |value| metric.words(value * unit)),
            Axis::places(rows.len() as f64),
        );
        plot.title(&title(metric.name()));
        for (row, (target, figure)) in rows.iter().enumerate() {
            let (y, value) = (rows.len() as f64 - row as f64 - 0.5, figure.value);
            plot.words("end name", 0.0, y, -12.0, &cut(&comparison.targets[*target].name));
            let bar = [[(0.0, y - 0.3), (value.median / unit, y + 0.3)]];
            plot.rectangles(&format!("bar s{}", target % COLOURS), bar.into_iter(), &metric.words(value.median));
            plot.interval("whisker ink", y, value.min / unit, value.max / unit);
            let ratio = figure.ratio.map_or_else(String::new, |ratio| {
                format!("  ·  {:.3} × [{:.3}, {:.3}]", ratio.median, ratio.low, ratio.high)
            });
            plot.words("name", value.max / unit, y, 12.0, &format!("{}{ratio}", metric.words(value.median)));
        }
        text.push_str(&format!("<figure>\n{}</figure>\n", plot.finish()));
    }
    text
}

fn title(name: &str) -> String {
    // A percentile is written small.
    if name.starts_with('p') {
        return name.to_owned();
    }
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}

/// What fits beside a plot.
fn cut(name: &str) -> String {
    const LETTERS: usize = 32;
    match name.chars().count() {
        letters if letters > LETTERS => {
            // What tells URLs apart stands at their end.
            let end: String = name.chars().skip(letters - LETTERS + 1).collect();
            format!("…{end}")
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_end() {
        assert_eq!(cut("nginx"), "nginx");
        assert_eq!(cut("http://127.0.0.1:8080/a/long/path/index.html").chars().count(), 32);
        assert!(cut("http://127.0.0.1:8080/a/long/path/index.html").ends_with("index.html"));
    }
}
