//! What `top` knows, and what its keys do.

use std::collections::{HashMap, VecDeque};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::super::figures::{Rates, Sample};
use super::table::{self, Row};
use crate::control::Status;

/// Points of a sparkline that are remembered: as many as a very wide terminal has columns.
const HISTORY_MAX: usize = 512;
/// Points of a sparkline within a table: as many as its column is wide.
const TREND_MAX: usize = table::TREND_WIDTH as usize;
/// Characters of a filter.
const FILTER_CHARS_MAX: usize = 64;

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Overview,
    Shards,
    Routes,
    Upstreams,
    Servers,
}

impl View {
    pub(super) const ALL: [View; 5] = [View::Overview, View::Shards, View::Routes, View::Upstreams, View::Servers];

    pub(super) fn title(self) -> &'static str {
        ["Overview", "Shards", "Routes", "Upstreams", "Servers"][self as usize]
    }
}

/// What a key led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Stay,
    Quit,
}

/// One interval in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Point {
    pub(super) requests: f64,
    pub(super) failures: f64,
    pub(super) connections: f64,
    /// In µs; none where no request ended.
    pub(super) latency: Option<(f64, f64)>,
    /// The share of its time that the busiest shard was busy.
    pub(super) busy: f64,
}

/// Which rows come first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Order {
    /// `None` for the order in which Ringway has them.
    pub(super) column: Option<usize>,
    pub(super) reversed: bool,
}

/// All that the screen shows.
pub(super) struct App {
    /// Who is watched.
    pub(super) address: String,
    pub(super) colours: bool,
    pub(super) view: View,
    pub(super) orders: [Order; View::ALL.len()],
    pub(super) filter: String,
    pub(super) is_filtering: bool,
    pub(super) is_paused: bool,
    pub(super) shows_help: bool,
    /// The first row that is shown.
    pub(super) offset: usize,
    /// Why there is no news.
    pub(super) trouble: Option<String>,
    pub(super) now: Option<Sample>,
    pub(super) before: Option<Sample>,
    pub(super) history: VecDeque<Point>,
    /// The latencies of each route and upstream, that of the last interval last.
    trends: Trends,
}

/// Latencies that 99 of 100 requests stayed below, in µs, by the names of routes and of upstreams. 0 where none ended.
#[derive(Debug, Default)]
pub(super) struct Trends {
    routes: HashMap<String, VecDeque<f64>>,
    upstreams: HashMap<String, VecDeque<f64>>,
}

impl App {
    pub(super) fn new(address: String, colours: bool) -> App {
        App {
            address,
            colours,
            view: View::Overview,
            orders: [Order::default(); View::ALL.len()],
            filter: String::new(),
            is_filtering: false,
            is_paused: false,
            shows_help: false,
            offset: 0,
            trouble: None,
            now: None,
            before: None,
            history: VecDeque::new(),
            trends: Trends::default(),
        }
    }

    /// Takes note of a look at Ringway. What is paused stays as it is, but says when nobody is there any more.
    pub(super) fn learn(&mut self, sample: Result<Sample, String>) {
        let sample = match sample {
            Ok(sample) => sample,
            Err(trouble) => return self.trouble = Some(trouble),
        };
        self.trouble = None;
        if self.is_paused {
            return;
        }
        self.before = self.now.take();
        self.history.extend(point(self.before.as_ref(), &sample));
        if self.history.len() > HISTORY_MAX {
            self.history.pop_front();
        }
        self.trends.learn(&Rates::between(self.before.as_ref(), &sample), &sample.status);
        self.now = Some(sample);
    }

    /// Does what a key is for.
    pub(super) fn press(&mut self, key: KeyEvent) -> Next {
        if key.kind == KeyEventKind::Release {
            return Next::Stay;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Next::Quit } else { Next::Stay };
        }
        if self.is_filtering {
            self.edit_filter(key.code);
            return Next::Stay;
        }
        if self.shows_help {
            self.shows_help = false;
            return if key.code == KeyCode::Char('q') { Next::Quit } else { Next::Stay };
        }
        match key.code {
            KeyCode::Char('q') => return Next::Quit,
            KeyCode::Char('?' | 'h') => self.shows_help = true,
            KeyCode::Char(digit @ '1'..='5') => self.show(View::ALL[digit as usize - '1' as usize]),
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(View::ALL.len() - 1),
            KeyCode::Char('s') => self.sort_by_next(),
            KeyCode::Char('r') => self.orders[self.view as usize].reversed ^= true,
            KeyCode::Char('/') => self.is_filtering = true,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('p' | ' ') => self.is_paused ^= true,
            KeyCode::Down | KeyCode::Char('j') => self.offset = self.offset.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.offset = self.offset.saturating_sub(1),
            KeyCode::PageDown => self.offset = self.offset.saturating_add(10),
            KeyCode::PageUp => self.offset = self.offset.saturating_sub(10),
            KeyCode::Home => self.offset = 0,
            _ => {}
        }
        self.offset = self.offset.min(self.rows().len().saturating_sub(1));
        Next::Stay
    }

    /// The rows of the view, filtered and in order.
    pub(super) fn rows(&self) -> Vec<Row> {
        let Some(now) = &self.now else { return Vec::new() };
        let mut rows = table::rows(self.view, now, &self.rates(), &self.trends);
        let wanted = self.filter.to_lowercase();
        rows.retain(|row| row.iter().any(|cell| cell.text.to_lowercase().contains(&wanted)));
        let Order { column, reversed } = self.orders[self.view as usize];
        if let Some(column) = column {
            rows.sort_by(|one, other| one[column].compare(&other[column]));
        }
        if reversed {
            rows.reverse();
        }
        rows
    }

    /// Rates over the last interval.
    pub(super) fn rates(&self) -> Rates<'_> {
        match &self.now {
            Some(now) => Rates::between(self.before.as_ref(), now),
            None => Rates::NONE,
        }
    }

    fn show(&mut self, view: View) {
        self.view = view;
        self.offset = 0;
    }

    fn turn(&mut self, steps: usize) {
        self.show(View::ALL[(self.view as usize + steps) % View::ALL.len()]);
    }

    /// By the first column, the second, …, and back to the order in which Ringway has them.
    fn sort_by_next(&mut self) {
        let columns = table::columns(self.view).len();
        let order = &mut self.orders[self.view as usize];
        order.column = match order.column {
            None if columns > 0 => Some(0),
            Some(column) if column + 1 < columns => Some(column + 1),
            _ => None,
        };
        self.offset = 0;
    }

    fn edit_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_filtering = false;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(char) if self.filter.chars().count() < FILTER_CHARS_MAX => self.filter.push(char),
            _ => {}
        }
        self.offset = 0;
    }
}

impl Trends {
    pub(super) fn route(&self, name: &str) -> Option<&VecDeque<f64>> {
        self.routes.get(name)
    }

    pub(super) fn upstream(&self, name: &str) -> Option<&VecDeque<f64>> {
        self.upstreams.get(name)
    }

    /// Adds what happened in an interval; what is no more is forgotten.
    fn learn(&mut self, rates: &Rates<'_>, status: &Status) {
        let routes = status.routes.iter().enumerate();
        let routes = routes.map(|(place, route)| (route.name.as_str(), rates.of_route(place, route).high_us));
        self.routes = continued(&mut self.routes, routes);
        let upstreams = status.upstreams.iter();
        let upstreams = upstreams.map(|upstream| (upstream.name.as_str(), rates.of_upstream(upstream).high_us));
        self.upstreams = continued(&mut self.upstreams, upstreams);
    }
}

fn continued<'a>(
    before: &mut HashMap<String, VecDeque<f64>>,
    points: impl Iterator<Item = (&'a str, Option<f64>)>,
) -> HashMap<String, VecDeque<f64>> {
    let mut longer = |(name, point): (&str, Option<f64>)| {
        let (name, mut trend) = before.remove_entry(name).unwrap_or_else(|| (name.to_owned(), VecDeque::new()));
        trend.push_back(point.unwrap_or(0.0));
        if trend.len() > TREND_MAX {
            trend.pop_front();
        }
        (name, trend)
    };
    points.map(&mut longer).collect()
}

/// What happened between two looks; none if they are not at the same worker.
fn point(before: Option<&Sample>, now: &Sample) -> Option<Point> {
    let rates = Rates::between(before, now);
    let totals = &now.status.totals;
    let requests = rates.of(totals.exchanges, |before| Some(before.totals.exchanges))?;
    let busy = (0..now.status.shards.len()).filter_map(|shard| rates.busy(&now.status, shard));
    Some(Point {
        requests,
        failures: rates.failures(&now.status)?,
        connections: totals.connections_open as f64,
        latency: rates.of_all(&now.status, 0.5).zip(rates.of_all(&now.status, 0.99)),
        busy: busy.fold(0.0, f64::max),
    })
}
