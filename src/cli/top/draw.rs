//! The screen. It is made for 80 columns and 24 lines, uses what is more, and tells everything without colours too.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Sparkline};

use super::super::figures::{bytes, completed, duration, grouped, lasted, rate, short, standing};
use super::super::status::phase;
use super::app::{App, Point, View};
use super::table::{self, Column};
use crate::control::{ServerState, Status};

/// Columns of the text beside a sparkline.
const LEGEND_WIDTH: u16 = 22;
/// Lines of a sparkline.
const CHART_HEIGHT: u16 = 3;

/// Charts whose values have a unit.
const BUSIEST: &str = "busiest shard";
const LATENCY: &str = "latency p99";

const HELP: [(&str, &str); 13] = [
    ("1 to 5, tab", "overview, shards, routes, upstreams, servers"),
    ("s", "sort by the next column"),
    ("r", "turn the order around"),
    ("/", "show only rows that contain a text; esc shows all"),
    ("p, space", "pause, and go on"),
    ("up, down", "scroll; page up, page down, home"),
    ("?", "this"),
    ("q, ctrl-c", "quit"),
    ("", ""),
    ("P50, P99", "what 50 and 99 of 100 requests took at most just now: of a"),
    ("", "route to its answer's end, of an upstream to its answer's head"),
    ("MEAN", "the mean of a server to its answer's head"),
    ("AGAIN/S", "requests that were sent again"),
];

/// Draws all of it, at the time `now`.
pub(super) fn draw(frame: &mut Frame<'_>, app: &App, now: Instant) {
    let lines = [Constraint::Length(1), Constraint::Length(1), Constraint::Min(0), Constraint::Length(1)];
    let [title, tabs, body, foot] = Layout::vertical(lines).areas(frame.area());
    frame.render_widget(Paragraph::new(title_line(app)).style(bar()), title);
    frame.render_widget(Paragraph::new(tabs_line(app)), tabs);
    match (&app.now, app.view) {
        (None, _) => {}
        (Some(sample), View::Overview) => overview(frame, app, &sample.status, body),
        (Some(_), _) => rows(frame, app, body),
    }
    frame.render_widget(Paragraph::new(foot_line(app, now)), foot);
    if app.shows_help {
        help(frame, app);
    }
}

/// A bar is told from the rest without colours.
fn bar() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// `colour`, if colours are wanted.
fn coloured(app: &App, colour: Color) -> Style {
    if app.colours { Style::new().fg(colour) } else { Style::new() }
}

fn title_line(app: &App) -> Line<'static> {
    let Some(sample) = &app.now else { return Line::from(format!(" Ringway at {}", app.address)) };
    let status = &sample.status;
    let generation = if status.supervised { format!("  gen {}", status.generation) } else { String::new() };
    let config = status.config.as_deref().unwrap_or("embedded default");
    let (doing, uptime) = (phase(status.phase), lasted(status.uptime_s));
    let text = format!(" Ringway {}  {doing} {uptime}  pid {}{generation}  {config}", status.version, status.pid);
    Line::from(text)
}

fn tabs_line(app: &App) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for (index, view) in View::ALL.into_iter().enumerate() {
        let text = format!(" {} {} ", index + 1, view.title());
        spans.push(if view == app.view { Span::styled(text, bar()) } else { Span::raw(text) });
        spans.push(Span::raw(" "));
    }
    if app.is_paused {
        spans.push(Span::styled("  PAUSED, p goes on", strong()));
    }
    Line::from(spans)
}

/// What is wrong, else what is typed, else what can be.
fn foot_line(app: &App, now: Instant) -> Line<'static> {
    if let Some(trouble) = &app.trouble {
        let age = app.now.as_ref().map_or(0, |sample| now.saturating_duration_since(sample.at).as_secs());
        let text = format!(" {} old, trying again: {trouble}", lasted(age));
        return Line::styled(text, coloured(app, Color::Red).add_modifier(Modifier::REVERSED));
    }
    if app.is_filtering {
        return Line::from(format!(" show only rows with: {}_   enter keeps it, esc shows all", app.filter));
    }
    if !app.filter.is_empty() && app.view != View::Overview {
        return Line::from(format!(
            " only rows with \"{}\"  esc shows all  s sort  r reverse  ? help  q quit",
            app.filter
        ));
    }
    let keys = if app.view == View::Overview { " tab view" } else { " tab view  s sort  r reverse  / filter" };
    Line::from(format!("{keys}  p pause  ? help  q quit"))
}

fn overview(frame: &mut Frame<'_>, app: &App, status: &Status, area: Rect) {
    let [_, charts, _, words] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(4 * CHART_HEIGHT),
        Constraint::Length(1),
        Constraint::Min(0),
    ])
    .areas(area);
    let areas: [Rect; 4] = Layout::vertical([Constraint::Length(CHART_HEIGHT); 4]).areas(charts);
    let of = |value: fn(&Point) -> f64| app.history.iter().map(value).collect::<Vec<_>>();
    let per_second = |value: f64| rate(Some(value));
    chart(frame, app, areas[0], "requests/s", &of(|point| point.requests), Color::Cyan, per_second);
    let has_latency = app.history.iter().any(|point| point.latency.is_some());
    if has_latency {
        let latency = of(|point| point.latency.map_or(0.0, |(_, high)| high));
        let median = app.history.iter().rev().find_map(|point| point.latency).map_or(0.0, |(median, _)| median);
        let shown = |value: f64| format!("{}, p50 {}", duration(value), duration(median));
        chart(frame, app, areas[1], LATENCY, &latency, Color::Magenta, shown);
    } else {
        let busy = of(|point| point.busy * 100.0);
        chart(frame, app, areas[1], BUSIEST, &busy, Color::Magenta, |value| format!("{value:.0} %"));
    }
    chart(frame, app, areas[2], "failures/s", &of(|point| point.failures), Color::Red, per_second);
    let clients = |value: f64| grouped(value as u64);
    chart(frame, app, areas[3], "clients connected", &of(|point| point.connections), Color::Green, clients);
    frame.render_widget(Paragraph::new(summary(app, status)), words);
}

/// A name, the last value and the largest, beside the sparkline of the values, the last one at the right edge.
fn chart(
    frame: &mut Frame<'_>,
    app: &App,
    area: Rect,
    name: &str,
    values: &[f64],
    colour: Color,
    shown: impl Fn(f64) -> String,
) {
    let [legend, line] = Layout::horizontal([Constraint::Length(LEGEND_WIDTH), Constraint::Min(0)]).areas(area);
    let last = values.last().map_or_else(|| "-".to_owned(), |value| shown(*value));
    let width = usize::from(line.width.saturating_sub(1));
    let visible = &values[values.len().saturating_sub(width)..];
    let peak = visible.iter().copied().fold(0.0, f64::max);
    let most = if visible.is_empty() { String::new() } else { format!("  peak {}", short_of(peak, name)) };
    let text = vec![Line::styled(format!(" {name}"), strong()), Line::from(format!("  {last}")), Line::from(most)];
    frame.render_widget(Paragraph::new(text), legend);
    // The largest value fills the chart, unless there is a largest that could be.
    let full = if name == BUSIEST { 100.0 } else { peak };
    let scale = if full > 0.0 { 1000.0 / full } else { 0.0 };
    let empty = width - visible.len();
    let data = std::iter::repeat_n(0, empty).chain(visible.iter().map(|value| (value * scale).round() as u64));
    let sparkline = Sparkline::default().data(data.collect::<Vec<u64>>()).max(1000).style(coloured(app, colour));
    frame.render_widget(sparkline, Rect { width: line.width.saturating_sub(1), ..line });
}

/// The peak of a chart, in the unit of its name.
fn short_of(value: f64, name: &str) -> String {
    match name {
        LATENCY => duration(value),
        BUSIEST => format!("{value:.0} %"),
        _ => rate(Some(value)),
    }
}

/// What a chart does not tell.
fn summary(app: &App, status: &Status) -> Vec<Line<'static>> {
    let (totals, rates) = (&status.totals, app.rates());
    let bytes_a_second = |now, of: fn(&Status) -> u64| bytes(rates.of(now, |before| Some(of(before))).unwrap_or(0.0));
    let received = bytes_a_second(totals.bytes_received, |status| status.totals.bytes_received);
    let sent = bytes_a_second(totals.bytes_sent, |status| status.totals.bytes_sent);
    let done = completed(status);
    let named =
        |name: &str, text: String| Line::from(vec![Span::styled(format!(" {name:<10}"), strong()), text.into()]);
    let mut lines = vec![
        named("requests", format!("{} in all, {done} completed", grouped(totals.exchanges))),
        named("bytes", format!("{received}/s received, {sent}/s sent, on all sockets")),
        named("listening", status.listening.join(", ")),
        named("shards", shards_told(app, status)),
        named("servers", servers_told(status)),
    ];
    let mut failed: Vec<_> = totals.outcomes.iter().filter(|(word, _)| *word != "completed").collect();
    failed.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    if !failed.is_empty() {
        let told: Vec<String> =
            failed.iter().map(|(word, count)| format!("{word} {}", short(**count as f64))).collect();
        lines.push(named("failed", told.join(", ")));
    }
    if let Some(reason) = &status.reloads.last_refusal {
        let first = reason.lines().next().unwrap_or_default();
        lines.push(named("reload", format!("the last one was refused: {first}")));
    }
    lines
}

fn shards_told(app: &App, status: &Status) -> String {
    let busiest = app.history.back().map(|point| format!(", the busiest {:.0} % busy", point.busy * 100.0));
    let stuck = status.shards.iter().filter(|shard| !shard.ticks).count();
    let stuck = if stuck > 0 { format!("; {stuck} STUCK") } else { String::new() };
    format!("{} on {}{}{stuck}", status.shards.len(), status.io, busiest.unwrap_or_default())
}

/// How many servers get requests, and which do not.
fn servers_told(status: &Status) -> String {
    let servers = || status.upstreams.iter().flat_map(|upstream| &upstream.servers);
    let up = servers().filter(|server| server.state == ServerState::Up).count();
    let mut told = format!("{up} of {} up", servers().count());
    for server in servers().filter(|server| server.state != ServerState::Up) {
        told += &format!("; {} {}", server.address, standing(server, status.shards.len()));
    }
    told
}

fn rows(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let columns = table::columns(app.view);
    let widths = widths(columns, area.width);
    let rows = app.rows();
    let height = usize::from(area.height.saturating_sub(2));
    // What was scrolled to may have gone; the last page stays full.
    let offset = app.offset.min(rows.len().saturating_sub(height));
    let mut lines = vec![Line::from(""), head(app, columns, &widths)];
    if rows.is_empty() {
        lines.push(Line::from(if app.filter.is_empty() { "  none" } else { "  no row has this text" }));
    }
    for row in rows.iter().skip(offset).take(height) {
        lines.push(Line::from_iter(row.iter().zip(columns).zip(&widths).flat_map(|((cell, column), width)| {
            let style = if cell.is_bad { coloured(app, Color::Red).add_modifier(Modifier::BOLD) } else { Style::new() };
            [Span::styled(placed(&cell.text, column, *width), style), Span::raw(" ")]
        })));
    }
    frame.render_widget(Paragraph::new(lines), area);
    if rows.len() > height {
        let text = format!(" {}-{} of {} ", offset + 1, (offset + height).min(rows.len()), rows.len());
        let width = (text.len() as u16).min(area.width);
        let place = Rect { x: area.right() - width, y: area.y, width, height: 1.min(area.height) };
        frame.render_widget(Paragraph::new(text), place);
    }
}

/// The titles, the one that is sorted by marked by the direction.
fn head(app: &App, columns: &[Column], widths: &[usize]) -> Line<'static> {
    let order = app.orders[app.view as usize];
    let title = |(index, (column, width)): (usize, (&Column, &usize))| {
        let is_sorted = order.column == Some(index);
        let mark = if order.reversed { "^" } else { "v" };
        // The mark stands in for the last letter where there is no room beside it.
        let kept = column.title.len().min(width - usize::from(is_sorted));
        let text = if is_sorted { format!("{}{mark}", &column.title[..kept]) } else { column.title.to_owned() };
        let style = if is_sorted { bar() } else { strong() };
        [Span::styled(placed(&text, column, *width), style), Span::raw(" ")]
    };
    Line::from_iter(columns.iter().zip(widths).enumerate().flat_map(title))
}

/// The widths of the columns. What the terminal has beyond 80 goes to texts.
fn widths(columns: &[Column], width: u16) -> Vec<usize> {
    let taken: u16 = columns.iter().map(|column| column.width + 1).sum();
    let texts = columns.iter().filter(|column| !column.is_fixed).count().max(1);
    let more = usize::from(width.saturating_sub(taken)) / texts;
    columns.iter().map(|column| usize::from(column.width) + if column.is_fixed { 0 } else { more }).collect()
}

/// `text` at its side of a column, cut where it is too long.
fn placed(text: &str, column: &Column, width: usize) -> String {
    let mut shown: String = text.chars().take(width).collect();
    if shown.chars().count() < text.chars().count() {
        shown.pop();
        shown.push('…');
    }
    if column.is_number { format!("{shown:>width$}") } else { format!("{shown:<width$}") }
}

fn help(frame: &mut Frame<'_>, app: &App) {
    let area = frame.area();
    let (width, height) = (78.min(area.width), (HELP.len() as u16 + 4).min(area.height));
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    let mut lines: Vec<Line<'_>> = HELP.iter().map(|(keys, what)| Line::from(format!(" {keys:<13} {what}"))).collect();
    lines.push(Line::from(format!(" watching {}", app.address)));
    lines.push(Line::from(" any key closes this"));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" ringway top ")), place);
}
