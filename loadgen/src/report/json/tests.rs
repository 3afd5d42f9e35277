//! What is written is read again, and tells programs the same as readers.

use super::*;
use crate::report::samples;

#[test]
fn a_report_is_read_as_it_was_written() {
    for report in [samples::report("http://127.0.0.1/?a=\"<b>\"", 5, 2000, 300), samples::empty()] {
        assert_eq!(read(&write(&report).unwrap()).unwrap(), report);
    }
}

#[test]
fn the_summary_follows_from_the_recording() {
    let report = samples::report("nginx", 10, 20_000, 300);
    let json: serde_json::Value = serde_json::from_str(&write(&report).unwrap()).unwrap();
    assert_eq!(json["format"], FORMAT);
    let summary = &json["summary"];
    assert_eq!(summary["requests"], report.recording.requests());
    assert_eq!(summary["duration_s"], 10.0);
    let percentiles = summary["latency"]["percentiles"].as_array().unwrap();
    let told: Vec<f64> = percentiles.iter().map(|percentile| percentile["percent"].as_f64().unwrap()).collect();
    assert_eq!(told, PERCENTILES);
    let p99_us = percentiles[4]["us"].as_f64().unwrap();
    assert_eq!(p99_us, report.recording.latency.quantile_ns(0.99) as f64 / 1e3);
    assert_eq!(json["recording"]["errors"]["unexpected_status"], report.recording.errors.total());
    assert_eq!(json["recording"]["series"]["points"].as_array().unwrap().len(), 10);
}

#[test]
fn something_else_is_refused() {
    let written = write(&samples::empty()).unwrap();
    for text in ["", "{}", "[1]", &written.replace("report/1", "report/2"), &written.replace("\"sum_ns\"", "\"sum\"")] {
        assert!(read(text).is_err(), "{text}");
    }
    let error = read(&written.replace("report/1", "report/2")).unwrap_err();
    assert!(error.to_string().contains("ringway-loadgen-report/2"), "{error}");
}

#[test]
fn a_series_without_length_is_refused() {
    let written = write(&samples::empty()).unwrap();
    assert!(read(&written.replace("\"interval_s\":1", "\"interval_s\":0")).is_err());
}
