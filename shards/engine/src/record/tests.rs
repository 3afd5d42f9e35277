use std::time::Duration;

use plan::access_log::{Condition, Escape, Format, Share};
use plan::{AccessLog, LogTargetId};
use ring::Instant;
use wire::h1::{Parsed, parse_request};
use wire::{Limits, RequestHead};

use super::*;
use crate::outcome::{Error, Kind, Side};

const REQUEST: &[u8] =
    b"GET /a/b?q=\"1 HTTP/1.1\r\nHost: a.example:80\r\nReferer: http://x/\"\\\t\xe9\r\nUser-Agent: curl/8\r\n\r\n";

fn log(format: Format) -> AccessLog {
    AccessLog { target: LogTargetId(0), format, only: None, share: Share::ALL, always: None }
}

/// The lines that `log` makes of `count` exchanges, each changed by `change`.
fn lines(log: &AccessLog, count: usize, change: impl Fn(&mut Record<'_>)) -> String {
    let mut head = RequestHead::new();
    assert!(matches!(parse_request(REQUEST, &Limits::default(), &mut head), Ok(Parsed::Complete(_))));
    let (outlet, mut records) = outlet(1 << 20);
    let outlets = Outlets::next(&Outlets::default(), vec![NextOutlet::New(outlet)]);
    let mut recorder = Recorder::default();
    for _ in 0..count {
        let mut record = Record {
            client: "192.0.2.1",
            tls: None,
            request: Some((&head, REQUEST)),
            server_name: None,
            response: &KeptFields::default(),
            status: 200,
            outcome: Outcome::Completed,
            route: Some("a.example/"),
            upstream: Some("app"),
            request_id: b"",
            bytes_in: 0,
            bytes_out: 5,
            duration: Duration::from_micros(1042),
        };
        change(&mut record);
        assert!(recorder.write(log, &outlets, &record, Instant::now()));
    }
    let mut lines = Vec::new();
    records.take(&mut lines);
    String::from_utf8(lines).unwrap()
}

fn line(format: Format, change: impl Fn(&mut Record<'_>)) -> String {
    let line = lines(&log(format), 1, change);
    assert_eq!((line.matches('\n').count(), line.ends_with('\n')), (1, true), "{line}");
    line.trim_end().to_owned()
}

/// The line with its time left out.
fn timeless(line: &str) -> String {
    let (before, rest) = line.split_once('[').unwrap();
    let (time, after) = rest.split_once(']').unwrap();
    assert!(time.ends_with(" +0000") && time.len() == 26, "{time}");
    format!("{before}[]{after}")
}

#[test]
fn json_leaves_out_what_there_is_none_of() {
    let json = || Format::json(Format::JSON_FIELDS.iter().copied()).unwrap();
    let plain = line(json(), |_| {});
    let (_, rest) = plain.split_once("Z\",").unwrap();
    assert!(plain.starts_with("{\"time\":\"2"), "{plain}");
    assert_eq!(
        rest,
        r#""client":"192.0.2.1","method":"GET","host":"a.example","path":"/a/b?q=\"1","status":200,"outcome":"completed","route":"a.example/","upstream":"app","bytes_in":0,"bytes_out":5,"duration_us":1042}"#
    );
    let refused = line(json(), |record| {
        record.request = None;
        record.outcome = Outcome::Failed(Error::new(Side::Client, Kind::TooLarge, 431).by(crate::Limit::Fields));
    });
    assert!(refused.contains(r#""method":"","host":"","path":"","#), "{refused}");
    assert!(refused.contains(r#""outcome":"client_too_large","limit":"limits.fields","#), "{refused}");
    let first_missing = Format::json(["limit", "status"]).unwrap();
    assert_eq!(line(first_missing, |_| {}), r#"{"status":200}"#);
}

#[test]
fn common_and_combined_are_those_of_apache() {
    assert_eq!(
        timeless(&line(Format::combined(), |_| {})),
        r#"192.0.2.1 - - [] "GET /a/b?q=\"1 HTTP/1.1" 200 5 "http://x/\"\\\t\xe9" "curl/8""#
    );
    let refused = line(Format::combined(), |record| (record.request, record.status, record.bytes_out) = (None, 400, 0));
    assert_eq!(timeless(&refused), r#"192.0.2.1 - - [] "-" 400 - "-" "-""#);
    assert_eq!(timeless(&line(Format::common(), |_| {})), r#"192.0.2.1 - - [] "GET /a/b?q=\"1 HTTP/1.1" 200 5"#);
}

#[test]
fn a_template_shows_what_it_names() {
    let template = |text: &str| line(Format::template(text, Escape::Apache).unwrap(), |_| {});
    assert_eq!(template("{method} {path_only} {query} {protocol}"), r#"GET /a/b q=\"1 HTTP/1.1"#);
    assert_eq!(template("{duration_us} {duration_ms} {duration_s}"), "1042 1.042 0.001042");
    assert_eq!(template("{limit}|{request_id}|{request_header.x}|{response_header.y}"), "-|-|-|-");
    assert_eq!(template("{{{status}}}"), "{200}");
}

#[test]
fn values_are_cut_at_their_bound() {
    let long = vec![0xff; 3 * TEXT_BYTES_MAX];
    let written = line(Format::template("{request_id}", Escape::Apache).unwrap(), |record| {
        // Lives as long as the test.
        record.request_id = Box::leak(long.clone().into_boxed_slice());
    });
    assert_eq!(written.len(), 4 * TEXT_BYTES_MAX);
}

#[test]
fn conditions_and_the_share_decide_what_is_written() {
    let errors = Condition { status_classes: 1 << 5, ..Condition::default() };
    let format = || Format::template("{status}", Escape::Apache).unwrap();
    let only = AccessLog { only: Some(errors), ..log(format()) };
    assert_eq!(lines(&only, 3, |_| {}), "");
    assert_eq!(lines(&only, 1, |record| record.status = 502), "502\n");

    let share = AccessLog { share: Share(100_000), always: Some(errors), ..log(format()) };
    let drawn = lines(&share, 10_000, |_| {}).lines().count();
    assert!((800..1200).contains(&drawn), "{drawn} of 10,000");
    assert_eq!(lines(&share, 100, |record| record.status = 500).lines().count(), 100);
}
