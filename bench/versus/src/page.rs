//! The report as one page, with the means of the load generator's: bars with intervals, and the ratios at a glance.

use std::fmt::Write;

use bench_common::statistics::{Estimate, Spread, VALUES_MIN};
use loadgen::report::html::{
    COLOURS, document, escape, figure,
    plot::{Axis, Plot},
};

use crate::report::{BOUNDED, IdleReport, Report, ScenarioReport, Settings, Summary, latency_text};

/// Room for names beside a plot.
const NAMES: f64 = 150.0;
/// Height of a row, and of what stands above and below all rows.
const ROW: f64 = 28.0;
const FRAME: f64 = 58.0;
/// Room behind the longest bar, for its words, as a share of it.
const WORDS: f64 = 1.75;

/// One target in one plot.
struct Row<'a> {
    colour: usize,
    name: &'a str,
    value: Spread,
    ratio: Option<Estimate>,
}

/// The page.
pub(crate) fn page(report: &Report) -> String {
    let title = format!("Ringway beside its peers, {}", report.host.date);
    let mut body = format!("<h1>{}</h1>\n", escape(&title));
    body.push_str(&circumstances(report));
    body.push_str(&overview(report));
    for scenario in &report.scenarios {
        body.push_str(&requests(scenario, &report.settings));
    }
    for idle in &report.idle {
        body.push_str(&memory(idle, &report.settings));
    }
    document(&title, &body)
}

fn circumstances(report: &Report) -> String {
    let Settings { rounds, seconds, warm_up_seconds, .. } = report.settings;
    let host = report.host.to_string();
    let (machine, versions) = host.split_once('\n').unwrap_or((&host, ""));
    let few = match rounds as usize {
        rounds if rounds < VALUES_MIN => {
            format!(" With fewer than {VALUES_MIN} rounds an interval is the ratios' range.")
        }
        _ => String::new(),
    };
    format!(
        "<p class=\"quiet\">{machine}<br/>{versions}<br/>{command}</p>\n\
         <p>One core and one worker for each proxy; upstream and load share another. The targets take turns, {rounds} rounds of \
         {seconds} s after {warm_up_seconds} s of warm-up. What is compared is the proxy's own CPU time, user and kernel, over the requests that \
         it served: bars are medians over the clean rounds, whiskers reach from the lowest round to the highest, and a ratio is taken \
         within each round, with the interval that holds its median in 95 of 100 cases (bootstrap).{few}</p>\n",
        machine = escape(machine),
        versions = escape(versions).replace('\n', "; "),
        command = escape(&report.command),
    )
}

/// Ratios of all scenarios: a row for each, a column for each target.
fn overview(report: &Report) -> String {
    let names = &report.settings.targets;
    let mut text = String::from("<h2>Ratios</h2>\n<div class=\"scroll\"><table>\n<tr><th>work</th>");
    for name in names {
        push(&mut text, format_args!("<th class=\"n\">{}</th>", escape(name)));
    }
    text.push_str("<th class=\"n\">of</th></tr>\n");
    let requests = report.scenarios.iter().map(|scenario| {
        let ratios = scenario.targets.iter().map(|target| (&*target.target, target.ratio.median)).collect::<Vec<_>>();
        (&scenario.scenario, &scenario.reference, ratios)
    });
    let memory = report.idle.iter().map(|idle| {
        let ratios = idle.targets.iter().map(|target| (&*target.target, target.ratio.median)).collect::<Vec<_>>();
        (&idle.scenario, &idle.reference, ratios)
    });
    for (scenario, reference, ratios) in requests.chain(memory) {
        push(&mut text, format_args!("<tr><th class=\"row\">{}</th>", escape(scenario)));
        for name in names {
            let ratio = ratios.iter().find(|(target, _)| target == name);
            let ratio = ratio.map_or("–".to_owned(), |(_, ratio)| format!("{ratio:.2}"));
            push(&mut text, format_args!("<td class=\"n\">{ratio}</td>"));
        }
        push(&mut text, format_args!("<td class=\"n\">{}</td></tr>\n", escape(reference)));
    }
    text.push_str("</table></div>\n<p class=\"quiet\">Of CPU time a request; of idle connections, of user memory. Less is better.</p>\n");
    text
}

fn requests(scenario: &ScenarioReport, settings: &Settings) -> String {
    let rows = |value: fn(&Summary) -> Spread, has_ratio: bool| -> Vec<Row<'_>> {
        let row = |target| Row {
            colour: colour(settings, target_name(target)),
            name: target_name(target),
            value: value(target),
            ratio: has_ratio.then_some(target.ratio_estimate),
        };
        scenario.targets.iter().map(row).collect()
    };
    let mut text = heading(&scenario.scenario, &scenario.circumstances());
    let of = format!("CPU time of the proxy a request, µs (× {})", scenario.reference);
    text.push_str(&bars(&of, &rows(|target| target.proxy_us_per_request, true), |us| format!("{us:.2} µs")));
    if scenario.per_second.is_some() {
        // By the clock, how long an answer takes is the question.
        let time = |us: f64| if us < 1000.0 { format!("{us:.0} µs") } else { format!("{:.1} ms", us / 1000.0) };
        text.push_str(&bars("99 of 100 answers came within", &rows(|target| target.latency_p99_us, false), time));
    }
    text.push_str(&figures(scenario));
    text
}

fn target_name(target: &Summary) -> &str {
    &target.target
}

/// The other figures of a scenario.
fn figures(scenario: &ScenarioReport) -> String {
    let mut text = String::from(
        "<div class=\"scroll\"><table>\n<tr><th>target</th><th class=\"n\">both cores, µs</th><th class=\"n\">requests/s</th>\
         <th class=\"n\">p50, µs</th><th class=\"n\">p99, µs</th><th class=\"n\">cores busy</th></tr>\n",
    );
    for target in &scenario.targets {
        let mark = if target.is_bounded_by_the_load() { " *" } else { "" };
        push(
            &mut text,
            format_args!(
                "<tr><th class=\"row\">{}</th><td class=\"n\">{:.1}</td><td class=\"n\">{:.0}{mark}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
                escape(&target.target),
                target.total_us_per_request.median,
                target.requests_per_second.median,
                latency_text(target.latency_p50_us),
                latency_text(target.latency_p99_us),
                target.cores(),
            ),
        );
    }
    text.push_str("</table></div>\n");
    if scenario.targets.iter().any(Summary::is_bounded_by_the_load) {
        push(&mut text, format_args!("<p class=\"quiet\">{BOUNDED}</p>\n"));
    }
    text
}

fn memory(idle: &IdleReport, settings: &Settings) -> String {
    let row = |value: Spread, target: &'_ str, ratio| Row { colour: colour(settings, target), name: "", value, ratio };
    let mut text = heading(&idle.scenario, &idle.circumstances());
    let user: Vec<Row<'_>> = idle
        .targets
        .iter()
        .map(|target| Row {
            name: &target.target,
            ..row(target.user_bytes, &target.target, Some(target.ratio_estimate))
        })
        .collect();
    let bytes = |bytes: f64| format!("{bytes:.0} B");
    text.push_str(&bars(&format!("User memory a connection (× {})", idle.reference), &user, bytes));
    let kernel: Vec<Row<'_>> = idle
        .targets
        .iter()
        .filter_map(|target| Some(Row { name: &target.target, ..row(target.kernel_bytes?, &target.target, None) }))
        .collect();
    if !kernel.is_empty() {
        text.push_str(&bars("Memory of the kernel a connection, both ends", &kernel, bytes));
    }
    text
}

fn heading(scenario: &str, circumstances: &str) -> String {
    format!("<h2>{}</h2>\n<p class=\"quiet\">{}</p>\n", escape(scenario), escape(circumstances))
}

/// A bar for each row, with the range of its rounds and, behind it, its figure and its ratio.
fn bars(title: &str, rows: &[Row<'_>], words: impl Fn(f64) -> String) -> String {
    let high = rows.iter().map(|row| row.value.max).fold(0.0, f64::max);
    let mut plot = Plot::with_names(
        title,
        NAMES,
        FRAME + rows.len() as f64 * ROW,
        Axis::linear("", high * WORDS, |value| if value > high * 1.01 { String::new() } else { words(value) }),
        Axis::places(rows.len() as f64),
    );
    plot.title(title);
    for (index, Row { colour, name, value, ratio }) in rows.iter().enumerate() {
        let y = rows.len() as f64 - index as f64 - 0.5;
        let figure = words(value.median);
        plot.words("end name", 0.0, y, -12.0, name);
        plot.rectangles(
            &format!("bar s{colour}"),
            [[(0.0, y - 0.3), (value.median.max(0.0), y + 0.3)]].into_iter(),
            &figure,
        );
        plot.interval("whisker ink", y, value.min.max(0.0), value.max.max(0.0));
        let ratio = ratio.map_or_else(String::new, |ratio| {
            format!("  ·  {:.2} × [{:.2}, {:.2}]", ratio.median, ratio.low, ratio.high)
        });
        plot.words("name", value.max.max(0.0), y, 12.0, &format!("{figure}{ratio}"));
    }
    figure("", &plot.finish(), "")
}

/// The colour of a target, the same in all plots.
fn colour(settings: &Settings, target: &str) -> usize {
    settings.targets.iter().position(|name| name == target).unwrap_or(0) % COLOURS
}

fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a String takes whatever is written");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    /// Fails unless each tag is closed by its own end, as XML asks for.
    fn assert_well_formed(page: &str) {
        let body = page.strip_prefix("<!DOCTYPE html>").expect("a page says what it is");
        let mut open: Vec<&str> = Vec::new();
        for part in body.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("an open tag: {part}"));
            assert!(!text.contains('>'), "a bracket that was not escaped: {text}");
            assert!(tag.matches('"').count().is_multiple_of(2), "an open quote: {tag}");
            let name = tag.split([' ', '\n']).next().unwrap_or(tag);
            match name.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None if tag.ends_with('/') => {}
                None => open.push(name),
            }
        }
        assert!(open.is_empty(), "{open:?}");
        for (position, _) in body.match_indices('&') {
            let rest = &body[position..];
            assert!(
                ["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|entity| rest.starts_with(entity)),
                "{}",
                &rest[..20]
            );
        }
    }

    #[test]
    fn the_page_is_well_formed_and_loads_nothing() {
        let page = page(&report(None));
        assert_well_formed(&page);
        for forbidden in ["<script", "<link", "<img", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf"), "a figure that is none");
        assert!(page.contains("a &lt;fast&gt; one") && page.contains("nginx 1 &amp; 2"));
    }

    #[test]
    fn every_scenario_has_its_bars() {
        let page = page(&report(None));
        for label in [
            "CPU time of the proxy a request, µs (× nginx)",
            "99 of 100 answers came within",
            "User memory a connection (× nginx)",
            "Memory of the kernel a connection, both ends",
        ] {
            let drawn = page.matches(&format!("role=\"img\" aria-label=\"{label}\"")).count();
            assert_eq!(drawn, if label.starts_with("CPU") { 2 } else { 1 }, "{label}");
        }
        // What is lowest is not mistaken for what it is compared with.
        assert!(page.contains("0.80 × [0.60, 1.00]"));
        assert!(page.contains("<th class=\"row\">idle@1000</th><td class=\"n\">–</td><td class=\"n\">1.00</td>"));
    }
}
