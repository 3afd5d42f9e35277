//! Rows of a status: shards, routes, servers.

use std::cmp::Ordering;

use super::super::figures::{Rates, Sample, bytes, grouped, rate, short, standing};
use super::app::View;
use crate::control::{ServerState, ShardStatus, Status};

/// A column's title, and how wide it is at least. Numbers stand at its right side.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) width: u16,
    pub(super) is_number: bool,
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
    Column { title, width, is_number: false }
}

const fn number(title: &'static str, width: u16) -> Column {
    Column { title, width, is_number: true }
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

const ROUTES: [Column; 5] =
    [text("HOST", 22), text("PATH", 20), text("UPSTREAM", 15), number("REQ/S", 7), number("REQUESTS", 11)];

const SERVERS: [Column; 8] = [
    text("UPSTREAM", 11),
    text("SERVER", 21),
    number("WEIGHT", 6),
    text("STATE", 11),
    number("ACTIVE", 7),
    number("REQ/S", 6),
    number("FAIL/S", 6),
    number("IDLE", 4),
];

/// The columns of a view; none where it has no table. With gaps of one they fit into 80.
pub(super) fn columns(view: View) -> &'static [Column] {
    match view {
        View::Overview => &[],
        View::Shards => &SHARDS,
        View::Routes => &ROUTES,
        View::Upstreams => &SERVERS,
    }
}

/// The rows of a view, in the order in which Ringway has them.
pub(super) fn rows(view: View, now: &Sample, rates: &Rates<'_>) -> Vec<Row> {
    match view {
        View::Overview => Vec::new(),
        View::Shards => (0..now.status.shards.len()).map(|index| shard(index, &now.status, rates)).collect(),
        View::Routes => routes(&now.status, rates),
        View::Upstreams => servers(&now.status, rates),
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

fn routes(status: &Status, rates: &Rates<'_>) -> Vec<Row> {
    let row = |(index, route): (usize, &crate::control::RouteStatus)| {
        let same = |before: &&crate::control::RouteStatus| before.name == route.name;
        let before = |before: &Status| before.routes.get(index).filter(same).and_then(|before| before.requests);
        let requests = route.requests;
        let total = requests.map_or_else(|| "-".to_owned(), grouped);
        vec![
            Cell::text(if route.hosts.is_empty() { "any".to_owned() } else { route.hosts.join(" ") }),
            Cell::text(&route.path),
            Cell::text(&route.upstream),
            Cell::rate(requests.and_then(|requests| rates.of(requests, before))),
            Cell::number(total, requests.map_or(-1.0, |requests| requests as f64)),
        ]
    };
    status.routes.iter().enumerate().map(row).collect()
}

fn servers(status: &Status, rates: &Rates<'_>) -> Vec<Row> {
    let mut rows = Vec::new();
    for upstream in &status.upstreams {
        let before = |before: &Status, address: &str| {
            let upstream = before.upstreams.iter().find(|known| known.name == upstream.name)?;
            upstream.servers.iter().find(|known| known.address == address).map(|known| known.failures)
        };
        for server in &upstream.servers {
            let failures = rates.of(server.failures, |status| before(status, &server.address));
            let state = Cell::text(standing(server, status.shards.len()));
            rows.push(vec![
                Cell::text(&upstream.name),
                Cell::text(&server.address),
                Cell::number(server.weight.to_string(), f64::from(server.weight)),
                state.bad_if(matches!(server.state, ServerState::Ejected | ServerState::Impaired)),
                Cell::number(grouped(server.active), server.active as f64),
                Cell::rate(rates.of_server(&upstream.name, server)),
                Cell::rate(failures).bad_if(failures.is_some_and(|failures| failures > 0.0)),
                Cell::number(short(server.idle_connections as f64), server.idle_connections as f64),
            ]);
        }
    }
    rows
}
