//! The page is complete, well-formed and loads nothing.

use super::*;
use crate::report::samples;

/// Fails unless each tag is closed by its own end, as XML asks for.
fn assert_well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a page says what it is");
    let mut open: Vec<&str> = Vec::new();
    for part in body.split('<').skip(1) {
        let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("an open tag: {part}"));
        assert!(!text.contains('>'), "a bracket that was not escaped: {text}");
        assert!(tag.matches('"').count().is_multiple_of(2), "an open quote: {tag}");
        let name = tag.split([' ', '\n']).next().unwrap_or(tag);
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
    for (position, _) in body.match_indices('&') {
        let rest = &body[position..];
        assert!(["&amp;", "&lt;", "&gt;", "&quot;"].iter().any(|entity| rest.starts_with(entity)), "{}", &rest[..20]);
    }
}

/// Fails if the page could make a browser fetch or run anything.
fn assert_self_contained(page: &str) {
    for forbidden in
        ["<script", "<link", "<img", "<iframe", "<object", "src=", "href=", "url(", "@import", "javascript:"]
    {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf"), "a figure that is none");
}

#[test]
fn pages_are_well_formed_and_load_nothing() {
    let one = samples::report("http://127.0.0.1:8080/?a=1&b=<2>", 6, 2000, 300);
    let other = samples::report("nginx", 6, 500, 200);
    for runs in [vec![one.clone()], vec![one.clone(), other], vec![one.clone(), one], vec![samples::empty()]] {
        let page = page("A \"title\" & more", &runs);
        assert_well_formed(&page);
        assert_self_contained(&page);
    }
}

#[test]
fn a_page_has_all_plots() {
    let page = page("nginx", &[samples::report("nginx", 6, 2000, 300)]);
    for label in [
        "Latency by percentile",
        "Requests answered in each second",
        "Latency over time",
        "Latency heat map",
        "Errors in each second",
    ] {
        assert_eq!(page.matches(&format!("role=\"img\" aria-label=\"{label}\"")).count(), 1, "{label}");
    }
    assert!(page.contains(">99.9 %</text>") && page.contains("unexpected status: "));
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
}

#[test]
fn a_short_run_has_figures_without_plots_over_time() {
    let page = page("short", &[samples::report("short", 1, 500, 300)]);
    assert!(!page.contains("Latency over time") && page.contains("Latency by percentile"));
    assert_well_formed(&page);
}

#[test]
fn runs_of_the_same_name_are_told_apart() {
    let one = samples::report("nginx", 3, 100, 300);
    let names = names(&[one.clone(), one, samples::report("other", 3, 100, 300)]);
    assert_eq!(names, ["nginx (2026-11-20T12:00:00Z)", "nginx (2026-11-20T12:00:00Z)", "other"]);
}
