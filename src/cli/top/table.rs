//! Rows of a status: shards, routes, upstreams, servers.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::super::figures::{Rates, Sample, bytes, grouped, latency, rate, short, standing};
use super::app::{Trends, View};
use crate::control::{RouteStatus, ServerState, ServerStatus, ShardStatus, Status, UpstreamStatus};

/// Columns of a sparkline within a table.
pub(super) const TREND_WIDTH: u16 = 13;
/// Nothing, and eight heights.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A column's title, and how wide it is at least. Numbers stand at its right side.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: u16,
    pub(super) is_number: bool,
    /// Whether it stays as wide where there is more room.
    pub(super) is_fixed: bool,
}

/// What stands in one place of a table.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    pub(super) text: String,
    /// What it is sorted by, largest first; text in its own order if there is none.
    value: Option<f64>,
    pub(super) is_bad: bool,
}

pub(super) type Row = Vec<Cell>;

impl Cell {
    fn text(text: impl Into<String>) -> Cell {
        Cell { text: text.into(), value: None, is_bad: false }
    }

    fn number(text: impl Into<String>, value: f64) -> Cell {
        Cell { text: text.into(), value: Some(value), is_bad: false }
    }

    fn rate(value: Option<f64>) -> Cell {
        Cell::number(rate(value), value.unwrap_or(-1.0))
    }

    fn latency(us: Option<f64>) -> Cell {
        Cell::number(latency(us), us.unwrap_or(-1.0))
    }

    /// A sparkline of a line's height, sorted by its last value.
    fn trend(points: Option<&VecDeque<f64>>) -> Cell {
        let points = points.into_iter().flatten();
        let most = points.clone().copied().fold(0.0, f64::max);
        let bar = |point: &f64| {
            let height = if *point > 0.0 { (point / most * 8.0).ceil() as usize } else { 0 };
            BARS[height.min(BARS.len() - 1)]
        };
        let line: String = points.clone().map(bar).collect();
        // The last point stands at the right side, where time has come to.
        let width = usize::from(TREND_WIDTH);
        Cell::number(format!("{line:>width$}"), points.last().copied().unwrap_or(-1.0))
    }

    fn bad_if_any(self) -> Cell {
        let is_any = self.value.is_some_and(|value| value > 0.0);
        self.bad_if(is_any)
    }

    fn bad_if(self, is_bad: bool) -> Cell {
        Cell { is_bad, ..self }
    }

    /// Large numbers first, text by the alphabet.
    pub(super) fn compare(&self, other: &Cell) -> Ordering {
        match (self.value, other.value) {
            (Some(value), Some(others)) => others.total_cmp(&value),
            _ => self.text.cmp(&other.text),
        }
    }
}

const fn text(title: &'static str, width: u16) -> Column {
    Column { title, width, is_number: false, is_fixed: false }
}

const fn number(title: &'static str, width: u16) -> Column {
    Column { title, width, is_number: true, is_fixed: true }
}

const SHARDS: [Column; 10] = [
    number("SHARD", 6),
    number("CORE", 5),
    number("BUSY", 5),
    number("WAIT", 5),
    number("REQ/S", 6),
    number("CLIENTS", 8),
    number("NEW/S", 6),
    number("IN/S", 9),
    number("OUT/S", 9),
    number("PER TURN", 9),
];

const ROUTES: [Column; 8] = [
    text("ROUTE", 19),
    text("UPSTREAM", 9),
    number("REQ/S", 6),
    number("5XX/S", 5),
    number("FAIL/S", 6),
    number("P50", 7),
    number("P99", 7),
    Column { is_fixed: true, ..text("P99 TREND", TREND_WIDTH) },
];

const UPSTREAMS: [Column; 9] = [
    text("UPSTREAM", 11),
    text("UP", 7),
    number("ACTIVE", 6),
    number("REQ/S", 6),
    number("FAIL/S", 6),
    number("AGAIN/S", 7),
    number("P50", 7),
    number("P99", 7),
    Column { is_fixed: true, ..text("P99 TREND", TREND_WIDTH) },
];

const SERVERS: [Column; 8] = [
    text("UPSTREAM", 11),
    text("SERVER", 21),
    text("STATE", 11),
    number("ACTIVE", 6),
    number("REQ/S", 6),
    number("FAIL/S", 6),
    number("MEAN", 7),
    number("IDLE", 4),
];

/// The columns of a view; none where it has no table. With gaps of one they fit into 80.
pub(super) fn columns(view: View) -> &'static [Column] {
    match view {
        View::Overview => &[],
        View::Shards => &SHARDS,
        View::Routes => &ROUTES,
        View::Upstreams => &UPSTREAMS,
        View::Servers => &SERVERS,
    }
}

/// The rows of a view, in the order in which Ringway has them.
pub(super) fn rows(view: View, now: &Sample, rates: &Rates<'_>, trends: &Trends) -> Vec<Row> {
    match view {
        View::Overview => Vec::new(),
        View::Shards => (0..now.status.shards.len()).map(|index| shard(index, &now.status, rates)).collect(),
        View::Routes => routes(&now.status, rates, trends),
        View::Upstreams => upstreams(&now.status, rates, trends),
        View::Servers => servers(&now.status, rates),
    }
}

fn shard(index: usize, status: &Status, rates: &Rates<'_>) -> Row {
    let shard = &status.shards[index];
    let of = |of: fn(&ShardStatus) -> u64| move |before: &Status| before.shards.get(index).map(of);
    let growth = |of_shard: fn(&ShardStatus) -> u64| rates.of(of_shard(shard), of(of_shard));
    let share = |share: Option<f64>| {
        let text = share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0));
        Cell::number(text, share.unwrap_or(-1.0)).bad_if(share.is_some_and(|share| share >= 0.9))
    };
    let bytes_a_second = |of_shard| {
        let value = growth(of_shard);
        Cell::number(value.map_or_else(|| "-".to_owned(), bytes), value.unwrap_or(-1.0))
    };
    let turns = rates.growth(shard.turns, of(|shard| shard.turns));
    let completions = rates.growth(shard.completions, of(|shard| shard.completions));
    let per_turn = completions as f64 / turns.max(1) as f64;
    let name = if shard.ticks { index.to_string() } else { format!("{index}!") };
    let core = shard.core.map_or_else(|| Cell::number("any", -1.0), |core| Cell::number(core.to_string(), core as f64));
    vec![
        // The first shard first: by their numbers, the other way round than quantities.
        Cell::number(name, -(index as f64)).bad_if(!shard.ticks),
        core,
        share(rates.busy(status, index)),
        share(rates.waiting(status, index)),
        Cell::rate(growth(|shard| shard.exchanges)),
        Cell::number(grouped(shard.connections_open), shard.connections_open as f64),
        Cell::rate(growth(|shard| shard.connections_accepted)),
        bytes_a_second(|shard| shard.bytes_received),
        bytes_a_second(|shard| shard.bytes_sent),
        Cell::number(format!("{per_turn:.1}"), per_turn),
    ]
}

fn routes(status: &Status, rates: &Rates<'_>, trends: &Trends) -> Vec<Row> {
    let row = |(place, route): (usize, &RouteStatus)| {
        let used = rates.of_route(place, route);
        let before = |before: &Status| before.routes.get(place).filter(|known| known.name == route.name).cloned();
        let errors =
            used.requests.and_then(|_| rates.of(route.server_errors, |status| Some(before(status)?.server_errors)));
        vec![
            Cell::text(&route.name),
            Cell::text(&route.upstream),
            Cell::rate(used.requests),
            Cell::rate(errors).bad_if_any(),
            Cell::rate(used.failures).bad_if_any(),
            Cell::latency(used.median_us),
            Cell::latency(used.high_us),
            Cell::trend(trends.route(&route.name)),
        ]
    };
    status.routes.iter().enumerate().map(row).collect()
}

fn upstreams(status: &Status, rates: &Rates<'_>, trends: &Trends) -> Vec<Row> {
    let row = |upstream: &UpstreamStatus| {
        let used = rates.of_upstream(upstream);
        let before = |before: &Status| {
            before.upstreams.iter().find(|known| known.name == upstream.name).map(|known| known.retries)
        };
        let retries = used.requests.and_then(|_| rates.of(upstream.retries, before));
        let (up, all) =
            (upstream.servers.iter().filter(|server| server.state == ServerState::Up).count(), upstream.servers.len());
        let active: u64 = upstream.servers.iter().map(|server| server.active).sum();
        vec![
            Cell::text(&upstream.name),
            Cell::text(format!("{up} of {all}")).bad_if(up < all || all == 0),
            Cell::number(grouped(active), active as f64),
            Cell::rate(used.requests),
            Cell::rate(used.failures).bad_if_any(),
            Cell::rate(retries).bad_if_any(),
            Cell::latency(used.median_us),
            Cell::latency(used.high_us),
            Cell::trend(trends.upstream(&upstream.name)),
        ]
    };
    status.upstreams.iter().map(row).collect()
}

fn servers(status: &Status, rates: &Rates<'_>) -> Vec<Row> {
    let row = |upstream: &UpstreamStatus, server: &ServerStatus| {
        let used = rates.of_server(&upstream.name, server);
        let state = Cell::text(standing(server, status.shards.len()));
        vec![
            Cell::text(&upstream.name),
            Cell::text(&server.address),
            state.bad_if(matches!(server.state, ServerState::Ejected | ServerState::Impaired)),
            Cell::number(grouped(server.active), server.active as f64),
            Cell::rate(used.requests),
            Cell::rate(used.failures).bad_if_any(),
            Cell::latency(used.median_us),
            Cell::number(short(server.idle_connections as f64), server.idle_connections as f64),
        ]
    };
    let all =
        status.upstreams.iter().flat_map(|upstream| upstream.servers.iter().map(move |server| (upstream, server)));
    all.map(|(upstream, server)| row(upstream, server)).collect()
}
