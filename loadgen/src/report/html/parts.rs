//! The page's words and tables.

use std::collections::BTreeSet;

use super::{Run, escape};
use crate::{
    record::Distribution,
    report::{PERCENTILES, can_tell, words},
};

/// Title and circumstances.
pub(crate) fn head(title: &str, runs: &[Run<'_>]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for run in runs {
        let about = &run.report.about;
        let line = format!(
            "{} · {} · {}",
            about.started.replace('T', " ").replace('Z', " UTC"),
            about.generator,
            about.machine
        );
        // Runs of one comparison share machine and day; their times stand in the settings.
        if lines.is_empty() || (runs.len() == 1) {
            lines.push(line);
        }
    }
    let lines: String = lines.iter().map(|line| format!("<p class=\"quiet\">{}</p>\n", escape(line))).collect();
    format!("<h1>{}</h1>\n{lines}", escape(title))
}

/// The figures that most readers look for, of one run.
pub(super) fn cards(run: &Run<'_>) -> String {
    let recording = &run.report.recording;
    let quantile = |percent: f64| match can_tell(&recording.latency, percent) {
        true => words::time(recording.latency.quantile_ns(percent / 100.0) as f64),
        false => "–".to_owned(),
    };
    let errors = recording.errors.total();
    let figures = [
        ("", words::short(recording.requests_per_second()), "requests / s"),
        ("", quantile(50.0), "median latency"),
        ("", quantile(99.0), "p99"),
        ("", quantile(99.9), "p99.9"),
        ("", words::time(recording.latency.max_ns() as f64), "longest"),
        if errors == 0 { ("", "0".to_owned(), "errors") } else { (" bad", words::count(errors), "errors") },
    ];
    let cards = figures.map(|(class, value, name)| {
        format!("<div class=\"card{class}\"><b>{}</b><span>{}</span></div>\n", escape(&value), escape(name))
    });
    format!("<div class=\"cards\">\n{}</div>\n", cards.concat())
}

/// A row for each run.
pub(crate) fn overview(runs: &[Run<'_>]) -> String {
    let heads = ["requests", "a second", "p50", "p90", "p99", "p99.9", "p99.99", "longest", "errors"];
    let rows = runs.iter().map(|run| {
        let recording = &run.report.recording;
        let quantiles = [50.0, 90.0, 99.0, 99.9, 99.99].map(|percent| quantile(&recording.latency, percent));
        let mut cells = vec![words::count(recording.requests()), words::short(recording.requests_per_second())];
        cells.extend(quantiles);
        cells.push(words::time(recording.latency.max_ns() as f64));
        let errors = recording.errors.total();
        let class = if errors > 0 { " bad" } else { "" };
        format!(
            "{}{}<td class=\"n{class}\">{}</td>",
            row_head(run),
            cells.iter().map(|cell| format!("<td class=\"n\">{cell}</td>")).collect::<String>(),
            words::count(errors)
        )
    });
    table(&heads.map(str::to_owned), rows)
}

/// Bytes, statuses and errors by kind.
pub(crate) fn counts(runs: &[Run<'_>]) -> String {
    let mut heads = vec!["received", "sent", "connections", "statuses", "errors"];
    let has_http2 = runs.iter().any(|run| !run.report.recording.http2.is_empty());
    if has_http2 {
        heads.push("HTTP/2");
    }
    let heads: Vec<String> = heads.into_iter().map(str::to_owned).collect();
    let rows = runs.iter().map(|run| {
        let recording = &run.report.recording;
        let rate = |bytes: u64| format!("{}/s", words::bytes(run.report.per_second(bytes)));
        let statuses: Vec<String> =
            recording.statuses.iter().map(|(code, count)| format!("{code}: {}", words::count(count))).collect();
        let errors: Vec<String> =
            recording.errors.iter().map(|(kind, count)| format!("{kind}: {}", words::count(count))).collect();
        let http2 = or_dash(&words::http2(&recording.http2), "<br/>");
        let http2 = if has_http2 { format!("<td class=\"n\">{http2}</td>") } else { String::new() };
        format!(
            "{}<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>{http2}",
            row_head(run),
            rate(recording.bytes_in),
            rate(recording.bytes_out),
            words::count(recording.connections_max),
            or_dash(&statuses, "<br/>"),
            or_dash(&errors.iter().map(|error| escape(error)).collect::<Vec<_>>(), "<br/>"),
        )
    });
    table(&heads, rows)
}

/// What else a reader should know.
pub(super) fn notes(runs: &[Run<'_>]) -> String {
    let note = |run: &Run<'_>, note: &String| match runs {
        [_] => format!("<p>{}</p>\n", escape(note)),
        _ => format!("<p>{}: {}</p>\n", escape(run.name), escape(note)),
    };
    runs.iter().flat_map(|run| run.report.notes.iter().map(move |text| note(run, text))).collect()
}

/// The distributions of all runs in figures.
pub(crate) fn times(runs: &[Run<'_>]) -> String {
    let mut text = "<h2>Times</h2>\n<p class=\"quiet\">Latency and first byte count from when a request was due, service from its sending, \
                    TLS's handshake and resumption from TCP's end. A quantile is told where at least one sample is expected beyond it.</p>\n"
        .to_owned();
    for run in runs {
        if runs.len() > 1 {
            text.push_str(&format!("<h3><span class=\"swatch s{}\"></span>{}</h3>\n", run.colour, escape(run.name)));
        }
        let distributions = run.report.distributions();
        let row = |name: &str, cell: &dyn Fn(&Distribution) -> String| {
            let cells = distributions.iter().map(|(_, times)| format!("<td class=\"n\">{}</td>", cell(times)));
            format!("<th class=\"row\">{name}</th>{}", cells.collect::<String>())
        };
        let mut rows = vec![
            row("count", &|times| words::count(times.count())),
            row("min", &|times| words::time(times.min_ns() as f64)),
            row("mean", &|times| words::time(times.mean_ns())),
            row("deviation", &|times| words::time(times.deviation_ns())),
        ];
        rows.extend(PERCENTILES.map(|percent| row(&words::percentile(percent), &|times| quantile(times, percent))));
        rows.push(row("max", &|times| words::time(times.max_ns() as f64)));
        let heads: Vec<String> = distributions.iter().map(|(name, _)| (*name).to_owned()).collect();
        text.push_str(&table(&heads, rows.into_iter()));
    }
    text
}

/// How each run was made.
pub(crate) fn settings(runs: &[Run<'_>]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, _) in runs.iter().flat_map(|run| &run.report.about.settings) {
        if seen.insert(name) {
            names.push(name);
        }
    }
    let value = |run: &Run<'_>, name: &str| {
        let setting = run.report.about.settings.iter().find(|(other, _)| other == name);
        setting.map_or("–".to_owned(), |(_, value)| escape(value))
    };
    let mut rows: Vec<String> = vec![setting_row("started", runs.iter().map(|run| escape(&run.report.about.started)))];
    let length = |run: &Run<'_>| words::time(run.report.recording.elapsed_ns as f64);
    rows.push(setting_row("lasted", runs.iter().map(length)));
    rows.extend(names.iter().map(|name| setting_row(name, runs.iter().map(|run| value(run, name)))));
    rows.push(setting_row("machine", runs.iter().map(|run| escape(&run.report.about.machine.to_string()))));
    rows.push(setting_row("load generator", runs.iter().map(|run| escape(&run.report.about.generator))));
    let heads: String = match runs {
        [_] => String::new(),
        _ => {
            let heads = runs
                .iter()
                .map(|run| format!("<th><span class=\"swatch s{}\"></span>{}</th>", run.colour, escape(run.name)));
            format!("<thead><tr><th></th>{}</tr></thead>", heads.collect::<String>())
        }
    };
    let rows: String = rows.iter().map(|row| format!("<tr>{row}</tr>\n")).collect();
    format!(
        "<h2>Settings and machine</h2>\n<div class=\"scroll\"><table>{heads}<tbody>\n{rows}</tbody></table></div>\n"
    )
}

/// A table whose first column names the rows; a row is its cells with their tags.
fn table(heads: &[String], rows: impl Iterator<Item = String>) -> String {
    let heads: String = heads.iter().map(|head| format!("<th class=\"n\">{}</th>", escape(head))).collect();
    let rows: String = rows.map(|row| format!("<tr>{row}</tr>\n")).collect();
    format!(
        "<div class=\"scroll\"><table><thead><tr><th></th>{heads}</tr></thead><tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn setting_row(name: &str, values: impl Iterator<Item = String>) -> String {
    let values: String = values.map(|value| format!("<td>{value}</td>")).collect();
    format!("<th>{}</th>{values}", escape(name))
}

fn row_head(run: &Run<'_>) -> String {
    format!("<th class=\"row\"><span class=\"swatch s{}\"></span>{}</th>", run.colour, escape(run.name))
}

fn quantile(times: &Distribution, percent: f64) -> String {
    if can_tell(times, percent) { words::time(times.quantile_ns(percent / 100.0) as f64) } else { "–".to_owned() }
}

fn or_dash(parts: &[String], between: &str) -> String {
    if parts.is_empty() { "–".to_owned() } else { parts.join(between) }
}
