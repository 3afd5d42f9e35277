//! The access log: one record for each exchange, whatever its end.

use kit::{Config, Port, standard};
use serde_json::Value;

use crate::{before, start};

fn number(record: &Value, field: &str) -> u64 {
    record[field].as_u64().unwrap_or_else(|| panic!("{field} of {record} is a number"))
}

#[test]
fn an_exchange_is_recorded_with_all_that_it_was() {
    let origin = standard::start();
    let ringway = before(&origin);
    let request = b"POST /length/1000 HTTP/1.1\r\nHost: records.example\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(ringway.connect().exchange("POST", request).unwrap().status(), 200);
    let record = ringway.record_of("/length/1000");
    assert_eq!(record["method"], "POST");
    assert_eq!(record["host"], "records.example");
    assert_eq!(record["status"], 200);
    assert_eq!(record["outcome"], "completed");
    assert_eq!(record["upstream"].as_str().map(|name| name.contains("app") || name.contains("127.0.0.1")), Some(true));
    assert!(record["client"].as_str().is_some_and(|client| client.starts_with("127.0.0.1")), "{record}");
    assert!(record["time"].is_string() || record["time"].is_number(), "{record}");
    // Whether heads count is the record's choice; the body does.
    assert!(number(&record, "bytes_in") >= 5 && number(&record, "bytes_in") < 5 + 1_000, "{record}");
    assert!(number(&record, "bytes_out") >= 1_000 && number(&record, "bytes_out") < 3_000, "{record}");
    assert!(number(&record, "duration_us") < 20_000_000, "{record}");
}

#[test]
fn each_exchange_of_a_connection_has_a_record() {
    let origin = standard::start();
    let ringway = before(&origin);
    let mut client = ringway.connect();
    for n in 0..50 {
        assert_eq!(client.exchange("GET", &standard::get(&format!("/length/{n}"))).unwrap().status(), 200);
    }
    for n in 0..50 {
        assert_eq!(ringway.record_of(&format!("/length/{n}"))["outcome"], "completed");
    }
    assert_eq!(ringway.records().len(), 50);
}

#[test]
fn failures_have_a_record_that_says_which() {
    let port = Port::take();
    let config = Config::new().upstream("app", &[&port.address()]).route(None, "/app", "app").timeout("head", "300ms");
    let ringway = start(config);
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/app")).unwrap().status(), 502);
    let record = ringway.record_of("/app");
    assert_eq!((record["status"].as_u64(), record["outcome"].as_str()), (Some(502), Some("upstream_refused")));
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/other")).unwrap().status(), 404);
    assert_eq!(ringway.record_of("/other")["status"], 404);
    let mut slow = ringway.connect();
    slow.send(b"GET /slow").unwrap();
    assert_eq!(slow.read_response("GET").unwrap().status(), 408);
    assert_eq!(ringway.connect().exchange("GET", b"BAD\r\n\r\n").unwrap().status(), 400);
    for (status, outcome) in [(408, "client_timeout"), (400, "client_malformed")] {
        kit::eventually(&format!("a record with {status} is written"), || {
            ringway.records().iter().any(|record| record["status"] == status && record["outcome"] == outcome)
        });
    }
}

#[test]
fn what_a_client_sends_cannot_break_out_of_its_record() {
    let origin = standard::start();
    let ringway = before(&origin);
    let request = b"GET /length/1/\"quoted\\path HTTP/1.1\r\nHost: test\r\nX: \xff\xfe\r\n\r\n";
    let status = ringway.connect().exchange("GET", request).unwrap().status();
    assert!(status == 200 || status == 400, "{status}");
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/2")).unwrap().status(), 200);
    let _ = ringway.record_of("/length/2");
    let lines = ringway.process().stdout();
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
    assert_eq!(ringway.records().len(), 2);
}

#[test]
fn without_an_access_log_nothing_is_recorded() {
    let origin = standard::start();
    let mut ringway = start(Config::to(origin.address()).set("log", "access", "\"off\""));
    assert_eq!(ringway.connect().exchange("GET", &standard::get("/length/1")).unwrap().status(), 200);
    ringway.terminate();
    assert_eq!(ringway.wait().code(), Some(0));
    assert!(ringway.records().is_empty());
}
