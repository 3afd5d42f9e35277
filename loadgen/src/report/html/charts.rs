//! The page's plots.

use super::{
    Run, escape, figure, legend,
    plot::{Axis, Plot, Stroke},
};
use crate::{
    record::{Distribution, Point, Series},
    report::words,
};

const HEIGHT: f64 = 340.0;
const HEIGHT_SMALL: f64 = 220.0;

/// Columns of a heat map at most: longer runs have several points in one.
const HEAT_COLUMNS_MAX: usize = 240;

/// Rows of a heat map at most, and how much longer a row's times are than those of the row below at least: a point's bands,
/// a hundredth wide, are not told apart further.
const HEAT_ROWS_MAX: f64 = 48.0;
const HEAT_ROW_RATIO_MIN: f64 = 1.02;

/// Shades of a heat map.
const SHADES: usize = 8;

/// A distribution as points of a percentile curve: `1 / (1 - quantile)`, and the time in nanoseconds.
fn percentiles_of(distribution: &Distribution) -> impl Iterator<Item = (f64, f64)> + '_ {
    let all = distribution.count() as f64;
    let mut below = 0.0;
    let (min_ns, max_ns) = (distribution.min_ns() as f64, distribution.max_ns() as f64);
    distribution
        .bands()
        .map(move |band| {
            let point = (all / (all - below), (band.from_ns as f64).clamp(min_ns, max_ns));
            below += band.count as f64;
            point
        })
        .chain((!distribution.is_empty()).then_some((all, max_ns)))
}

/// The percentile curves of all runs, with their service times where those differ.
pub(crate) fn percentiles(runs: &[Run<'_>]) -> String {
    let with_service = runs.iter().any(|run| run.report.recording.service.is_some());
    let curves: Vec<(usize, Stroke, String, &Distribution)> = runs
        .iter()
        .flat_map(|run| {
            let recording = &run.report.recording;
            let name = |what: &str| match (runs.len(), with_service) {
                (1, _) => what.to_owned(),
                (_, true) => format!("{}, {what}", run.name),
                (_, false) => run.name.to_owned(),
            };
            [
                Some((run.colour, Stroke::Plain, name("latency from the due time"), &recording.latency)),
                recording
                    .service
                    .as_ref()
                    .map(|service| (run.colour, Stroke::Dashed, name("from the sending"), service)),
            ]
        })
        .flatten()
        .filter(|(.., distribution)| !distribution.is_empty())
        .collect();
    if curves.is_empty() {
        return String::new();
    }
    let low = curves.iter().map(|(.., times)| times.min_ns()).min().unwrap_or(1) as f64;
    let high = curves.iter().map(|(.., times)| times.max_ns()).max().unwrap_or(1) as f64;
    let samples = curves.iter().map(|(.., times)| times.count()).max().unwrap_or(1) as f64;
    let mut plot =
        Plot::new("Latency by percentile", HEIGHT, Axis::percentiles(samples), Axis::times("latency", low, high));
    for (colour, stroke, _, distribution) in &curves {
        plot.line(*colour, *stroke, percentiles_of(distribution));
    }
    let entries: Vec<_> = curves.into_iter().map(|(colour, stroke, name, _)| (colour, stroke, name)).collect();
    let caption = if with_service {
        "How long so many of the requests took at most. The solid line counts from the time at which the schedule had a \
         request due, the dashed line from its sending: where they part, requests waited for a stalled server before they \
         were sent."
    } else {
        "How long so many of the requests took at most. Each step to the right leaves a tenth of the requests beyond it."
    };
    format!("<h2>Latency by percentile</h2>\n{}", figure(&legend(&entries), &plot.finish(), caption))
}

/// Rate, latency and connections over the run.
pub(super) fn over_time(runs: &[Run<'_>]) -> String {
    let Some(seconds) = seconds(runs) else { return String::new() };
    let entries: Vec<_> = runs.iter().map(|run| (run.colour, Stroke::Plain, run.name.to_owned())).collect();
    let mut text = format!(
        "<h2>Rate over time</h2>\n{}",
        figure(
            &legend(&entries),
            &lines("Requests answered in each second", "requests a second", runs, seconds, |run, point| {
                per_second(run, point.requests)
            }),
            "Requests answered as expected, in each second.",
        )
    );
    text.push_str(&latency_over_time(runs, seconds));
    let constant = |run: &Run<'_>| {
        // In the last second the run's end closes them.
        let points = whole_points(run).split_last().map_or(&[][..], |(_, points)| points);
        points.first().is_none_or(|first| points.iter().all(|point| point.connections == first.connections))
    };
    if !runs.iter().all(constant) {
        let connections = lines("Open connections", "connections", runs, seconds, |_, point| point.connections as f64);
        text.push_str(&format!(
            "<h2>Connections over time</h2>\n{}",
            figure(&legend(&entries), &connections, "Connections open at the end of each second.")
        ));
    }
    text
}

fn latency_over_time(runs: &[Run<'_>], seconds: f64) -> String {
    // More lines than these would hide each other.
    let quantiles: &[(f64, Stroke, &str)] = match runs.len() {
        1 => &[
            (0.5, Stroke::Plain, "p50"),
            (0.9, Stroke::Plain, "p90"),
            (0.99, Stroke::Plain, "p99"),
            (1.0, Stroke::Dotted, "longest"),
        ],
        _ => &[(0.5, Stroke::Plain, "p50"), (0.99, Stroke::Dashed, "p99")],
    };
    let points = || runs.iter().flat_map(|run| whole_points(run));
    let Some(low) = points().filter_map(|point| point.quantile_ns(0.5)).min() else { return String::new() };
    let high = points().filter_map(|point| point.quantile_ns(quantiles[quantiles.len() - 1].0)).max().unwrap_or(low);
    let mut plot = Plot::new(
        "Latency over time",
        HEIGHT_SMALL + 40.0,
        Axis::seconds(seconds),
        Axis::times("latency", low as f64 * 0.9, high as f64),
    );
    let mut entries = Vec::new();
    for run in runs {
        for (position, (quantile, stroke, name)) in quantiles.iter().enumerate() {
            let (colour, name) = match runs.len() {
                1 => (position, (*name).to_owned()),
                _ => (run.colour, format!("{}, {name}", run.name)),
            };
            plot.line(colour, *stroke, timed(run, |point| Some(point.quantile_ns(*quantile)? as f64)));
            entries.push((colour, *stroke, name));
        }
    }
    let caption = "Quantiles of the answers that arrived in each second.";
    format!("<h2>Latency over time</h2>\n{}", figure(&legend(&entries), &plot.finish(), caption))
}

/// A heat map for each run, on the same scales.
pub(super) fn heat_maps(runs: &[Run<'_>]) -> String {
    let Some(seconds) = seconds(runs) else { return String::new() };
    let bands = || runs.iter().flat_map(|run| &run.report.recording.series.points).flat_map(|point| &point.latency);
    let (Some(low), Some(high)) = (bands().map(|band| band.from_ns).min(), bands().map(|band| band.from_ns).max())
    else {
        return String::new();
    };
    let maps: Vec<HeatMap> = runs.iter().map(|run| HeatMap::of(&run.report.recording.series, low, high)).collect();
    let fullest = maps.iter().map(HeatMap::fullest).max().unwrap_or(1);
    let mut text = "<h2>Latency heat map</h2>\n".to_owned();
    for (position, (run, map)) in runs.iter().zip(&maps).enumerate() {
        if runs.len() > 1 {
            text.push_str(&format!("<h3><span class=\"swatch s{}\"></span>{}</h3>\n", run.colour, escape(run.name)));
        }
        let plot = map.draw(seconds, fullest);
        let last = position + 1 == runs.len();
        let caption = "Each column is a stretch of the run, each row a range of latencies; the darker (on a dark page: the \
                       brighter) a cell, the more answers lie in it. The shades are logarithmic, so that single outliers show.";
        text.push_str(&figure(
            &if last { shades(fullest) } else { String::new() },
            &plot,
            if last { caption } else { "" },
        ));
    }
    text
}

/// Errors over time, if there were any.
pub(super) fn errors(runs: &[Run<'_>]) -> String {
    if runs.iter().all(|run| run.report.recording.errors.total() == 0) {
        return "<h2>Errors</h2>\n<p>None: every request was answered as expected.</p>\n".to_owned();
    }
    let Some(seconds) = seconds(runs) else { return String::new() };
    let entries: Vec<_> = runs.iter().map(|run| (run.colour, Stroke::Plain, run.name.to_owned())).collect();
    let plot = error_bars(runs, seconds);
    format!(
        "<h2>Errors</h2>\n{}",
        figure(&legend(&entries), &plot, "Requests that failed, or whose answer was not as expected, in each second.")
    )
}

/// A bar for each point that has errors, those of several runs beside each other.
fn error_bars(runs: &[Run<'_>], seconds: f64) -> String {
    let rate = |run: &Run<'_>, point: &Point| per_second(run, point.errors);
    let of_all =
        runs.iter().flat_map(|run| run.report.recording.series.points.iter().map(move |point| rate(run, point)));
    let high = of_all.fold(0.0, f64::max);
    let axis = Axis::linear("errors a second", high, words::short);
    let mut plot = Plot::new("Errors in each second", HEIGHT_SMALL, Axis::seconds(seconds), axis);
    for (position, run) in runs.iter().enumerate() {
        let interval_s = run.report.recording.series.interval_s as f64;
        let width = interval_s / runs.len() as f64;
        let points = run.report.recording.series.points.iter().enumerate();
        let bars = points.filter(|(_, point)| point.errors > 0).map(|(index, point)| {
            let left = index as f64 * interval_s + position as f64 * width;
            [(left, 0.0), (left + width, rate(run, point))]
        });
        plot.rectangles(&format!("bar s{}", run.colour), bars, "");
    }
    plot.finish()
}

/// A line for each run.
fn lines(
    label: &str,
    title: &'static str,
    runs: &[Run<'_>],
    seconds: f64,
    value: impl Fn(&Run<'_>, &Point) -> f64,
) -> String {
    let high = runs.iter().flat_map(|run| whole_points(run).iter().map(|point| value(run, point))).fold(0.0, f64::max);
    let mut plot = Plot::new(label, HEIGHT_SMALL, Axis::seconds(seconds), Axis::linear(title, high, words::short));
    for run in runs {
        plot.line(run.colour, Stroke::Plain, timed(run, |point| Some(value(run, point))));
    }
    plot.finish()
}

/// The longest run's length; none if no run has a series that could be drawn.
fn seconds(runs: &[Run<'_>]) -> Option<f64> {
    let any = runs.iter().any(|run| whole_points(run).len() > 1);
    let seconds = runs.iter().map(|run| run.report.recording.elapsed_ns as f64 / 1e9).fold(0.0, f64::max);
    any.then_some(seconds)
}

/// The points that the run's end did not cut short, since those say nothing of a rate.
fn whole_points<'a>(run: &Run<'a>) -> &'a [Point] {
    let recording = &run.report.recording;
    let whole = recording.elapsed_ns / (recording.series.interval_s * 1_000_000_000);
    let whole = usize::try_from(whole).unwrap_or(usize::MAX);
    &recording.series.points[..whole.min(recording.series.points.len())]
}

/// A value of each point, at its middle.
fn timed<'a>(run: &Run<'a>, value: impl Fn(&Point) -> Option<f64> + 'a) -> impl Iterator<Item = (f64, f64)> + 'a {
    let interval_s = run.report.recording.series.interval_s as f64;
    let points = whole_points(run).iter().enumerate();
    points.filter_map(move |(position, point)| Some(((position as f64 + 0.5) * interval_s, value(point)?)))
}

fn per_second(run: &Run<'_>, count: u64) -> f64 {
    count as f64 / run.report.recording.series.interval_s as f64
}

/// How many answers lie in each cell.
struct HeatMap {
    /// Seconds of a column.
    column_s: f64,
    /// The lower end of the rows, and the end of the last.
    edges_ns: Vec<f64>,
    /// Columns of rows.
    cells: Vec<Vec<u64>>,
}

impl HeatMap {
    fn of(series: &Series, low_ns: u64, high_ns: u64) -> Self {
        let (low, high) = (low_ns.max(1) as f64, high_ns.max(1) as f64 * HEAT_ROW_RATIO_MIN);
        let ratio = (high / low).powf(1.0 / HEAT_ROWS_MAX).max(HEAT_ROW_RATIO_MIN);
        let rows = ((high / low).ln() / ratio.ln()).ceil().max(1.0) as usize;
        let together = series.points.len().div_ceil(HEAT_COLUMNS_MAX).max(1);
        let column = |points: &[Point]| {
            let mut column = vec![0; rows];
            for band in points.iter().flat_map(|point| &point.latency) {
                let row = ((band.from_ns as f64 / low).ln() / ratio.ln() + 1e-9) as usize;
                column[row.min(rows - 1)] += band.count;
            }
            column
        };
        Self {
            column_s: (together as u64 * series.interval_s) as f64,
            edges_ns: (0..=rows).map(|row| low * ratio.powf(row as f64)).collect(),
            cells: series.points.chunks(together).map(column).collect(),
        }
    }

    fn fullest(&self) -> u64 {
        self.cells.iter().flatten().copied().max().unwrap_or(0)
    }

    fn draw(&self, seconds: f64, fullest: u64) -> String {
        let (low, high) = (self.edges_ns[0], self.edges_ns[self.edges_ns.len() - 1]);
        let mut plot =
            Plot::new("Latency heat map", HEIGHT - 40.0, Axis::seconds(seconds), Axis::times("latency", low, high));
        for shade in 1..=SHADES {
            let cells = self.cells.iter().enumerate().flat_map(|(column, rows)| {
                let left = column as f64 * self.column_s;
                rows.iter().enumerate().filter(move |(_, count)| shade_of(**count, fullest) == shade).map(
                    move |(row, _)| {
                        let right = (left + self.column_s).min(seconds);
                        [(left, self.edges_ns[row]), (right, self.edges_ns[row + 1])]
                    },
                )
            });
            plot.rectangles(&format!("cell h{shade}"), cells, "");
        }
        plot.finish()
    }
}

/// The shade of a count, of which the fullest cell has the last; zero for none.
fn shade_of(count: u64, fullest: u64) -> usize {
    match count {
        0 => 0,
        count => 1 + ((count as f64).ln() / (fullest.max(2) as f64).ln() * (SHADES - 1) as f64).round() as usize,
    }
}

/// What the shades mean.
fn shades(fullest: u64) -> String {
    let steps: String = (1..=SHADES)
        .map(|shade| {
            format!(
                "<svg class=\"step\" viewBox=\"0 0 16 10\" aria-hidden=\"true\"><path class=\"h{shade}\" d=\"M0 0h16v10h-16z\"/></svg>"
            )
        })
        .collect();
    format!(
        "<div class=\"legend\"><span class=\"steps\">1 {steps} {} answers in a cell</span></div>\n",
        words::count(fullest)
    )
}
