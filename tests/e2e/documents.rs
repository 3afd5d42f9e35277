//! What the documents say of statuses is what the program knows.

use std::collections::BTreeSet;

use engine::Outcome;

#[test]
fn the_table_of_statuses_names_every_outcome_and_no_other() {
    let rows = status_rows();
    let documented: BTreeSet<&str> = rows.iter().map(|(_, outcome)| outcome.as_str()).collect();
    let known = BTreeSet::from(Outcome::WORDS);
    assert_eq!(documented, known, "docs/http.md, the table of statuses, beside engine::Outcome::WORDS");
    for (status, outcome) in &rows {
        // Nobody is blamed for the other side's fault: 4xx is the client's, of no route, or of a request that came too slowly.
        let fits = match outcome.as_str() {
            "completed" => (200..300).contains(status),
            "tunnel_idle" => *status == 101,
            "no_route" => *status == 404,
            "request_timeout" => matches!(status, 408 | 503 | 504),
            outcome if outcome.starts_with("client_") => *status >= 400,
            _ => *status >= 500,
        };
        assert!(fits, "{status} {outcome}");
    }
}

/// The statuses and outcomes of the table in docs/http.md.
fn status_rows() -> Vec<(u16, String)> {
    let text = include_str!("../../docs/http.md");
    let (_, table) = text.split_once("| status | when | outcome in the record |\n").expect("a table of statuses");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [status, when, outcome] = cells[..] else { panic!("three cells: {line}") };
        assert!(!when.is_empty(), "{line}");
        let status = status.trim_matches(['(', ')']).parse().unwrap_or_else(|_| panic!("a status: {line}"));
        (status, outcome.trim_matches('`').to_owned())
    };
    let rows: Vec<_> = rows.map(row).collect();
    assert!(rows.len() > 10, "{rows:?}");
    rows
}

#[test]
fn the_table_of_log_fields_names_every_field_and_no_other() {
    let text = include_str!("../../docs/logging.md");
    let (_, table) = text.split_once("| field | value |\n").expect("a table of fields");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let documented: Vec<&str> = rows.map(|row| row.split('`').nth(1).expect("a name")).collect();
    let known = plan::access_log::Field::NAMES.iter().copied();
    let known: Vec<&str> = known.chain(["request_header.NAME", "response_header.NAME"]).collect();
    assert_eq!(documented, known, "docs/logging.md, the table of fields, beside plan::access_log::Field");
    let (_, default) = text.split_once("Without `fields`, the members are ").expect("the fields of json");
    let (default, _) = default.split_once('.').expect("a sentence");
    let default: Vec<&str> = default.split('`').skip(1).step_by(2).collect();
    assert_eq!(default, plan::access_log::Format::JSON_FIELDS);
}
