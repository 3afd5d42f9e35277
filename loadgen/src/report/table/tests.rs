//! The table as it stands on a terminal.

use super::*;
use crate::report::samples;

#[test]
fn the_table_is_as_it_was_read_last() {
    let told = text(&samples::report("http://127.0.0.1:8080/small", 20, 2000, 300));
    assert_eq!(told, include_str!("golden.txt"), "is now:\n{told}");
}

#[test]
fn no_line_is_wider_than_a_terminal() {
    for report in [samples::report("nginx", 300, 100, 90_000), samples::report("nginx", 1, 7, 20), samples::empty()] {
        for line in text(&report).lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }
}

#[test]
fn quantiles_are_told_as_far_as_the_samples_reach() {
    let told = text(&samples::report("nginx", 2, 1000, 300));
    assert!(told.contains("p99.9 ") && !told.contains("p99.99 "), "{told}");
}

#[test]
fn bars_show_the_range() {
    let mut told = String::new();
    write_bars(&mut told, "rate", &[Some(0.0), Some(50.0), None, Some(100.0)], words::short).unwrap();
    assert_eq!(told, "rate        ▁▄ █  0 to 100\n");
    write_bars(&mut told, "p99", &[None, None], words::short).unwrap();
    assert_eq!(told.lines().count(), 1);
}
