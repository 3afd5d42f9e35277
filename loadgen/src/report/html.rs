//! One page with plots, complete in one file: it loads nothing and runs nothing.
//!
//! `bench/versus` draws its page by the same means: [`document`], [`figure()`] and [`plot`].

pub(crate) mod charts;
pub(crate) mod parts;
pub mod plot;

use super::Report;

/// Series that have a colour of their own; more begin again with the first.
pub const COLOURS: usize = 6;

const STYLE: &str = include_str!("html/style.css");

/// A page on one run, or on several in the same plots.
#[must_use]
pub fn page(title: &str, reports: &[Report]) -> String {
    let names = names(reports);
    let runs: Vec<Run<'_>> = reports
        .iter()
        .zip(&names)
        .enumerate()
        .map(|(position, (report, name))| Run { colour: position % COLOURS, name, report })
        .collect();
    let mut body = parts::head(title, &runs);
    body.push_str(&match &*runs {
        [run] => parts::cards(run),
        _ => parts::overview(&runs),
    });
    body.push_str(&charts::percentiles(&runs));
    body.push_str(&charts::over_time(&runs));
    body.push_str(&charts::heat_maps(&runs));
    body.push_str(&charts::errors(&runs));
    body.push_str(&parts::counts(&runs));
    body.push_str(&parts::notes(&runs));
    body.push_str(&parts::times(&runs));
    body.push_str(&parts::settings(&runs));
    document(title, &body)
}

/// One of the runs on a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    /// Its colour's number.
    pub(crate) colour: usize,
    /// What tells it from the others.
    pub(crate) name: &'a str,
    pub(crate) report: &'a Report,
}

/// A whole page around `body`.
#[must_use]
pub fn document(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<title>{}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(title)
    )
}

/// A figure with its caption.
#[must_use]
pub fn figure(legend: &str, drawing: &str, caption: &str) -> String {
    format!("<figure>\n{legend}{drawing}<figcaption>{caption}</figcaption>\n</figure>\n")
}

/// What each colour or stroke means; nothing where there is nothing to tell apart.
#[must_use]
pub fn legend(entries: &[(usize, plot::Stroke, String)]) -> String {
    if entries.len() < 2 {
        return String::new();
    }
    let entry = |(colour, stroke, name): &(usize, plot::Stroke, String)| {
        let class = match stroke {
            plot::Stroke::Plain => "line",
            plot::Stroke::Dashed => "line dash",
            plot::Stroke::Dotted => "line dot",
        };
        format!(
            "<span><svg viewBox=\"0 0 30 10\" aria-hidden=\"true\"><path class=\"{class} s{colour}\" d=\"M1 5H29\"/></svg>{}</span>",
            escape(name)
        )
    };
    format!("<div class=\"legend\">{}</div>\n", entries.iter().map(entry).collect::<String>())
}

/// Text as it stands between tags and in attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A name for each run: its own, with the time where several have the same.
fn names(reports: &[Report]) -> Vec<String> {
    let name = |report: &Report| {
        let about = &report.about;
        match reports.iter().filter(|other| other.about.name == about.name).count() {
            0 | 1 => about.name.clone(),
            _ => format!("{} ({})", about.name, about.started),
        }
    };
    reports.iter().map(name).collect()
}

#[cfg(test)]
mod tests;
