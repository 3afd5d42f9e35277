//! The screen, drawn into memory: what is seen at 80 columns and 24 lines, and what the keys do.
//!
//! The pictures stand in `docs/pictures`, where the documentation shows them. `UPDATE_GOLDEN=1` draws them anew; look at the
//! difference as a user would.

use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::super::figures::Sample;
use super::app::{App, Next, View};
use super::{draw, table};
use crate::control::Status;

/// A worker after `second` seconds of a busy life: two upstreams, one server ejected and one drained.
fn status(second: u64) -> Status {
    let wave = [0, 2, 5, 9, 12, 14, 15, 14, 12, 9][second as usize % 10];
    let requests = 20_000 * second + wave * 800;
    let failed = second / 3 * 2;
    let shard = |index: u64| {
        let exchanges = requests / 2 + index * 40;
        json!({
            "core": index, "ticks": true, "connections_accepted": 40 * second, "connections_open": 60 + index + wave,
            "exchanges": exchanges, "plan_swaps": 0, "plan_swap_ns_max": 0,
            "bytes_received": exchanges * 120, "bytes_sent": exchanges * 860,
            "turns": exchanges / 3, "completions": exchanges * 4,
            "cpu_us": second * (430_000 + index * 90_000), "cpu_waited_us": second * 9_000,
        })
    };
    // Three of five requests take 0.7 ms, the others 1.2 ms, and in five of ten seconds one in fifty takes 5 ms.
    let latency = |requests: u64| {
        let slow = (second / 10 * 5 + (second % 10).saturating_sub(4)) * 300;
        json!([
            { "from_us": 700, "to_us": 750, "count": requests * 3 / 5 },
            { "from_us": 1_000, "to_us": 1_500, "count": requests * 2 / 5 },
            { "from_us": 5_000, "to_us": 5_500, "count": slow },
        ])
    };
    let server = |address: &str, state: &str, share: u64, active: u64| {
        json!({
            "address": address, "name": null, "weight": share.max(1), "state": state,
            "ejected_by_shards": if state == "ejected" { 2 } else { 0 },
            "ejected_for_ms": if state == "ejected" { 12_400 } else { 0 },
            "active": active, "idle_connections": 6 * share, "requests": requests / 4 * share, "failures": 17,
            "heads": { "count": requests / 4 * share, "sum_us": requests / 4 * share * (600 + 100 * active) },
        })
    };
    let route = |host: &[&str], path: &str, upstream: &str, share: u64| {
        json!({
            "name": format!("{}{path}", host.concat()), "hosts": host, "path": path, "priority": 0, "upstream": upstream,
            "requests": requests / 10 * share, "server_errors": failed * (share / 5), "failures": failed * (share / 5),
            "latency": latency(requests / 10 * share),
        })
    };
    let status = json!({
        "version": "0.1.0", "pid": 4711, "generation": 2, "supervised": true, "phase": "serving",
        "started_unix_s": 0, "uptime_s": 90_000 + second, "config": "/etc/ringway/ringway.toml",
        "listening": ["0.0.0.0:80", "unix:/run/ringway/http.sock"], "io": "io_uring",
        "shards": [shard(0), shard(1)], "counters": {},
        "reloads": { "done": 3, "refused": 0, "loaded_unix_s": 0, "last_refusal": null, "plans_retired": 0 },
        "crashes": { "count": 0, "in_a_row": 0, "last": null },
        "totals": {
            "connections_accepted": 80 * second, "connections_open": 121 + 2 * wave, "exchanges": requests,
            "outcomes": { "completed": requests - failed, "upstream_gone": failed }, "limits": {},
            "upstream_connects": 40, "upstream_reuses": requests, "upstream_retries": failed,
            "upstream_ejections": 2, "tunnels": 0, "bytes_received": requests * 120, "bytes_sent": requests * 860,
            "records_dropped": 0, "latency": latency(requests),
        },
        "routes": [route(&["api.example.com"], "/v2", "api", 3), route(&[], "/", "app", 7)],
        "upstreams": [
            { "name": "app", "balance": "round_robin", "connections": 40, "requests": requests / 10 * 7, "retries": failed,
              "latency": latency(requests / 10 * 7), "servers": [
                server("192.0.2.10:9000", "up", 2, 5), server("192.0.2.11:9000", "ejected", 0, 0),
                server("192.0.2.12:9000", "draining", 1, 1),
            ] },
            { "name": "api", "balance": "least_connections", "connections": 8,
              "requests": requests / 10 * 3, "retries": 0, "latency": latency(requests / 10 * 3),
              "servers": [server("unix:/run/api.sock", "up", 1, 2)] },
        ],
    });
    serde_json::from_value(status).expect("the status as it is defined")
}

/// `top` after it has watched for this many seconds, the last look being at `now`.
fn watching(seconds: u64, now: Instant) -> App {
    let mut app = App::new("unix:/run/ringway/admin.sock".to_owned(), false);
    for second in 0..=seconds {
        let at = now - Duration::from_secs(seconds - second);
        app.learn(Ok(Sample { at, status: status(second) }));
    }
    app
}

fn drawn(app: &App, now: Instant, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw::draw(frame, app, now)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells = buffer.content().chunks(usize::from(width));
    let lines = cells.map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    lines.map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        assert_eq!(app.press(KeyEvent::new(code, KeyModifiers::NONE)), Next::Stay);
    }
}

fn column(app: &App, index: usize) -> Vec<String> {
    app.rows().iter().map(|row| row[index].text.clone()).collect()
}

#[test]
fn the_pictures_are_what_is_drawn() {
    let now = Instant::now();
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    for (name, keys) in
        [("overview", ""), ("shards", "2"), ("routes", "3"), ("upstreams", "4"), ("servers", "5"), ("help", "?")]
    {
        let mut app = watching(60, now);
        press(&mut app, keys);
        let picture = drawn(&app, now, 80, 24);
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/pictures/top-{name}.txt"));
        if update {
            std::fs::write(&path, &picture).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(picture == expected, "{name}: expected\n{expected}\nfound\n{picture}");
    }
}

#[test]
fn every_table_fits_into_80_columns() {
    for view in View::ALL {
        let width: u16 = table::columns(view).iter().map(|column| column.width + 1).sum();
        assert!(width <= 80, "{view:?}: {width}");
    }
}

#[test]
fn any_size_of_terminal_will_do() {
    let now = Instant::now();
    for (width, height) in [(1, 1), (20, 3), (40, 10), (80, 5), (200, 60), (400, 100)] {
        for keys in ["", "2", "3", "4", "5", "?"] {
            let mut app = watching(3, now);
            press(&mut app, keys);
            let picture = drawn(&app, now, width, height);
            assert_eq!(picture.lines().count(), usize::from(height));
        }
    }
}

#[test]
fn rows_are_sorted_turned_around_and_filtered_by_key() {
    let now = Instant::now();
    let mut app = watching(5, now);
    press(&mut app, "5");
    let ringways_own = ["192.0.2.10:9000", "192.0.2.11:9000", "192.0.2.12:9000", "unix:/run/api.sock"];
    assert_eq!(column(&app, 1), ringways_own);
    press(&mut app, "s");
    assert_eq!(column(&app, 0), ["api", "app", "app", "app"]);
    press(&mut app, "sss");
    assert_eq!(column(&app, 3), ["5", "2", "1", "0"], "by requests under way, the most first");
    press(&mut app, "r");
    assert_eq!(column(&app, 3), ["0", "1", "2", "5"]);
    assert!(drawn(&app, now, 80, 24).contains("ACTIV^"));
    press(&mut app, "/DRAIN\n");
    assert_eq!(column(&app, 1), ["192.0.2.12:9000"]);
    assert!(drawn(&app, now, 80, 24).contains("only rows with \"DRAIN\""));
    assert_eq!(app.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE)), Next::Stay);
    assert_eq!(app.rows().len(), 4);
    press(&mut app, "sssss");
    assert_eq!(app.orders[View::Servers as usize].column, None, "and round again");
}

#[test]
fn a_pause_holds_the_picture_and_says_so() {
    let now = Instant::now();
    let mut app = watching(5, now);
    press(&mut app, "p");
    app.learn(Ok(Sample { at: now + Duration::from_secs(1), status: status(6) }));
    assert_eq!(app.now.as_ref().unwrap().at, now);
    assert!(drawn(&app, now, 80, 24).contains("PAUSED"));
    press(&mut app, "p");
    app.learn(Ok(Sample { at: now + Duration::from_secs(2), status: status(7) }));
    assert!(app.now.as_ref().unwrap().at > now && !drawn(&app, now, 80, 24).contains("PAUSED"));
}

#[test]
fn when_ringway_goes_the_last_picture_stays_and_tells_its_age() {
    let now = Instant::now();
    let mut app = watching(5, now);
    app.learn(Err("no Ringway is running at unix:/run/ringway/admin.sock".to_owned()));
    let picture = drawn(&app, now + Duration::from_secs(42), 80, 24);
    assert!(
        picture.contains("42 s old, trying again: no Ringway is running") && picture.contains("requests/s"),
        "{picture}"
    );
    // Another worker: its counters begin anew, and no rate is made of the difference.
    let mut other = status(1);
    other.pid += 1;
    app.learn(Ok(Sample { at: now + Duration::from_secs(43), status: other }));
    assert_eq!(app.rates().of(1, |before| Some(before.totals.exchanges)), None);
    assert!(!drawn(&app, now, 80, 24).contains("trying again"));
}

#[test]
fn keys_quit_and_typing_a_filter_does_not() {
    let now = Instant::now();
    let mut app = watching(1, now);
    press(&mut app, "4/q");
    assert_eq!(app.filter, "q");
    press(&mut app, "\n");
    assert_eq!(app.press(KeyEvent::new(KeyCode::Char('q'), KeyModifiers::NONE)), Next::Quit);
    assert_eq!(app.press(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Next::Quit);
}

#[test]
fn without_colours_none_are_used() {
    let now = Instant::now();
    for view in ["", "2", "3", "4", "5"] {
        let mut app = watching(9, now);
        press(&mut app, view);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw::draw(frame, &app, now)).unwrap();
        let cells = terminal.backend().buffer().content();
        assert!(cells.iter().all(|cell| cell.fg == ratatui::style::Color::Reset), "{view}");
    }
}
